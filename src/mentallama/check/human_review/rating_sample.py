"""The human sample: rows drawn for raters, their ratings, and when to stop rating.

runs/NAME/review/sample.csv has a line for each drawn row. A rater writes their name and a score of 0 (worst) to 3
(best) on each aspect; a second rater copies the line and writes another name. Only `overall` decides: a row is poor
where the mean of its raters' scores is below 2. What was written stays in the file, also when its row is drawn no more.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from heapq import nsmallest
from itertools import chain, islice, zip_longest
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from mentallama.check.output.gate_report_schema import GateReportRow
from mentallama.check.response_row import ResponseRow
from mentallama.errors import DataError
from mentallama.files.spreadsheet import SheetRow, escape_formula, read_sheet, unescape_formula, write_sheet
from mentallama.metrics.sequential_test import sequential_test
from mentallama.records import RATING_SCORES, stable_id

ASPECTS = ("consistency", "reliability", "professionality", "overall")
"""As in the paper's human evaluation."""
RATING_COLUMNS = (
    "example_id",
    "model",
    "set",
    "question",
    "label",
    "post",
    "explanation",
    "rater",
    *ASPECTS,
    "note",
)
POOR_BELOW = 2.0
"""Mean overall score below which a row is poor."""


class RatingKey(NamedTuple):
    """Which row a rating is of. An explanation that was written anew is another row."""

    example_id: str
    model: str
    explanation: str


@dataclass(frozen=True)
class Ratings:
    """The lines of a sample file, in its order."""

    rows: tuple[SheetRow, ...] = ()

    def overall_scores(self) -> dict[RatingKey, list[int]]:
        """The overall scores of each row that has one, in the order of the file."""
        found: dict[RatingKey, list[int]] = defaultdict(list)
        for line in self.rows:
            if line["overall"]:
                found[_rating_key_of_cells(line)].append(int(line["overall"]))
        return dict(found)


def draw_rating_sample(
    rows: Iterable[ResponseRow], size: int, seed: int, already_rated: Collection[RatingKey] = ()
) -> list[ResponseRow]:
    """Draw rows as evenly over set, question and label as there are rows, by seed.

    Each round takes one row of every combination that has one left, until there are `size`; the last round takes the
    combinations in an order drawn by the seed. A larger sample holds a smaller one of the same rows. Rows that were
    rated before come first, so that no rating is done twice. Memory is `size` rows a combination.
    """
    strata: dict[tuple[str, str, str], list[tuple[bool, str, ResponseRow]]] = defaultdict(list)
    for row in rows:
        kept = strata[row.task.set, row.example.question, row.reading.label or ""]
        by_chance = stable_id("sample", str(seed), row.example.id, row.response.model)
        kept.append((rating_key(row) not in already_rated, by_chance, row))
        if len(kept) >= 2 * size:
            kept[:] = nsmallest(size, kept, key=lambda each: each[:2])
    order = sorted(strata, key=lambda names: stable_id("stratum", str(seed), *names))
    columns = [[row for *_, row in sorted(strata[names], key=lambda each: each[:2])] for names in order]
    in_turn = (row for row in chain.from_iterable(zip_longest(*columns)) if row is not None)
    return list(islice(in_turn, size))


def read_ratings(path: Path) -> Ratings:
    """Read a sample file whole; without a file nothing has been rated.

    Raises
    ------
    BadData
        No table, a column is missing, a score that is not 0, 1, 2 or 3, two lines of one row by the same rater.
    """
    lines: dict[tuple[RatingKey, str], SheetRow] = {}
    rows_of: dict[tuple[RatingKey, str], int] = {}
    for number, cells in read_sheet(path, RATING_COLUMNS):
        line = cells | {name: cells[name].strip() for name in ("rater", *ASPECTS)}
        if not (line["example_id"] and line["model"]):
            raise DataError("example_id or model is empty", path, number)
        wrong = [name for name in ASPECTS if line[name] and line[name] not in RATING_SCORES]
        if wrong:
            raise DataError(
                f"{wrong[0]} is no score; write {', '.join(RATING_SCORES)} or nothing", path, number
            )
        key = _rating_key_of_cells(line), line["rater"]
        if key in lines:
            raise DataError(f"the same row and rater as row {rows_of[key]}; keep one of them", path, number)
        lines[key], rows_of[key] = line, number
    return Ratings(tuple(lines.values()))


def write_rating_sample(path: Path, drawn: Sequence[ResponseRow], ratings: Ratings) -> Ratings:
    """Write the drawn rows in their order, each with its raters' lines, then all other lines that were written in.

    Parameters
    ----------
    ratings
        What was read when the run began. The file is read once more, for a rater may have worked in it meanwhile.

    Returns
    -------
    Ratings
        Of the drawn rows, as the file has them now.

    Raises
    ------
    BadData
        As for `read_ratings`; the file is left as it is.
    """
    known = {
        (_rating_key_of_cells(line), line["rater"]): line
        for line in (*ratings.rows, *read_ratings(path).rows)
    }
    written: dict[RatingKey, list[SheetRow]] = defaultdict(list)
    for (rated, _), line in known.items():
        if _has_rating_or_note(line):
            written[rated].append(line)
    lines: list[SheetRow] = []
    for row in drawn:
        lines += [line | _rating_row(row) for line in written.pop(rating_key(row), [_UNRATED])]
    write_sheet(path, RATING_COLUMNS, [*lines, *chain.from_iterable(written.values())])
    return Ratings(tuple(lines))


def iter_poor(ratings: Ratings) -> Iterator[bool]:
    """Whether each rated row is poor, in the order of the file."""
    return (fmean(scores) < POOR_BELOW for scores in ratings.overall_scores().values())


def rating_sample_report(ratings: Ratings, acceptable: float, unacceptable: float) -> GateReportRow:
    """Where the rating stands: rows, the test's result, and the mean score on each aspect (None without scores)."""
    test = sequential_test(iter_poor(ratings), acceptable, unacceptable)
    means: GateReportRow = {}
    for aspect in ASPECTS:
        scores = [int(line[aspect]) for line in ratings.rows if line[aspect]]
        means[aspect] = round(fmean(scores), 2) if scores else None
    rows = {_rating_key_of_cells(line) for line in ratings.rows}
    rated = ratings.overall_scores()
    return {
        "result": test.result,
        "rows": len(rows),
        "rated": len(rated),
        "raters": len({line["rater"] for line in ratings.rows if line["overall"]}),
        "poor": sum(iter_poor(ratings)),
        "decided_after": test.rated if test.result != "rate more" else None,
        "min_remaining": test.min_remaining,
        **means,
    }


def rating_key(row: ResponseRow) -> RatingKey:
    """What a rating of this row is filed under."""
    return RatingKey(row.example.id, row.response.model, _as_stored(row.reading.explanation))


def _rating_key_of_cells(line: SheetRow) -> RatingKey:
    return RatingKey(line["example_id"], line["model"], _as_stored(line["explanation"]))


def _as_stored(text: str) -> str:
    """As the file holds it, without what spreadsheets change in a long cell: line ends and spaces."""
    return " ".join(unescape_formula(escape_formula(text)).split())


_UNRATED: SheetRow = dict.fromkeys(("rater", *ASPECTS, "note"), "")


def _rating_row(row: ResponseRow) -> SheetRow:
    return {
        "example_id": row.example.id,
        "model": row.response.model,
        "set": row.task.set,
        "question": row.example.question,
        "label": row.reading.label or "",
        "post": row.post.text,
        "explanation": row.reading.explanation,
    }


def _has_rating_or_note(line: SheetRow) -> bool:
    """Whether a rater has written in a line."""
    given = RATING_COLUMNS[: RATING_COLUMNS.index("rater")]
    return any(text.strip() for name, text in line.items() if name not in given)
