"""Read explanations that people rated: the release's `human_evaluation/DR_annotation/*.csv`, or tables like them.

Columns are `text` (the post), `label` (its reference label, as the task or its source files name it; may be empty or
missing), aspects such as `overall`, whose cells hold the scores of all raters (`[3, 2, 3]`), and one further column
with the rated answer, of any name. A column `reference` may hold an explanation to compare with. Columns that number
the rows are ignored.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mentallama.answers.label_codes import coded_labels
from mentallama.answers.parse import read_answer
from mentallama.errors import DataError, UsageError, counted
from mentallama.explanation_metrics.base import ExplanationCase
from mentallama.files.tables import TableLayout, is_table, read_table
from mentallama.records import RATING_SCORES, Example, stable_id
from mentallama.tasks import Task
from mentallama.text.fingerprint import text_key

ASPECTS: Final = ("fluency", "completeness", "consistency", "reliability", "professionality", "overall")
"""Aspects that people rate, in the order of tables: those of the release and of Yang et al. (2023, 2024)."""
OVERALL: Final = "overall"
TEXT_COLUMN, LABEL_COLUMN, REFERENCE_COLUMN, RESPONSE_COLUMN = "text", "label", "reference", "response"

_ROW_NUMBERS = re.compile(r"|unnamed: \d+|index|row|id")
_BRACKETS = re.compile(r"^\s*[\[(]|[\])]\s*$")
_SEPARATOR = re.compile(r"\s*[,;]\s*|\s+")
_MISSING = frozenset({"", "-", "na", "nan", "none", "null"})


@dataclass(frozen=True)
class RatedExplanation:
    """A rated answer: its place, the case that metrics score, and each aspect's scores by rater (NaN: missing)."""

    file: str
    row: int
    case: ExplanationCase
    ratings: Mapping[str, tuple[float, ...]]

    def mean(self, aspect: str) -> float:
        """Mean score of an aspect over the raters who gave one."""
        given = [score for score in self.ratings[aspect] if not math.isnan(score)]
        return sum(given) / len(given)


@dataclass(frozen=True)
class RatedExplanations:
    """The rows of all files. `duplicates` counts rows left out because their file has the same answer to the same post
    above them."""

    rows: tuple[RatedExplanation, ...]
    aspects: tuple[str, ...]
    duplicates: int = 0

    @property
    def files(self) -> tuple[str, ...]:
        """Names of the files, in the order of their rows."""
        return tuple(dict.fromkeys(row.file for row in self.rows))

    def ratings_of(self, aspect: str) -> NDArray[np.float64]:
        """Scores of an aspect, (rows, raters)."""
        return np.array([row.ratings[aspect] for row in self.rows], dtype=np.float64)

    def of_file(self, name: str) -> RatedExplanations:
        """The rows of one file."""
        return RatedExplanations(tuple(row for row in self.rows if row.file == name), self.aspects)


@dataclass(frozen=True)
class _Columns:
    """The columns of a table by what they hold."""

    response: str
    label: str | None
    reference: str | None
    aspects: Mapping[str, str]


def read_ratings(
    paths: Iterable[Path], task: Task, question: str, references: Mapping[str, str] | None = None
) -> RatedExplanations:
    """Read rated explanations from files, or from all tables of a folder.

    Parameters
    ----------
    references
        Reference explanations by `text_key` of the post, for rows that have none of their own.

    Raises
    ------
    UsageError
        There is no such file, or no table in the folder.
    DataError
        A column is missing or cannot be told, a label is none of the task's, a rating is not a whole number from 0 to
        3, or two rows have different numbers of raters.
    """
    files = _find_tables(paths)
    unique = len({file.name for file in files}) == len(files)
    kept: dict[tuple[str, str], RatedExplanation] = {}
    duplicates, first = 0, None
    for path in files:
        name = path.name if unique else str(path)
        for row in _read_file(path, name, task, question, references or {}):
            first = first or row
            _require_same_layout(row, first, path)
            duplicates += (name, row.case.example.id) in kept
            kept.setdefault((name, row.case.example.id), row)
    return RatedExplanations(tuple(kept.values()), tuple(first.ratings) if first else (), duplicates)


def _find_tables(paths: Iterable[Path]) -> list[Path]:
    found: list[Path] = []
    for path in paths:
        tables = sorted(file for file in path.iterdir() if is_table(file)) if path.is_dir() else [path]
        if not tables:
            raise UsageError(f"{path}: there is no table in this folder; name a file of ratings")
        found += tables
    return list(dict.fromkeys(found))


def _read_file(
    path: Path, name: str, task: Task, question: str, references: Mapping[str, str]
) -> Iterator[RatedExplanation]:
    columns = None
    for number, cells in read_table(path, layout=TableLayout(columns=(TEXT_COLUMN, OVERALL))):
        columns = columns or _find_columns(path, cells)
        try:
            ratings = {aspect: _scores(cells[column], aspect) for aspect, column in columns.aspects.items()}
            case = _case(cells, columns, task, question, references)
        except ValueError as fault:
            raise DataError(str(fault), path, number) from None
        yield RatedExplanation(name, number, case, ratings)


def _find_columns(path: Path, cells: Mapping[str, str]) -> _Columns:
    by_name = {name.strip().casefold(): name for name in cells}
    aspects: dict[str, str] = {aspect: by_name[aspect] for aspect in ASPECTS if aspect in by_name}
    known = {TEXT_COLUMN, LABEL_COLUMN, REFERENCE_COLUMN, *aspects}
    others = [
        name for folded, name in by_name.items() if folded not in known and not _ROW_NUMBERS.fullmatch(folded)
    ]
    if RESPONSE_COLUMN in by_name:
        others = [by_name[RESPONSE_COLUMN]]
    if len(others) != 1:
        found = f"{len(others)} columns may hold them" if others else "no column is left for them"
        raise DataError(f"{found}: the rated answers; call their column {RESPONSE_COLUMN}", path, 1)
    return _Columns(others[0], by_name.get(LABEL_COLUMN), by_name.get(REFERENCE_COLUMN), aspects)


def _scores(cell: str, aspect: str) -> tuple[float, ...]:
    """The ratings of a cell, one a rater; a missing one is NaN.

    >>> _scores("[3, 2, None]", "overall")
    (3.0, 2.0, nan)
    """
    parts = _SEPARATOR.split(_BRACKETS.sub("", cell).strip())
    scores = tuple(_score(part.strip("'\""), aspect) for part in parts)
    if all(map(math.isnan, scores)):
        raise ValueError(f"{aspect} has no rating; write those of all raters, such as [3, 2, 3]")
    return scores


def _score(part: str, aspect: str) -> float:
    if part.casefold() in _MISSING:
        return float("nan")
    if part.removesuffix(".0") not in RATING_SCORES:
        raise ValueError(f"{aspect} has a rating other than {', '.join(RATING_SCORES)}; correct or remove it")
    return float(part)


def _require_same_layout(row: RatedExplanation, first: RatedExplanation, path: Path) -> None:
    """Raise `DataError` unless a row has the aspects of the first row of all, and its number of raters in each."""
    if tuple(row.ratings) != tuple(first.ratings):
        here, there = (", ".join(rated.ratings) for rated in (row, first))
        raise DataError(
            f"it rates {here}, and {first.file} rates {there}; evaluate the files one by one", path
        )
    raters = len(first.ratings[OVERALL])
    for aspect, scores in row.ratings.items():
        if len(scores) != raters:
            raise DataError(
                f"{aspect} has {counted(len(scores), 'rating')}, where the first row has {raters} overall; write None "
                "for a rating that is missing",
                path,
                row.row,
            )


def _case(
    cells: Mapping[str, str], columns: _Columns, task: Task, question: str, references: Mapping[str, str]
) -> ExplanationCase:
    text, response = cells[TEXT_COLUMN], cells[columns.response]
    if not text.strip():
        raise ValueError("there is no text of a post")
    key = text_key(text)
    post_id = stable_id(task.set, key)
    example = Example(
        id=stable_id(post_id, question, response),
        post_id=post_id,
        task=task.set,
        question=question,
        form="instruction",
        text=text,
        label=None if columns.label is None else _label(cells[columns.label], task),
    )
    reading = read_answer(task, response)
    if reading.status in {"unparsed", "truncated"}:  # whatever it answers, people rated the whole text
        reading = reading.model_copy(update={"explanation": response.strip()})
    own = "" if columns.reference is None else cells[columns.reference].strip()
    return ExplanationCase(example=example, reading=reading, reference=own or references.get(key))


def _label(cell: str, task: Task) -> str | None:
    name = cell.strip()
    if not name:
        return None
    named: Sequence[str] = [label for label in task.labels if label.casefold() == name.casefold()]
    labels = named or tuple(coded_labels(task, name))
    if len(labels) != 1:
        raise ValueError(f"the label is none of {task.set}, which has {', '.join(task.labels)}")
    return labels[0]
