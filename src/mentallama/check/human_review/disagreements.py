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

from mentallama.check.response_row import Row
from mentallama.errors import BadData
from mentallama.files.spreadsheet import Cells, read_sheet, write_sheet

COLUMNS = (
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

DROPPING = ("set", "drop")
"""Those that drop the response."""


class Key(NamedTuple):
    """What a decision is about: a response, and the two labels at odds."""

    example_id: str
    model: str
    label: str
    teacher_label: str


@dataclass(frozen=True)
class Decisions:
    """The lines of a review file, in its order."""

    lines: Mapping[Key, Cells] = field(default_factory=dict)

    def of(self, row: Row) -> str:
        """What a person decided of a response; "" where nobody has."""
        line = self.lines.get(key_of(row))
        return "" if line is None else line["decision"]

    @property
    def decided(self) -> dict[Key, str]:
        """Decisions that were made."""
        return {key: line["decision"] for key, line in self.lines.items() if line["decision"]}


def read_decisions(path: Path) -> Decisions:
    """Read a review file whole; without a file nothing has been decided.

    Raises
    ------
    BadData
        No table, a column is missing, a word in `decision` that means nothing, two lines about the same response and
        labels. The file is left as it is.
    """
    lines: dict[Key, Cells] = {}
    rows_of: dict[Key, int] = {}
    for number, cells in read_sheet(path, COLUMNS):
        line = cells | {"decision": cells["decision"].strip().lower()}
        key = Key(*(line[name] for name in Key._fields))
        if not all(key):
            raise BadData("example_id, model, label or teacher_label is empty", path, number)
        if line["decision"] and line["decision"] not in DECISIONS:
            allowed = ", ".join(DECISIONS)
            raise BadData(
                f"decision holds a word that means nothing; write {allowed} or nothing", path, number
            )
        if key in lines:
            raise BadData(f"the same response as row {rows_of[key]}; keep one of them", path, number)
        lines[key], rows_of[key] = line, number
    return Decisions(lines)


def write_review(path: Path, disagreements: Iterable[Row], decisions: Decisions) -> int:
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
    known = {key: line for key, line in decisions.lines.items() if _written_in(line)}
    known |= read_decisions(path).lines
    lines = {key_of(row): _line(row) for row in disagreements}
    for key, written in known.items():
        if key in lines:
            lines[key] = written | lines[key] | {name: written[name] for name in ("decision", "note")}
        elif _written_in(written):
            lines[key] = written
    write_sheet(path, COLUMNS, lines.values())
    return sum(not line["decision"] for line in lines.values())


def decisions_digest(path: Path) -> str:
    """64 hexadecimal digits of all decisions: the same whatever is undecided, noted, or in which order they stand."""
    decided = sorted((*key, decision) for key, decision in read_decisions(path).decided.items())
    return hashlib.sha256(repr(decided).encode("utf-8", "surrogatepass")).hexdigest()


def disagrees(row: Row) -> bool:
    """Whether the answer gives another label than the set; False where either gives none."""
    return row.reading.label is not None and row.example.label not in (None, row.reading.label)


def key_of(row: Row) -> Key:
    """What a decision about this response is filed under."""
    return Key(row.example.id, row.response.model, row.example.label or "", row.reading.label or "")


def _line(row: Row) -> Cells:
    key = key_of(row)
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


def _written_in(line: Cells) -> bool:
    """Whether a person has written in a line."""
    own = (text for name, text in line.items() if name not in COLUMNS)
    return any(text.strip() for text in (line["decision"], line["note"], *own))
