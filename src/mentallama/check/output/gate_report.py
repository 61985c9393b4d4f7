"""The gate report as Markdown: counts of accepted responses, of failures by gate, and of unusable answers."""

from __future__ import annotations

from collections.abc import Iterator

from mentallama.check.output.gate_report_schema import GateReport
from mentallama.files.markdown import Markdown, escape_markdown, format_percent, markdown_table, table_of_rows
from mentallama.safety import NOTICE

_HIGH_RISK_NOTE = "High-risk labels, whose misses cost most, are in bold.\n\n"


def render_gate_report(name: str, report: GateReport) -> str:
    """The content of `gates.md`."""
    return f"# Gate report: {escape_markdown(name)}\n\n{NOTICE}\n\n" + "".join(_parts(report))


def _parts(report: GateReport) -> Iterator[str]:
    yield (
        f"{report.responses:,} responses were judged and {report.accepted:,} accepted. Each dropped response is listed "
        "in `dropped.jsonl` with its ids and reasons, each verdict in `verdicts.jsonl.zst`.\n\n"
    )
    if report.unanswered:
        yield f"{report.unanswered:,} labelled questions have no response; they are not counted here.\n\n"
    for note in report.notes:
        yield f"- {escape_markdown(note)}\n"
    yield "\n" if report.notes else ""
    yield "## Gates\n\n" + gate_table(report)
    yield f"Disabled: {', '.join(report.disabled)}.\n\n" if report.disabled else ""
    yield from _section("Failed by set and label", _failed_by_label(report))
    yield from _section("Unusable answers", _unusable_answers(report))
    for table in report.tables:
        yield from _section(escape_markdown(table.title or table.gate), table_of_rows(table.rows))
    yield from _section("Teachers", table_of_rows([teacher.model_dump() for teacher in report.teachers]))
    disagreements = [report.disagreements] if report.disagreements else []
    yield from _section("Label disagreements for reviewers", table_of_rows(disagreements))
    rating_sample = [report.rating_sample] if report.rating_sample else []
    yield from _section("Rating sample", table_of_rows(rating_sample))


def _section(title: str, body: str) -> Iterator[str]:
    if body:
        yield f"## {title}\n\n{body}"


def gate_table(report: GateReport) -> str:
    """A table with one line per gate: the condition to pass, the threshold, and the counts."""
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
            counts.gate,
            counts.set,
            _format_label(counts.label, counts.high_risk),
            counts.judged,
            counts.failed,
            format_percent(counts.failed, counts.judged),
        )
        for counts in report.failed_by_label
        if counts.failed
    ]
    if not rows:
        return ""
    return _HIGH_RISK_NOTE + markdown_table(("gate", "set", "label", "judged", "failed", "share"), rows)


def _unusable_answers(report: GateReport) -> str:
    """High-risk labels come first, as refusals are most frequent there."""
    lines = [
        (
            row.set,
            _format_label(row.label, row.high_risk),
            row.rows,
            row.refused,
            row.unparsed,
            row.truncated,
            format_percent(row.refused + row.unparsed + row.truncated, row.rows),
        )
        for row in sorted(report.unusable_answers, key=lambda row: not row.high_risk)
        if row.refused or row.unparsed or row.truncated
    ]
    return markdown_table(("set", "label", "rows", "refused", "unparsed", "truncated", "share"), lines)


def _format_label(label: str, high_risk: bool) -> str:
    return Markdown(f"**{escape_markdown(label)}** (high risk)") if high_risk else label or "no label"
