"""Schema of `gates.json`: how the responses were judged, in counts. It contains no post, explanation or name."""

from __future__ import annotations

from mentallama.records import Record, Split

GateReportRow = dict[str, str | int | float | bool | None]
"""One line of a table, by column."""


class DroppedResponse(Record):
    """One line of `dropped.jsonl`: a response that failed at least one gate, without its text. `reasons`: by gate."""

    example_id: str
    post_id: str
    model: str
    set: str
    question: str
    label: str | None
    split: Split
    reasons: dict[str, str]


class GateCounts(Record):
    """Counts of one gate over all responses.

    `passes_if` completes "a response passes if ..."; `threshold` is the recipe's setting; `drops` is False if the gate
    only reports; `sole_drops` counts the responses that no other gate would have dropped; `note` says why the gate
    could not judge some responses.
    """

    gate: str
    threshold: bool | float | tuple[int, ...] | None
    drops: bool
    judged: int
    failed: int
    sole_drops: int
    passes_if: str = ""
    note: str | None = None


class LabelGateCounts(Record):
    """Counts of one gate over the responses about one set and label; the label is the data set's."""

    gate: str
    set: str
    label: str
    high_risk: bool
    judged: int
    failed: int


class UnusableAnswers(Record):
    """Answers about one label that could not be parsed, by status; `rows` counts all answers."""

    set: str
    label: str
    high_risk: bool
    rows: int
    refused: int
    unparsed: int
    truncated: int


class AcceptedCount(Record):
    """Accepted rows of one set, split and label; of answers of several parts by how many labels or items they name."""

    set: str
    split: Split
    label: str
    rows: int


class AcceptedPartCount(Record):
    """Accepted rows of one set and split whose answer has a level in one of its parts."""

    set: str
    split: Split
    part: str
    level: str
    rows: int


class TeacherCounts(Record):
    """One teacher's responses: all, those that passed all gates, and those accepted."""

    model: str
    responses: int
    passed: int
    accepted: int


class GateTable(Record):
    """A gate's own table, such as its mean scores by set."""

    gate: str
    title: str
    rows: tuple[GateReportRow, ...]


class GateReport(Record):
    """`gates.json`."""

    responses: int
    accepted: int
    unanswered: int
    """Labelled questions without any response."""
    gates: tuple[GateCounts, ...]
    disabled: tuple[str, ...] = ()
    """Gates that the recipe disables."""
    teachers: tuple[TeacherCounts, ...] = ()
    accepted_by_label: tuple[AcceptedCount, ...] = ()
    accepted_by_part: tuple[AcceptedPartCount, ...] = ()
    failed_by_label: tuple[LabelGateCounts, ...] = ()
    unusable_answers: tuple[UnusableAnswers, ...] = ()
    tables: tuple[GateTable, ...] = ()
    disagreements: GateReportRow = {}
    rating_sample: GateReportRow = {}
    notes: tuple[str, ...] = ()
