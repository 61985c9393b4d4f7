"""The rating sample: accepted rows drawn for human raters, their ratings, and when to stop rating.

runs/NAME/review/sample.csv has a row for each drawn response. A rater writes their name and a score of 0 (worst) to 3
(best) on each aspect; a second rater copies the row and writes another name. Only `overall` decides: a row is poor if
the mean of its raters' overall scores is below 2. What raters wrote stays in the file even if its row is no longer
drawn.
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

from mentallama.check.human_review.review_sheet import digest_human_input, has_human_input, read_keyed_rows
from mentallama.check.output.gate_report_schema import GateReportRow
from mentallama.check.response_rows import ResponseRow
from mentallama.files.spreadsheet import SheetRow, escape_formula, unescape_formula, write_sheet
from mentallama.metrics.sequential_test import sequential_test
from mentallama.records import POOR_RATING_BELOW, RATING_SCORES, stable_id
from mentallama.tasks.answer_values import answer_group

ASPECTS = ("consistency", "reliability", "professionality", "overall")
"""As in the paper's human evaluation."""
GENERATED_COLUMNS = ("example_id", "model", "set", "question", "label", "post", "explanation")
RATING_COLUMNS = (*GENERATED_COLUMNS, "rater", *ASPECTS, "note")


class RatingKey(NamedTuple):
    """Identifies a rated row. A rewritten explanation is a different row."""

    example_id: str
    model: str
    explanation: str


@dataclass(frozen=True)
class Ratings:
    """The rows of a sample file, in its order."""

    rows: tuple[SheetRow, ...] = ()

    def overall_scores(self) -> dict[RatingKey, list[int]]:
        """The overall scores of each row that has any, in the order of the file."""
        scores: dict[RatingKey, list[int]] = defaultdict(list)
        for cells in self.rows:
            if cells["overall"]:
                scores[_rating_key_of_cells(cells)].append(int(cells["overall"]))
        return dict(scores)


def draw_rating_sample(
    rows: Iterable[ResponseRow], size: int, seed: int, already_rated: Collection[RatingKey] = ()
) -> list[ResponseRow]:
    """Draw rows at random, as evenly over sets, questions and labels as their numbers allow.

    Each round takes one row of every stratum that has one left, until there are `size`; the last round takes the strata
    in an order drawn by the seed. A larger sample contains a smaller one of the same rows. Rows that were rated before
    come first, so that no rating is wasted. Memory is proportional to `size` rows per stratum.
    """
    strata: dict[tuple[str, str, str], list[tuple[bool, str, ResponseRow]]] = defaultdict(list)
    for row in rows:
        group = answer_group(row.task, row.reading.label) if row.reading.label is not None else ""
        stratum = strata[row.task.set, row.example.question, group]
        shuffle_key = stable_id("sample", str(seed), row.example.id, row.response.model)
        stratum.append((rating_key(row) not in already_rated, shuffle_key, row))
        if len(stratum) >= 2 * size:
            stratum[:] = nsmallest(size, stratum, key=lambda entry: entry[:2])
    order = sorted(strata, key=lambda names: stable_id("stratum", str(seed), *names))
    columns = [[row for *_, row in sorted(strata[names], key=lambda entry: entry[:2])] for names in order]
    round_robin = (row for row in chain.from_iterable(zip_longest(*columns)) if row is not None)
    return list(islice(round_robin, size))


def read_ratings(path: Path) -> Ratings:
    """Read a sample file; without a file nothing has been rated.

    Raises
    ------
    DataError
        The file is not a table, a column is missing, a score is not 0, 1, 2 or 3, or one rater has two rows of the same
        response.
    """
    return Ratings(tuple(_read_rows(path).values()))


def _read_rows(path: Path) -> dict[tuple[RatingKey, str], SheetRow]:
    return read_keyed_rows(path, RATING_COLUMNS, _parse_row, same="row and rater")


def _parse_row(cells: SheetRow) -> tuple[tuple[RatingKey, str], SheetRow]:
    row = cells | {name: cells[name].strip() for name in ("rater", *ASPECTS)}
    if not (row["example_id"] and row["model"]):
        raise ValueError("example_id or model is empty")
    invalid = [name for name in ASPECTS if row[name] and row[name] not in RATING_SCORES]
    if invalid:
        raise ValueError(f"{invalid[0]} is not a score; write {', '.join(RATING_SCORES)} or nothing")
    return (_rating_key_of_cells(row), row["rater"]), row


def write_rating_sample(path: Path, drawn: Sequence[ResponseRow], ratings: Ratings) -> Ratings:
    """Write the drawn rows in their order, each once per rater, then all other rows that a person has written in.

    Parameters
    ----------
    ratings
        As read when the run began. The file is read again, since a rater may have edited it in the meantime.

    Returns
    -------
    Ratings
        The drawn rows as they are now in the file.

    Raises
    ------
    DataError
        As for `read_ratings`; the file is left unchanged.
    """
    known = {(_rating_key_of_cells(row), row["rater"]): row for row in ratings.rows} | _read_rows(path)
    written: dict[RatingKey, list[SheetRow]] = defaultdict(list)
    for (key, _), row in known.items():
        if has_human_input(row, GENERATED_COLUMNS):
            written[key].append(row)
    rows: list[SheetRow] = []
    for response_row in drawn:
        rows += [row | _rating_row(response_row) for row in written.pop(rating_key(response_row), [_UNRATED])]
    write_sheet(path, RATING_COLUMNS, [*rows, *chain.from_iterable(written.values())])
    return Ratings(tuple(rows))


def ratings_digest(path: Path) -> str:
    """Digest of all scores and of the explanations they are about; notes and the order of rows do not change it."""
    return digest_human_input(
        (row["example_id"], row["model"], row["explanation"], row["rater"], *(row[name] for name in ASPECTS))
        for row in read_ratings(path).rows
        if any(row[name] for name in ASPECTS)
    )


def iter_poor(ratings: Ratings) -> Iterator[bool]:
    """Whether each rated row is poor, in the order of the file."""
    return (fmean(scores) < POOR_RATING_BELOW for scores in ratings.overall_scores().values())


def rating_sample_report(ratings: Ratings, acceptable: float, unacceptable: float) -> GateReportRow:
    """Summarise the ratings: counts, the result of the sequential test, and each aspect's mean score (None without
    scores).

    `decided_after` is the number of rated rows after which the test decided, `min_remaining` how many more it takes at
    least. `acceptable` and `unacceptable` are shares of poor rows.
    """
    test = sequential_test(iter_poor(ratings), acceptable, unacceptable)
    means: GateReportRow = {}
    for aspect in ASPECTS:
        scores = [int(row[aspect]) for row in ratings.rows if row[aspect]]
        means[aspect] = round(fmean(scores), 2) if scores else None
    return {
        "result": test.result,
        "rows": len({_rating_key_of_cells(row) for row in ratings.rows}),
        "rated": len(ratings.overall_scores()),
        "raters": len({row["rater"] for row in ratings.rows if row["overall"]}),
        "poor": sum(iter_poor(ratings)),
        "decided_after": test.rated if test.result != "rate more" else None,
        "min_remaining": test.min_remaining,
        **means,
    }


def rating_key(row: ResponseRow) -> RatingKey:
    """The key of a rating of this row."""
    return RatingKey(row.example.id, row.response.model, _as_stored(row.reading.explanation))


def _rating_key_of_cells(cells: SheetRow) -> RatingKey:
    return RatingKey(cells["example_id"], cells["model"], _as_stored(cells["explanation"]))


def _as_stored(text: str) -> str:
    """A text as read back from the file, without the line ends and spaces that spreadsheets change in long cells."""
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
