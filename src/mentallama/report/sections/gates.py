"""The section on what was kept of a teacher's responses, and why the rest was not."""

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


def gate_sections(material: RunArtifacts) -> list[Section]:
    """No section where the run has no `check`: then nothing was judged, and nothing is missing."""
    found = material.gates
    return [] if found is None else [Section("kept", "What was kept and why", tuple(_blocks(found)))]


def _blocks(found: GateReport) -> Iterator[Block]:
    share = f" ({100 * found.accepted / found.responses:.1f} %)" if found.responses else ""
    yield Paragraph(
        f"Of {found.responses:,} responses {found.accepted:,} were accepted{share}. A response is dropped where one "
        "gate or several find a fault; what each gate looks for stands in check/gates.md."
    )
    if any(each.judged for each in found.gates):
        yield _gate_plot(found)
        yield _failures_by_set(found)
    reporting = [each.gate for each in found.gates if not each.drops]
    if reporting:
        yield Paragraph(f"Only reported, not dropped: {', '.join(reporting)}.")
    if found.disabled:
        yield Paragraph(f"Switched off: {', '.join(found.disabled)}.")
    yield from (Paragraph(note, missing=True) for note in found.notes)
    if any(each.refused for each in found.unusable_answers):
        yield _refusal_table(found)
    if found.rating_sample:
        values = (
            (name.replace("_", " "), str(value))
            for name, value in found.rating_sample.items()
            if value is not None
        )
        yield key_value_table("The sample for raters.", ("of the sample", "value"), values)


def _gate_plot(found: GateReport) -> FigureBlock:
    gates = [each for each in found.gates if each.judged]
    lines = [_gate_bar(each) for each in gates]
    values = ", ".join(f"{one.name} {one.value_label}" for one in lines)
    description = f"Responses that failed each gate: {values}."
    caption = (
        "Share of the judged responses that failed each gate. Dark: dropped by this gate alone; light: by others too, "
        "or only reported."
    )
    return FigureBlock(caption, bar_plot(lines, "failed, percent of those judged", description), description)


def _gate_bar(gate: GateCounts) -> BarRow:
    share = _percent(gate.failed, gate.judged)
    said = f"{gate.failed:,} ({share:.1f} %)" if gate.failed else "0"
    return BarRow(gate.gate, share, _percent(gate.sole_drops, gate.judged), said)


def _failures_by_set(found: GateReport) -> TableBlock:
    judged, failed = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for each in found.failed_by_label:
        judged[each.gate, each.set] += each.judged
        failed[each.gate, each.set] += each.failed
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
        for gate in found.gates
    )
    header = ("gate", "judged", "failed", "%", *sets)
    caption = "Responses that failed each gate, by set, shaded by their share of the set's responses."
    return TableBlock(caption, header, rows, vertical_headers=len(sets) > 4)


def _failed_cell(failed: int, judged: int) -> Cell:
    """A dash where the gate judged nothing of the set."""
    return count_cell(failed, failed / judged) if judged else count_cell(None, 0.0)


def _refusal_table(found: GateReport) -> TableBlock:
    lines = sorted(
        (each for each in found.unusable_answers if each.refused), key=lambda each: not each.high_risk
    )
    rows = tuple(
        named_row(
            each.set,
            [
                Cell(each.label or "no label"),
                Cell("grave" if each.high_risk else ""),
                count_cell(each.rows),
                count_cell(each.refused),
                number_cell(_percent(each.refused, each.rows), 1),
            ],
        )
        for each in lines
    )
    header = ("set", "label", "", "responses", "refused", "%")
    return TableBlock("Refusals by label. They hit the gravest posts first.", header, rows)


def _percent(part: int, whole: int) -> float:
    return 100 * part / whole if whole else 0.0
