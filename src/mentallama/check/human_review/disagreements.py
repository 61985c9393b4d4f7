"""The review file of label disagreements: where a teacher's label differs from the data set's, a person decides.

runs/NAME/review/disagreements.csv has a row for each such response. The reviewer writes one word into `decision`:

- `set`: the data set's label is right. The response is dropped, as it argues for a wrong label.
- `teacher`: the teacher's label is right. The response is accepted with the teacher's label.
- `drop`: neither label is right, or the response is unusable. It is dropped.
- nothing: not yet decided. It is dropped for now.

`note` is free text, and so is any column that a reviewer adds. A decision applies to the two labels it was made about;
if the teacher answers differently another time, that is another row. What reviewers wrote is never lost: rows with a
decision, a note or text in an added column stay in the file even if their response is no longer a disagreement.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from mentallama.answers.composite.agreement import answers_agree
from mentallama.check.human_review.review_sheet import digest_human_input, has_human_input, read_keyed_rows
from mentallama.check.response_rows import ResponseRow
from mentallama.files.spreadsheet import SheetRow, write_sheet

GENERATED_COLUMNS = (
    "example_id",
    "model",
    "set",
    "question",
    "label",
    "teacher_label",
    "post",
    "explanation",
)
DISAGREEMENT_COLUMNS = (*GENERATED_COLUMNS, "decision", "note")
DECISIONS: Mapping[str, str] = MappingProxyType(
    {
        "set": "the set's label is right; the response is dropped",
        "teacher": "the teacher's label is right; the response is accepted with it",
        "drop": "the response is dropped, whichever label is right",
    }
)
"""Allowed values of `decision`, and their effects."""

DROP_DECISIONS = ("set", "drop")
"""Decisions that drop the response."""


class DecisionKey(NamedTuple):
    """The subject of a decision: a response and the two labels that disagree."""

    example_id: str
    model: str
    label: str
    teacher_label: str


@dataclass(frozen=True)
class Decisions:
    """The rows of a review file, in its order."""

    rows: Mapping[DecisionKey, SheetRow] = field(default_factory=dict)

    def get(self, row: ResponseRow) -> str:
        """The decision on a response; "" if there is none yet."""
        cells = self.rows.get(decision_key(row))
        return "" if cells is None else cells["decision"]

    @property
    def decided(self) -> dict[DecisionKey, str]:
        """All decisions made so far."""
        return {key: cells["decision"] for key, cells in self.rows.items() if cells["decision"]}


def read_decisions(path: Path) -> Decisions:
    """Read a review file; without a file nothing has been decided.

    Raises
    ------
    DataError
        The file is not a table, a column is missing, a `decision` is not an allowed word, or two rows are about the
        same response and labels.
    """
    return Decisions(read_keyed_rows(path, DISAGREEMENT_COLUMNS, _parse_row, same="response"))


def _parse_row(cells: SheetRow) -> tuple[DecisionKey, SheetRow]:
    row = cells | {"decision": cells["decision"].strip().lower()}
    key = DecisionKey(*(row[name] for name in DecisionKey._fields))
    if not all(key):
        raise ValueError("example_id, model, label or teacher_label is empty")
    if row["decision"] and row["decision"] not in DECISIONS:
        raise ValueError(f"decision is not one of {', '.join(DECISIONS)}; write one of them or nothing")
    return key, row


def write_disagreements(path: Path, disagreements: Iterable[ResponseRow], decisions: Decisions) -> None:
    """Write the disagreements, in their order, then all other rows that a person has written in.

    Parameters
    ----------
    disagreements
        Rows whose answer gives another label than the data set.
    decisions
        As read when the run began. The file is read again, since someone may have edited it in the meantime.

    Raises
    ------
    DataError
        As for `read_decisions`; the file is left unchanged.
    """
    written = {key: row for key, row in decisions.rows.items() if has_human_input(row, GENERATED_COLUMNS)}
    written |= read_decisions(path).rows
    rows = {decision_key(row): _disagreement_row(row) for row in disagreements}
    for key, old_row in written.items():
        if key in rows:
            rows[key] = old_row | rows[key] | {name: old_row[name] for name in ("decision", "note")}
        elif has_human_input(old_row, GENERATED_COLUMNS):
            rows[key] = old_row
    write_sheet(path, DISAGREEMENT_COLUMNS, rows.values())


def decisions_digest(path: Path) -> str:
    """Digest of all decisions; notes, undecided rows and the order of rows do not change it."""
    return digest_human_input((*key, decision) for key, decision in read_decisions(path).decided.items())


def disagrees(row: ResponseRow) -> bool:
    """Whether the answer gives another label than the data set; False if either gives none."""
    ours, theirs = row.example.label, row.reading.label
    return None not in (ours, theirs) and not answers_agree(row.task, row.post.text, str(ours), str(theirs))


def decision_key(row: ResponseRow) -> DecisionKey:
    """The key of a decision about this response."""
    return DecisionKey(row.example.id, row.response.model, row.example.label or "", row.reading.label or "")


def _disagreement_row(row: ResponseRow) -> SheetRow:
    key = decision_key(row)
    return {
        "example_id": key.example_id,
        "model": key.model,
        "set": row.task.set,
        "question": row.example.question,
        "label": key.label,
        "teacher_label": key.teacher_label,
        "post": row.post.text,
        "explanation": row.reading.explanation,
        "decision": "",
        "note": "",
    }
