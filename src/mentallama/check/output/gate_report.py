"""The gate report as Markdown: what was kept, what was dropped, by which gate, and what could not be judged."""

from __future__ import annotations

from collections.abc import Iterator

from mentallama.check.output.gate_report_schema import GateReport, LabelGateCounts
from mentallama.files.markdown import format_percent, markdown_table, table_of_rows
from mentallama.safety import NOTICE

GATE_DESCRIPTIONS: dict[str, str] = {
    "read": "the answer can be read: it names one label, is no refusal and has an end",
    "label_match": "the teacher's label is the set's label, or a person has decided otherwise",
    "label_consistency": "the label can be read back from the explanation alone",
    "quote_grounding": "what the explanation quotes stands in the post",
    "language": "the explanation is in the language of the post or of the task",
    "length": "the explanation has no fewer and no more words than the bounds",
    "prompt_leakage": "the explanation repeats no stretch of the prompt's instructions",
    "diagnosis": "the explanation states no diagnosis as a fact",
    "advice": "the explanation gives the writer no advice",
    "personal_data": "the explanation brings no personal data back",
    "repeated_explanation": "the explanation is not another post's explanation over again",
    "reference_overlap": "the explanation is near enough to a reference, where there is one",
}
"""What passes each gate, in the order in which they are told."""


def render_gate_report(name: str, found: GateReport) -> str:
    """`gates.md`."""
    return f"# What was kept and why: {name}\n\n{NOTICE}\n\n" + "".join(_parts(found))


def _parts(found: GateReport) -> Iterator[str]:
    yield (
        f"{found.responses:,} responses were judged and {found.accepted:,} accepted. Each dropped response is listed "
        "in `dropped.jsonl` with its ids and reasons, each verdict in `verdicts.jsonl.zst`.\n\n"
    )
    if found.unanswered:
        yield f"{found.unanswered:,} labelled questions have no response; they are not counted here.\n\n"
    for note in found.notes:
        yield f"- {note}\n"
    yield "\n" if found.notes else ""
    yield "## Gates\n\n" + gate_table(found)
    yield f"Switched off: {', '.join(found.disabled)}.\n\n" if found.disabled else ""
    yield from _section("Dropped by set and label", _failed_by_label(found))
    yield from _section("Answers that could not be used", _unusable_answers(found))
    yield from _section("Label read back from the explanation", table_of_rows(found.consistency))
    yield from _section("Quality", table_of_rows(found.quality))
    yield from _section("Teachers", table_of_rows([each.model_dump() for each in found.teachers]))
    yield from _section(
        "Disagreements for people to decide",
        table_of_rows([found.disagreements] if found.disagreements else []),
    )
    yield from _section(
        "Sample for raters", table_of_rows([found.rating_sample] if found.rating_sample else [])
    )


def _section(title: str, body: str) -> Iterator[str]:
    if body:
        yield f"## {title}\n\n{body}"


def gate_table(found: GateReport) -> str:
    """A line a gate: what passes it, its threshold, what it found."""
    header = ("gate", "passes where", "threshold", "judged", "failed", "share", "by this gate alone", "note")
    return markdown_table(
        header,
        (
            (
                each.gate,
                GATE_DESCRIPTIONS.get(each.gate, each.gate),
                format_threshold(each.threshold),
                each.judged,
                each.failed,
                format_percent(each.failed, each.judged),
                each.sole_drops if each.drops else "drops nothing",
                each.note,
            )
            for each in found.gates
        ),
    )


def format_threshold(threshold: object) -> str:
    """A setting as it stands in the recipe; a gate that is only on or off has none."""
    if threshold is None or isinstance(threshold, bool):
        return ""
    return " to ".join(map(str, threshold)) if isinstance(threshold, tuple) else f"{threshold:g}"


def _failed_by_label(found: GateReport) -> str:
    rows = [each for each in found.failed_by_label if each.failed]
    return "" if not rows else _HIGH_RISK_NOTE + markdown_table(
        ("gate", "set", "label", "judged", "failed", "share"),
        ((each.gate, each.set, _label(each), each.judged, each.failed, format_percent(each.failed, each.judged)) for each in rows),
    )  # fmt: skip


def _label(line: LabelGateCounts) -> str:
    return f"**{line.label}** (grave)" if line.high_risk else line.label or "no label"


_HIGH_RISK_NOTE = "Labels whose miss costs most are marked as grave.\n\n"


def _unusable_answers(found: GateReport) -> str:
    """Refusals hit the gravest posts first, so grave labels stand first."""
    lost = [each for each in found.unusable_answers if each.refused or each.unparsed or each.truncated]
    return markdown_table(
        ("set", "label", "rows", "refused", "unparsed", "truncated", "share"),
        (
            (
                each.set,
                f"**{each.label}** (grave)" if each.high_risk else each.label or "no label",
                each.rows,
                each.refused,
                each.unparsed,
                each.truncated,
                format_percent(each.refused + each.unparsed + each.truncated, each.rows),
            )
            for each in sorted(lost, key=lambda each: not each.high_risk)
        ),
    )
