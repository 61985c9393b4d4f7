"""The human sample: rows drawn for raters, their ratings, and when to stop rating.

runs/NAME/review/sample.csv has a line for each drawn row. A rater writes their name and a score of 0 (worst) to 3
(best) on each aspect; a second rater copies the line and writes another name. Only `overall` decides: a row is poor
where the mean of its raters' scores is below 2. What was written stays in the file, also when its row is drawn no more.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from heapq import nsmallest
from itertools import chain, islice, zip_longest
from pathlib import Path
from statistics import fmean
from typing import Literal, NamedTuple

from mentallama.check.output.gate_report_schema import Figures
from mentallama.check.response_row import Row
from mentallama.errors import BadData
from mentallama.files.spreadsheet import Cells, read_sheet, shield, unshield, write_sheet
from mentallama.records import stable_id

ASPECTS = ("consistency", "reliability", "professionality", "overall")
"""As in the paper's human evaluation."""
COLUMNS = (
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
SCORES = ("0", "1", "2", "3")
POOR = 2.0
"""Mean overall score below which a row is poor."""
ALPHA, BETA = 0.05, 0.10
"""Risk of rejecting data with the acceptable share of poor rows, and of accepting data with the unacceptable one."""


class Rated(NamedTuple):
    """Which row a rating is of. An explanation that was written anew is another row."""

    example_id: str
    model: str
    explanation: str


@dataclass(frozen=True)
class Ratings:
    """The lines of a sample file, in its order."""

    lines: tuple[Cells, ...] = ()

    def overall(self) -> dict[Rated, list[int]]:
        """The overall scores of each row that has one, in the order of the file."""
        found: dict[Rated, list[int]] = defaultdict(list)
        for line in self.lines:
            if line["overall"]:
                found[_rated(line)].append(int(line["overall"]))
        return dict(found)


@dataclass(frozen=True)
class Standing:
    """Where the sequential test stands after `rated` rows; `more` is how many it takes at least, if none is poor."""

    result: Literal["accept", "reject", "rate more"]
    rated: int
    poor: int
    more: int


def draw(rows: Iterable[Row], size: int, seed: int, rated: Collection[Rated] = ()) -> list[Row]:
    """Draw rows as evenly over set, question and label as there are rows, by seed.

    Each round takes one row of every combination that has one left, until there are `size`; the last round takes the
    combinations in an order drawn by the seed. A larger sample holds a smaller one of the same rows. Rows that were
    rated before come first, so that no rating is done twice. Memory is `size` rows a combination.
    """
    strata: dict[tuple[str, str, str], list[tuple[bool, str, Row]]] = defaultdict(list)
    for row in rows:
        kept = strata[row.task.set, row.example.question, row.reading.label or ""]
        by_chance = stable_id("sample", str(seed), row.example.id, row.response.model)
        kept.append((rated_of(row) not in rated, by_chance, row))
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
    lines: dict[tuple[Rated, str], Cells] = {}
    rows_of: dict[tuple[Rated, str], int] = {}
    for number, cells in read_sheet(path, COLUMNS):
        line = cells | {name: cells[name].strip() for name in ("rater", *ASPECTS)}
        if not (line["example_id"] and line["model"]):
            raise BadData("example_id or model is empty", path, number)
        wrong = [name for name in ASPECTS if line[name] and line[name] not in SCORES]
        if wrong:
            raise BadData(f"{wrong[0]} is no score; write {', '.join(SCORES)} or nothing", path, number)
        key = _rated(line), line["rater"]
        if key in lines:
            raise BadData(f"the same row and rater as row {rows_of[key]}; keep one of them", path, number)
        lines[key], rows_of[key] = line, number
    return Ratings(tuple(lines.values()))


def write_sample(path: Path, drawn: Sequence[Row], ratings: Ratings) -> Ratings:
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
    known = {(_rated(line), line["rater"]): line for line in (*ratings.lines, *read_ratings(path).lines)}
    written: dict[Rated, list[Cells]] = defaultdict(list)
    for (rated, _), line in known.items():
        if _written_in(line):
            written[rated].append(line)
    lines: list[Cells] = []
    for row in drawn:
        lines += [line | _cells(row) for line in written.pop(rated_of(row), [_EMPTY])]
    write_sheet(path, COLUMNS, [*lines, *chain.from_iterable(written.values())])
    return Ratings(tuple(lines))


def sequential_test(
    poor: Iterable[bool],
    acceptable: float,
    unacceptable: float,
    alpha: float = ALPHA,
    beta: float = BETA,
) -> Standing:
    """Wald's sequential probability ratio test on the share of poor rows (Wald 1945, section 5).

    Ends at the first row that settles it; what was rated after that does not count.

    Parameters
    ----------
    poor
        Whether each row is poor, in the order of rating.
    acceptable, unacceptable
        Shares of poor rows, the first below the second.

    Examples
    --------
    >>> sequential_test([False] * 20, 0.05, 0.15)
    Standing(result='rate more', rated=20, poor=0, more=1)
    >>> sequential_test([False] * 21, 0.05, 0.15).result
    'accept'
    """
    if not 0 <= acceptable < unacceptable <= 1:
        raise ValueError("the acceptable share must be below the unacceptable one, both from 0 to 1")
    for_poor = _log_ratio(unacceptable, acceptable)
    for_good = _log_ratio(1 - unacceptable, 1 - acceptable)
    accept, reject = math.log(beta / (1 - alpha)), math.log((1 - beta) / alpha)
    evidence, count, bad = 0.0, 0, 0
    for count, is_poor in enumerate(poor, 1):
        bad += is_poor
        evidence += for_poor if is_poor else for_good
        if evidence >= reject:
            return Standing("reject", count, bad, 0)
        if evidence <= accept:
            return Standing("accept", count, bad, 0)
    return Standing("rate more", count, bad, max(1, math.ceil((evidence - accept) / -for_good)))


def poor_rows(ratings: Ratings) -> Iterator[bool]:
    """Whether each rated row is poor, in the order of the file."""
    return (fmean(scores) < POOR for scores in ratings.overall().values())


def sample_report(ratings: Ratings, acceptable: float, unacceptable: float) -> Figures:
    """Where the rating stands: rows, the test's result, and the mean score on each aspect (None without scores)."""
    test = sequential_test(poor_rows(ratings), acceptable, unacceptable)
    means: Figures = {}
    for aspect in ASPECTS:
        scores = [int(line[aspect]) for line in ratings.lines if line[aspect]]
        means[aspect] = round(fmean(scores), 2) if scores else None
    rows = {_rated(line) for line in ratings.lines}
    rated = ratings.overall()
    return {
        "result": test.result,
        "rows": len(rows),
        "rated": len(rated),
        "raters": len({line["rater"] for line in ratings.lines if line["overall"]}),
        "poor": sum(poor_rows(ratings)),
        "settled_after": test.rated if test.result != "rate more" else None,
        "more_at_least": test.more,
        **means,
    }


def rated_of(row: Row) -> Rated:
    """What a rating of this row is filed under."""
    return Rated(row.example.id, row.response.model, _flat(row.reading.explanation))


def _rated(line: Cells) -> Rated:
    return Rated(line["example_id"], line["model"], _flat(line["explanation"]))


def _flat(text: str) -> str:
    """As the file holds it, without what spreadsheets change in a long cell: line ends and spaces."""
    return " ".join(unshield(shield(text)).split())


_EMPTY: Cells = dict.fromkeys(("rater", *ASPECTS, "note"), "")


def _cells(row: Row) -> Cells:
    return {
        "example_id": row.example.id,
        "model": row.response.model,
        "set": row.task.set,
        "question": row.example.question,
        "label": row.reading.label or "",
        "post": row.post.text,
        "explanation": row.reading.explanation,
    }


def _written_in(line: Cells) -> bool:
    """Whether a rater has written in a line."""
    given = COLUMNS[: COLUMNS.index("rater")]
    return any(text.strip() for name, text in line.items() if name not in given)


def _log_ratio(above: float, below: float) -> float:
    if not below:
        return math.inf
    return math.log(above / below) if above else -math.inf
