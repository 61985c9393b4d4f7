"""Section on the gates: how many of the teachers' responses were accepted, and which gates the others failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from mentallama.check.output.gate_report_schema import GateCounts, GateReport
from mentallama.report.page_model import (
    Block,
    Cell,
    FigureBlock,
    Paragraph,
    Section,
    TableBlock,
    count_cell,
    key_value_table,
    named_row,
    number_cell,
)
from mentallama.report.plots import BarRow, bar_plot
from mentallama.report.run_artifacts import RunArtifacts


def gates_section(artifacts: RunArtifacts) -> Section | None:
    """Counts, plot and tables from `check/gates.json`; None for a run without check."""
    report = artifacts.gates
    return (
        None if report is None else Section("gates", "Accepted responses and gates", tuple(_blocks(report)))
    )


def _blocks(report: GateReport) -> Iterator[Block]:
    share = f" ({100 * report.accepted / report.responses:.1f} %)" if report.responses else ""
    yield Paragraph(
        f"Of {report.responses:,} responses {report.accepted:,} were accepted{share}. A response is dropped if it "
        "fails at least one gate; check/gates.md says what each gate tests."
    )
    if any(gate.judged for gate in report.gates):
        yield _gate_plot(report)
        yield _failures_by_set(report)
    reporting = [gate.gate for gate in report.gates if not gate.drops]
    if reporting:
        yield Paragraph(f"Reported, but not dropped: {', '.join(reporting)}.")
    if report.disabled:
        yield Paragraph(f"Disabled: {', '.join(report.disabled)}.")
    yield from (Paragraph(note, missing=True) for note in report.notes)
    if any(counts.refused for counts in report.unusable_answers):
        yield _refusal_table(report)
    if report.rating_sample:
        values = (
            (name.replace("_", " "), str(value))
            for name, value in report.rating_sample.items()
            if value is not None
        )
        yield key_value_table("Rating sample.", ("quantity", "value"), values)


def _gate_plot(report: GateReport) -> FigureBlock:
    gates = [gate for gate in report.gates if gate.judged]
    lines = [_gate_bar(gate) for gate in gates]
    values = ", ".join(f"{row.name} {row.value_label}" for row in lines)
    description = f"Responses that failed each gate: {values}."
    caption = (
        "Share of the judged responses that failed each gate. Dark: dropped by this gate alone; light: dropped by "
        "other gates too, or only reported."
    )
    return FigureBlock(
        caption, bar_plot(lines, "failed, percent of judged responses", description), description
    )


def _gate_bar(gate: GateCounts) -> BarRow:
    share = _percent(gate.failed, gate.judged)
    label = f"{gate.failed:,} ({share:.1f} %)" if gate.failed else "0"
    return BarRow(gate.gate, share, _percent(gate.sole_drops, gate.judged), label)


def _failures_by_set(report: GateReport) -> TableBlock:
    judged, failed = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for counts in report.failed_by_label:
        judged[counts.gate, counts.set] += counts.judged
        failed[counts.gate, counts.set] += counts.failed
    sets = list(dict.fromkeys(name for _, name in judged))
    rows = tuple(
        named_row(
            gate.gate,
            [
                count_cell(gate.judged),
                count_cell(gate.failed),
                number_cell(_percent(gate.failed, gate.judged), 1),
                *(_failed_cell(failed[gate.gate, name], judged[gate.gate, name]) for name in sets),
            ],
        )
        for gate in report.gates
    )
    header = ("gate", "judged", "failed", "%", *sets)
    caption = "Responses that failed each gate, by set, shaded by their share of the set's responses."
    return TableBlock(caption, header, rows, vertical_headers=len(sets) > 4)


def _failed_cell(failed: int, judged: int) -> Cell:
    """A dash where the gate judged no response of the set."""
    return count_cell(failed, failed / judged) if judged else count_cell(None, 0.0)


def _refusal_table(report: GateReport) -> TableBlock:
    lines = sorted(
        (counts for counts in report.unusable_answers if counts.refused),
        key=lambda counts: not counts.high_risk,
    )
    rows = tuple(
        named_row(
            counts.set,
            [
                Cell(counts.label or "no label"),
                Cell("high risk" if counts.high_risk else ""),
                count_cell(counts.rows),
                count_cell(counts.refused),
                number_cell(_percent(counts.refused, counts.rows), 1),
            ],
        )
        for counts in lines
    )
    header = ("set", "label", "", "responses", "refused", "%")
    return TableBlock("Refusals by label, high-risk labels first.", header, rows)


def _percent(part: int, whole: int) -> float:
    return 100 * part / whole if whole else 0.0
