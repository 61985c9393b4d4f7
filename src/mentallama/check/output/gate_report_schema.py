"""What `gates.json` holds: how the responses were judged, in counts. No post, no explanation, no name."""

from __future__ import annotations

from mentallama.records import Record, Split

GateReportRow = dict[str, str | int | float | bool | None]
"""One line of a table, by column."""


class DroppedResponse(Record):
    """One line of `dropped.jsonl`: a response that did not pass, without its text."""

    example_id: str
    post_id: str
    model: str
    set: str
    question: str
    label: str | None
    split: Split
    reasons: dict[str, str]
    """Gate -> why."""


class GateCounts(Record):
    """One gate over all responses.

    `threshold` is the recipe's setting; `drops` is False where the gate only reports; `alone` counts the responses
    that no other gate would have dropped; `note` says why it could judge none, or some not.
    """

    gate: str
    threshold: bool | float | tuple[int, ...] | None
    drops: bool
    judged: int
    failed: int
    sole_drops: int
    note: str | None = None


class LabelGateCounts(Record):
    """One gate over the responses about one set and label, the set's own; `rows` are those it judged."""

    gate: str
    set: str
    label: str
    high_risk: bool
    judged: int
    failed: int


class UnusableAnswers(Record):
    """What became of the answers about one label, before any other gate."""

    set: str
    label: str
    high_risk: bool
    rows: int
    refused: int
    unparsed: int
    truncated: int


class AcceptedCount(Record):
    """Accepted rows of one set, split and label."""

    set: str
    split: Split
    label: str
    rows: int


class TeacherCounts(Record):
    """One teacher's responses: how many there were, passed all gates, and were taken."""

    model: str
    responses: int
    passed: int
    accepted: int


class GateReport(Record):
    """`gates.json`."""

    responses: int
    accepted: int
    unanswered: int
    """Labelled questions without any response."""
    gates: tuple[GateCounts, ...]
    disabled: tuple[str, ...] = ()
    """Gates that the recipe has switched off."""
    teachers: tuple[TeacherCounts, ...] = ()
    accepted_by_label: tuple[AcceptedCount, ...] = ()
    failed_by_label: tuple[LabelGateCounts, ...] = ()
    unusable_answers: tuple[UnusableAnswers, ...] = ()
    consistency: tuple[GateReportRow, ...] = ()
    quality: tuple[GateReportRow, ...] = ()
    disagreements: GateReportRow = {}
    rating_sample: GateReportRow = {}
    notes: tuple[str, ...] = ()
