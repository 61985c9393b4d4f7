"""The review file: where a teacher's label is not the set's, a person decides.

runs/NAME/review/disagreements.csv has a line for each such response. The person writes one word into `decision`:

- `set`: the set's label is right. The response is dropped, for it argues for a wrong label.
- `teacher`: the teacher's label is right. The response is accepted with the teacher's label.
- `drop`: neither label is right, or the response is no good. It is dropped.
- nothing: not yet decided. It is dropped for now.

`note` is free text, and so is any column that a person adds. A decision holds for the two labels it was made about: a
teacher that answers otherwise another time is another line. What a person wrote is never lost: lines with a decision, a
note or text in a column of their own stay in the file, also when their response is no longer a disagreement.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from mentallama.check.response_row import ResponseRow
from mentallama.errors import DataError
from mentallama.files.spreadsheet import SheetRow, read_sheet, write_sheet

DISAGREEMENT_COLUMNS = (
    "example_id",
    "model",
    "set",
    "question",
    "label",
    "teacher_label",
    "post",
    "explanation",
    "decision",
    "note",
)
DECISIONS: Mapping[str, str] = MappingProxyType(
    {
        "set": "the set's label is right; the response is dropped",
        "teacher": "the teacher's label is right; the response is accepted with it",
        "drop": "the response is dropped, whichever label is right",
    }
)
"""The words that `decision` may hold, and what each does."""

DROP_DECISIONS = ("set", "drop")
"""Those that drop the response."""


class DecisionKey(NamedTuple):
    """What a decision is about: a response, and the two labels at odds."""

    example_id: str
    model: str
    label: str
    teacher_label: str


@dataclass(frozen=True)
class Decisions:
    """The lines of a review file, in its order."""

    rows: Mapping[DecisionKey, SheetRow] = field(default_factory=dict)

    def get(self, row: ResponseRow) -> str:
        """What a person decided of a response; "" where nobody has."""
        line = self.rows.get(decision_key(row))
        return "" if line is None else line["decision"]

    @property
    def decided(self) -> dict[DecisionKey, str]:
        """Decisions that were made."""
        return {key: line["decision"] for key, line in self.rows.items() if line["decision"]}


def read_decisions(path: Path) -> Decisions:
    """Read a review file whole; without a file nothing has been decided.

    Raises
    ------
    BadData
        No table, a column is missing, a word in `decision` that means nothing, two lines about the same response and
        labels. The file is left as it is.
    """
    lines: dict[DecisionKey, SheetRow] = {}
    rows_of: dict[DecisionKey, int] = {}
    for number, cells in read_sheet(path, DISAGREEMENT_COLUMNS):
        line = cells | {"decision": cells["decision"].strip().lower()}
        key = DecisionKey(*(line[name] for name in DecisionKey._fields))
        if not all(key):
            raise DataError("example_id, model, label or teacher_label is empty", path, number)
        if line["decision"] and line["decision"] not in DECISIONS:
            allowed = ", ".join(DECISIONS)
            raise DataError(
                f"decision holds a word that means nothing; write {allowed} or nothing", path, number
            )
        if key in lines:
            raise DataError(f"the same response as row {rows_of[key]}; keep one of them", path, number)
        lines[key], rows_of[key] = line, number
    return Decisions(lines)


def write_disagreements(path: Path, disagreements: Iterable[ResponseRow], decisions: Decisions) -> int:
    """Write the disagreements, in their order, then all lines that a person has written in; returns those undecided.

    Parameters
    ----------
    disagreements
        Rows whose answer gives another label than the set.
    decisions
        What was read when the run began. The file is read once more, for a person may have worked in it meanwhile.

    Raises
    ------
    BadData
        As for `read_decisions`; the file is left as it is.
    """
    known = {key: line for key, line in decisions.rows.items() if _has_decision_or_note(line)}
    known |= read_decisions(path).rows
    lines = {decision_key(row): _disagreement_row(row) for row in disagreements}
    for key, written in known.items():
        if key in lines:
            lines[key] = written | lines[key] | {name: written[name] for name in ("decision", "note")}
        elif _has_decision_or_note(written):
            lines[key] = written
    write_sheet(path, DISAGREEMENT_COLUMNS, lines.values())
    return sum(not line["decision"] for line in lines.values())


def decisions_digest(path: Path) -> str:
    """64 hexadecimal digits of all decisions: the same whatever is undecided, noted, or in which order they stand."""
    decided = sorted((*key, decision) for key, decision in read_decisions(path).decided.items())
    return hashlib.sha256(repr(decided).encode("utf-8", "surrogatepass")).hexdigest()


def disagrees(row: ResponseRow) -> bool:
    """Whether the answer gives another label than the set; False where either gives none."""
    return row.reading.label is not None and row.example.label not in (None, row.reading.label)


def decision_key(row: ResponseRow) -> DecisionKey:
    """What a decision about this response is filed under."""
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


def _has_decision_or_note(line: SheetRow) -> bool:
    """Whether a person has written in a line."""
    own = (text for name, text in line.items() if name not in DISAGREEMENT_COLUMNS)
    return any(text.strip() for text in (line["decision"], line["note"], *own))
