"""Section on the gates: how many of the teachers' responses were accepted, and which gates the others failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from mentallama.check.output.gate_report_schema import GateCounts, GateReport, GateTable
from mentallama.files.markdown import EMPTY_CELL
from mentallama.report.page_model import (
    Block,
    BlockGroup,
    Cell,
    FigureBlock,
    PageRow,
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
    if report is None:
        return None
    return Section("gates", "Accepted responses and gates", tuple(_blocks(artifacts, report)))


def _blocks(artifacts: RunArtifacts, report: GateReport) -> Iterator[Block]:
    share = f" ({100 * report.accepted / report.responses:.1f} %)" if report.responses else ""
    yield Paragraph(
        f"Of {report.responses:,} responses {report.accepted:,} were accepted{share}. A response is dropped if it "
        "fails at least one gate; check/gates.md says what each gate tests."
    )
    if any(gate.judged for gate in report.gates):
        yield _gate_plot(report)
        yield _failures_by_set(artifacts, report)
    reporting = [gate.gate for gate in report.gates if not gate.drops]
    if reporting:
        yield Paragraph(f"Reported, but not dropped: {', '.join(reporting)}.")
    if report.disabled:
        yield Paragraph(f"Disabled: {', '.join(report.disabled)}.")
    yield from (Paragraph(note, missing=True) for note in report.notes)
    if any(counts.refused for counts in report.unusable_answers):
        yield _refusal_table(artifacts, report)
    if report.rating_sample:
        values = (
            (name.replace("_", " "), str(value))
            for name, value in report.rating_sample.items()
            if value is not None
        )
        yield key_value_table("Rating sample.", ("quantity", "value"), values, "rating-sample")
    yield from _gate_tables(artifacts, report)


def _gate_plot(report: GateReport) -> FigureBlock:
    gates = [gate for gate in report.gates if gate.judged]
    lines = [_gate_bar(gate) for gate in gates]
    values = ", ".join(f"{row.name} {row.value_label}" for row in lines)
    description = f"Responses that failed each gate: {values}."
    caption = (
        "Share of the judged responses that failed each gate. Dark: dropped by this gate alone; light: dropped by "
        "other gates too, or only reported."
    )
    plot = bar_plot(lines, "failed, percent of judged responses", description)
    return FigureBlock(caption, plot, _bar_data(gates), name="plot")


def _bar_data(gates: Sequence[GateCounts]) -> TableBlock:
    rows = tuple(
        named_row(gate.gate, [count_cell(gate.judged), count_cell(gate.failed), count_cell(gate.sole_drops)])
        for gate in gates
    )
    header = ("gate", "judged", "failed", "dropped by this gate alone")
    return TableBlock("Numbers of this plot.", header, rows)


def _gate_bar(gate: GateCounts) -> BarRow:
    share = _percent(gate.failed, gate.judged)
    label = f"{gate.failed:,} ({share:.1f} %)" if gate.failed else "0"
    return BarRow(gate.gate, share, _percent(gate.sole_drops, gate.judged), label)


def _failures_by_set(artifacts: RunArtifacts, report: GateReport) -> TableBlock:
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
    header = ("gate", "judged", "failed", "%", *map(artifacts.set_name, sets))
    caption = "Responses that failed each gate, by set, shaded by their share of the set's responses."
    return TableBlock(caption, header, rows, vertical_headers=len(sets) > 4)


def _failed_cell(failed: int, judged: int) -> Cell:
    """A dash where the gate judged no response of the set."""
    return count_cell(failed, failed / judged) if judged else count_cell(None, 0.0)


def _refusal_table(artifacts: RunArtifacts, report: GateReport) -> TableBlock:
    lines = sorted(
        (counts for counts in report.unusable_answers if counts.refused),
        key=lambda counts: not counts.high_risk,
    )
    rows = tuple(
        named_row(
            artifacts.set_name(counts.set),
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
    header = ("set", "label", "risk", "responses", "refused", "%")
    return TableBlock("Refusals by label, high-risk labels first.", header, rows, name="refusals")


def _gate_tables(artifacts: RunArtifacts, report: GateReport) -> Iterator[BlockGroup]:
    """The gates' own tables, such as mean overlaps with references by set."""
    for table in report.tables:
        if table.rows:
            yield BlockGroup((_gate_table(artifacts, table),), collapsed_title=f"{table.gate}: {table.title}")


def _gate_table(artifacts: RunArtifacts, table: GateTable) -> TableBlock:
    first, *_ = table.rows[0]
    rows = tuple(
        PageRow(tuple(_gate_cell(artifacts, column, value, column == first) for column, value in row.items()))
        for row in table.rows
    )
    header = tuple(name.replace("_", " ") for name in table.rows[0])
    return TableBlock(f"{table.title}.", header, rows, name=table.gate)


def _gate_cell(artifacts: RunArtifacts, column: str, value: object, is_first: bool) -> Cell:
    """The first cell names its row."""
    if column == "set":
        value = artifacts.set_name(str(value))
    if is_first or not isinstance(value, (int, float)):
        return Cell(EMPTY_CELL if value is None else str(value), is_header=is_first)
    return count_cell(value) if isinstance(value, int) else number_cell(value)


def _percent(part: int, whole: int) -> float:
    return 100 * part / whole if whole else 0.0
