"""The gate report as Markdown: what was accepted, what was dropped by which gate, and what could not be judged."""

from __future__ import annotations

from collections.abc import Iterator

from mentallama.check.output.gate_report_schema import GateReport
from mentallama.files.markdown import format_percent, markdown_table, table_of_rows
from mentallama.safety import NOTICE

_HIGH_RISK_NOTE = "High-risk labels, whose misses cost most, are in bold.\n\n"


def render_gate_report(name: str, report: GateReport) -> str:
    """The content of `gates.md`."""
    return f"# Gate report: {name}\n\n{NOTICE}\n\n" + "".join(_parts(report))


def _parts(report: GateReport) -> Iterator[str]:
    yield (
        f"{report.responses:,} responses were judged and {report.accepted:,} accepted. Each dropped response is listed "
        "in `dropped.jsonl` with its ids and reasons, each verdict in `verdicts.jsonl.zst`.\n\n"
    )
    if report.unanswered:
        yield f"{report.unanswered:,} labelled questions have no response; they are not counted here.\n\n"
    for note in report.notes:
        yield f"- {note}\n"
    yield "\n" if report.notes else ""
    yield "## Gates\n\n" + gate_table(report)
    yield f"Disabled: {', '.join(report.disabled)}.\n\n" if report.disabled else ""
    yield from _section("Failed by set and label", _failed_by_label(report))
    yield from _section("Unusable answers", _unusable_answers(report))
    for table in report.tables:
        yield from _section(table.title or table.gate, table_of_rows(table.rows))
    yield from _section("Teachers", table_of_rows([each.model_dump() for each in report.teachers]))
    disagreements = [report.disagreements] if report.disagreements else []
    yield from _section("Label disagreements for reviewers", table_of_rows(disagreements))
    rating_sample = [report.rating_sample] if report.rating_sample else []
    yield from _section("Rating sample", table_of_rows(rating_sample))


def _section(title: str, body: str) -> Iterator[str]:
    if body:
        yield f"## {title}\n\n{body}"


def gate_table(report: GateReport) -> str:
    """A line per gate: when a response passes, the threshold, and the counts."""
    header = ("gate", "passes if", "threshold", "judged", "failed", "share", "by this gate alone", "note")
    return markdown_table(
        header,
        (
            (
                gate.gate,
                gate.passes_if,
                format_threshold(gate.threshold),
                gate.judged,
                gate.failed,
                format_percent(gate.failed, gate.judged),
                gate.sole_drops if gate.drops else "drops nothing",
                gate.note,
            )
            for gate in report.gates
        ),
    )


def format_threshold(threshold: object) -> str:
    """A setting as the recipe spells it; "" for a gate that is only on or off."""
    if threshold is None or isinstance(threshold, bool):
        return ""
    return " to ".join(map(str, threshold)) if isinstance(threshold, tuple) else f"{threshold:g}"


def _failed_by_label(report: GateReport) -> str:
    rows = [
        (
            each.gate,
            each.set,
            _format_label(each.label, each.high_risk),
            each.judged,
            each.failed,
            format_percent(each.failed, each.judged),
        )
        for each in report.failed_by_label
        if each.failed
    ]
    if not rows:
        return ""
    return _HIGH_RISK_NOTE + markdown_table(("gate", "set", "label", "judged", "failed", "share"), rows)


def _unusable_answers(report: GateReport) -> str:
    """High-risk labels come first, as refusals are most frequent there."""
    counts = [each for each in report.unusable_answers if each.refused or each.unparsed or each.truncated]
    return markdown_table(
        ("set", "label", "rows", "refused", "unparsed", "truncated", "share"),
        (
            (
                each.set,
                _format_label(each.label, each.high_risk),
                each.rows,
                each.refused,
                each.unparsed,
                each.truncated,
                format_percent(each.refused + each.unparsed + each.truncated, each.rows),
            )
            for each in sorted(counts, key=lambda each: not each.high_risk)
        ),
    )


def _format_label(label: str, high_risk: bool) -> str:
    return f"**{label}** (high risk)" if high_risk else label or "no label"
