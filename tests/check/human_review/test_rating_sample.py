"""The rating sample: which rows are drawn, and how ratings are read, kept and summarised."""

from __future__ import annotations

import csv
import io
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mentallama.check.human_review.rating_sample import (
    RATING_COLUMNS,
    Ratings,
    draw_rating_sample,
    iter_poor,
    rating_key,
    rating_sample_report,
    read_ratings,
    write_rating_sample,
)
from mentallama.check.response_rows import ResponseRow
from mentallama.errors import DataError
from mentallama.files.spreadsheet import read_sheet, write_sheet
from tests.factories.check_cases import post_of, row_for


def accepted(
    number: int, label: str = "no", explanation: str = "The tone is calm.", model: str = "teacher"
) -> ResponseRow:
    post = post_of("DR", f"Week {number} is grey.", {"depression": label}, number=number)
    sentence = {"yes": "Yes, the poster suffers", "no": "No, the poster does not suffer"}[label]
    return row_for(post, "depression", f"{sentence} from depression. Reasoning: {explanation}", model=model)


MANY = [accepted(n, "yes" if n < 3 else "no") for n in range(40)]


def labels(rows: list[ResponseRow]) -> Counter[str | None]:
    return Counter(row.reading.label for row in rows)


def edit(path: Path, row: int, **cells: str) -> None:
    """Edit a row as a rater would; the header is row 1."""
    lines = [cells for _, cells in read_sheet(path, RATING_COLUMNS)]
    lines[row - 2] |= cells
    write_sheet(path, RATING_COLUMNS, lines)


def double(path: Path, row: int, **cells: str) -> None:
    lines = [cells for _, cells in read_sheet(path, RATING_COLUMNS)]
    lines.insert(row - 1, lines[row - 2] | cells)
    write_sheet(path, RATING_COLUMNS, lines)


def column(path: Path, name: str) -> list[str]:
    rows = list(csv.DictReader(io.StringIO(path.read_bytes().decode("utf-8-sig"), newline="")))
    return [row[name] for row in rows]


def test_labels_are_drawn_as_evenly_as_there_are_rows() -> None:
    assert labels(draw_rating_sample(MANY, 4, seed=1)) == {"yes": 2, "no": 2}
    assert labels(draw_rating_sample(MANY, 10, seed=1)) == {"yes": 3, "no": 7}  # there are but three
    assert len(draw_rating_sample(MANY, 1000, seed=1)) == 40


def test_sets_and_questions_are_drawn_evenly_too() -> None:
    both = post_of("Irf", "No one calls.", {"thwarted belongingness": "no", "perceived burdensomeness": "no"})
    rows = [*MANY[3:], *(row_for(both, question) for question in both.labels)]
    drawn = Counter((row.task.set, row.example.question) for row in draw_rating_sample(rows, 6, seed=3))
    assert drawn == {
        ("DR", "depression"): 4, ("Irf", "thwarted belongingness"): 1, ("Irf", "perceived burdensomeness"): 1
    }  # fmt: skip


@given(st.integers(1, 45), st.integers(0, 5), st.permutations(range(40)))
def test_a_draw_depends_on_the_seed_alone_and_grows_by_more_rows(
    size: int, seed: int, order: list[int]
) -> None:
    drawn = draw_rating_sample([MANY[at] for at in order], size, seed)
    assert drawn == draw_rating_sample(MANY, size, seed)
    assert draw_rating_sample(MANY, size + 1, seed)[: len(drawn)] == drawn
    assert len(drawn) == min(size, 40)


def test_another_seed_draws_others() -> None:
    assert len({tuple(row.example.id for row in draw_rating_sample(MANY, 5, seed)) for seed in range(5)}) == 5


def test_rows_that_were_rated_before_are_drawn_first() -> None:
    late = [row for row in draw_rating_sample(MANY, 40, seed=1) if row.reading.label == "no"][-1]
    assert late not in draw_rating_sample(MANY, 6, seed=1)
    assert late in draw_rating_sample(MANY, 6, seed=1, already_rated={rating_key(late)})


def test_the_file_has_what_a_rater_needs(tmp_path: Path) -> None:
    path = tmp_path / "sample.csv"
    write_rating_sample(path, [accepted(1)], Ratings())
    header, line = csv.reader(io.StringIO(path.read_bytes().decode("utf-8-sig"), newline=""))
    assert tuple(header) == RATING_COLUMNS
    assert line == [
        accepted(1).example.id, "teacher", "DR", "depression", "no", "Week 1 is grey.", "The tone is calm.", *[""] * 6
    ]  # fmt: skip
    assert rating_sample_report(read_ratings(path), 0.05, 0.15)["result"] == "rate more"


def test_ratings_are_carried_and_count_for_the_drawn_rows_only(tmp_path: Path) -> None:
    path, rows = tmp_path / "sample.csv", [accepted(n) for n in range(3)]
    write_rating_sample(path, rows, Ratings())
    edit(path, 2, rater="ann", overall="3", note="clear")
    edit(path, 3, rater="ann", overall="1")
    double(path, 3, rater="bob", overall=" 2 ")
    ratings = read_ratings(path)
    assert list(ratings.overall_scores().values()) == [[3], [1, 2]]
    now = write_rating_sample(path, [rows[2], rows[1]], ratings)
    assert column(path, "example_id") == [rows[at].example.id for at in (2, 1, 1, 0)]
    assert column(path, "overall") == ["", "1", "2", "3"]
    assert list(now.overall_scores().values()) == [[1, 2]]
    assert column(path, "note")[-1] == "clear"
    again = write_rating_sample(path, rows, read_ratings(path))
    assert list(again.overall_scores().values()) == [[3], [1, 2]]


def test_a_rewritten_explanation_has_not_been_rated(tmp_path: Path) -> None:
    path = tmp_path / "sample.csv"
    write_rating_sample(path, [accepted(1)], Ratings())
    edit(path, 2, rater="ann", overall="3")
    now = write_rating_sample(path, [accepted(1, explanation="Nothing weighs on them.")], read_ratings(path))
    assert now.overall_scores() == {}
    assert column(path, "overall") == ["", "3"]
    same = write_rating_sample(path, [accepted(1, explanation="The tone\n is calm.")], read_ratings(path))
    assert list(same.overall_scores().values()) == [[3]]  # a spreadsheet may change line ends


def test_ratings_written_during_a_run_are_not_lost(tmp_path: Path) -> None:
    path, rows = tmp_path / "sample.csv", [accepted(n) for n in range(2)]
    write_rating_sample(path, rows, Ratings())
    edit(path, 2, rater="ann", overall="3")
    at_start = read_ratings(path)
    edit(path, 3, rater="ann", overall="0")
    now = write_rating_sample(path, rows, at_start)
    assert list(now.overall_scores().values()) == [[3], [0]]
    path.unlink()
    write_rating_sample(path, rows, now)
    assert column(path, "overall") == ["3", "0"]


@pytest.mark.parametrize(
    ("cells", "what"),
    [
        ({"overall": "4"}, "overall is not a score; write 0, 1, 2, 3 or nothing"),
        ({"reliability": "good"}, "reliability is not a score"),
        ({"example_id": ""}, "example_id or model is empty"),
    ],
)
def test_an_invalid_score_is_an_error_that_names_the_row(
    cells: dict[str, str], what: str, tmp_path: Path
) -> None:
    path = tmp_path / "sample.csv"
    write_rating_sample(path, [accepted(1), accepted(2)], Ratings())
    edit(path, 3, **cells)
    before = path.read_bytes()
    for action in (lambda: read_ratings(path), lambda: write_rating_sample(path, [accepted(1)], Ratings())):
        with pytest.raises(DataError, match=what) as fault:
            action()
        assert fault.value.row == 3
    assert path.read_bytes() == before


def test_two_rows_of_one_response_by_one_rater_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "sample.csv"
    write_rating_sample(path, [accepted(1)], Ratings())
    edit(path, 2, rater="ann", overall="3")
    double(path, 2, overall="1")
    with pytest.raises(DataError, match="row 3: the same row and rater as row 2"):
        read_ratings(path)


def test_a_row_is_poor_if_its_raters_mean_is_below_two() -> None:
    lines = [
        {"example_id": row, "model": "m", "explanation": "e", "rater": rater, "overall": score}
        for row, rater, score in [("a", "x", "2"), ("b", "x", "1"), ("b", "y", "3"), ("c", "x", "1"), ("c", "y", "2"),
                                  ("d", "x", "")]
    ]  # fmt: skip
    assert list(iter_poor(Ratings(tuple(lines)))) == [False, False, True]


def test_the_report_has_the_result_and_the_means(tmp_path: Path) -> None:
    path, rows = tmp_path / "sample.csv", [accepted(n) for n in range(2)]
    write_rating_sample(path, rows, Ratings())
    edit(path, 2, rater="ann", overall="3", reliability="2")
    double(path, 2, rater="bob", overall="2", reliability="3")
    assert rating_sample_report(read_ratings(path), 0.05, 0.15) == {
        "result": "rate more", "rows": 2, "rated": 1, "raters": 2, "poor": 0, "decided_after": None,
        "min_remaining": 20, "consistency": None, "reliability": 2.5, "professionality": None, "overall": 2.5,
    }  # fmt: skip
