"""A table of posts in, a table of the symptoms that they mention out.

    mentallama symptoms --data posts.csv --text body --id post_id --out symptoms.csv

A row of the output is a mention: the number of the post's row in a spreadsheet, its id if there is one, the symptom,
its status, the quotation with its place, and a column for each pack with the items that the symptom speaks for. Posts
without a mention have no row; one whose text cannot be read has a row with the `problem`. The file is complete or not
there at all, and one that exists is not replaced.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mentallama.errors import UsageError
from mentallama.files.atomic import atomic_write
from mentallama.files.tables.column_kinds import ColumnKind
from mentallama.files.tables.writers import OutputColumns, OutputFormat, table_writer
from mentallama.predict.tables.input_table import InputTable, PostRow, require_column
from mentallama.symptoms import SymptomMatcher, SymptomMention

ITEM_SEPARATOR = ", "
"""Between the items of a pack in a cell."""


@dataclass
class MentionCounts:
    """Posts read, posts with a mention, posts without a readable text, and mentions by symptom and status."""

    posts: int = 0
    with_mentions: int = 0
    unreadable: int = 0
    mentions: Counter[tuple[str, str]] = field(default_factory=Counter)


def write_mention_table(
    table: InputTable,
    out: Path,
    matcher: SymptomMatcher,
    *,
    id_column: str | None = None,
    language: str | None = None,
) -> MentionCounts:
    """Find the symptoms in the posts of a table and write them.

    Parameters
    ----------
    id_column
        Column whose values identify the posts in the output.
    language
        Code of the language of all posts; None: it is guessed for each.

    Raises
    ------
    UsageError
        The output is there already, its format is not known, or the table lacks a column of texts or of ids.
    DataError
        The table cannot be read.
    """
    format_ = OutputFormat.of(out)
    if os.path.lexists(out):
        raise UsageError(
            f"{out}: there is such a file already, and symptoms replaces none; choose another --out"
        )
    counts, seen = MentionCounts(), dict[str, None]()
    columns = OutputColumns(_column_kinds(id_column, matcher.packs))
    with (
        atomic_write(out) as partial,
        partial.open("wb") as file,
        table_writer(file, format_, columns) as write,
    ):
        for row in table.rows():
            seen.update(dict.fromkeys(row.values))
            for cells in _mention_rows(row, matcher, id_column, language, counts):
                write(cells)
        _require_columns(table, id_column, seen)  # before the output appears
    return counts


def _require_columns(table: InputTable, id_column: str | None, seen: Collection[str]) -> None:
    """Raise `UsageError` if no row has a column that was named; of a table without readable rows each row says why."""
    for option, column in [*(("--text", name) for name in table.text_columns), ("--id", id_column)]:
        if seen and column is not None:
            require_column(table.name, option, column, seen)


def _column_kinds(id_column: str | None, packs: Sequence[str]) -> dict[str, ColumnKind]:
    numbers = {"row", "start", "end"}
    names = ["row", "symptom", "status", "quotation", "start", "end", "language", *packs, "problem"]
    if id_column is not None:
        names.insert(1, "id")
    return {name: "integer" if name in numbers else "text" for name in names}


def _mention_rows(
    row: PostRow,
    matcher: SymptomMatcher,
    id_column: str | None,
    language: str | None,
    counts: MentionCounts,
) -> Iterator[Mapping[str, Any]]:
    """The rows of the output for a post, which is counted."""
    counts.posts += 1
    place: dict[str, Any] = {"row": row.number}
    if id_column is not None:
        place["id"] = row.values.get(id_column)
    if row.problem is not None:
        counts.unreadable += 1
        yield {**place, "problem": row.problem}
        return
    found = matcher.find(row.text, language)
    counts.with_mentions += bool(found.mentions)
    for mention in found.mentions:
        counts.mentions[mention.symptom, mention.status] += 1
        yield {**place, **mention_cells(mention), "language": found.language}


def mention_cells(mention: SymptomMention) -> dict[str, Any]:
    """The cells of a mention, with one for each pack that it speaks for."""
    cells: dict[str, Any] = mention.model_dump(exclude={"criteria"})
    return cells | {pack: ITEM_SEPARATOR.join(items) for pack, items in mention.criteria.items()}
