"""A post as it stands in a file, and a row that cannot be used."""

from __future__ import annotations

from dataclasses import dataclass, field

from mentallama.records import Origin, Record, Split
from mentallama.tasks.answer_values import TypedQuotation


class Reject(Record):
    """A rejected row. `row` is its number in a spreadsheet; `reason` contains no post text."""

    file: str
    row: int
    reason: str


@dataclass(frozen=True)
class RawPost:
    """A post as read from a file. `split` is None if the file has no published split.

    `quotations` are those of answers of the kind spans, by question, as the file has them: they have yet to be located
    in the text.
    """

    set: str
    split: Split | None
    origin: Origin
    file: str
    row: int
    text: str
    labels: dict[str, str]
    language: str | None = None
    evidence: dict[str, str] = field(default_factory=dict)
    evidence_separator: str | None = None
    quotations: dict[str, tuple[TypedQuotation, ...]] = field(default_factory=dict)
    references: dict[str, str] = field(default_factory=dict)
    author: str | None = None
    thread: str | None = None
    time: str | None = None
