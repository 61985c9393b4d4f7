"""The sample for raters: who is drawn, what raters write, and when the sequential test ends."""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from pathlib import Path

import numpy as np
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
    sequential_test,
    write_rating_sample,
)
from mentallama.check.response_row import ResponseRow
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
    """Do as a rater with a spreadsheet: the header is row 1."""
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


def test_an_explanation_that_was_written_anew_has_not_been_rated(tmp_path: Path) -> None:
    path = tmp_path / "sample.csv"
    write_rating_sample(path, [accepted(1)], Ratings())
    edit(path, 2, rater="ann", overall="3")
    now = write_rating_sample(path, [accepted(1, explanation="Nothing weighs on them.")], read_ratings(path))
    assert now.overall_scores() == {}
    assert column(path, "overall") == ["", "3"]
    same = write_rating_sample(path, [accepted(1, explanation="The tone\n is calm.")], read_ratings(path))
    assert list(same.overall_scores().values()) == [[3]]  # a spreadsheet may change line ends


def test_ratings_written_while_a_run_works_are_not_lost(tmp_path: Path) -> None:
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
        ({"overall": "4"}, "overall is no score; write 0, 1, 2, 3 or nothing"),
        ({"reliability": "good"}, "reliability is no score"),
        ({"example_id": ""}, "example_id or model is empty"),
    ],
)
def test_what_is_no_rating_is_told_with_its_row(cells: dict[str, str], what: str, tmp_path: Path) -> None:
    path = tmp_path / "sample.csv"
    write_rating_sample(path, [accepted(1), accepted(2)], Ratings())
    edit(path, 3, **cells)
    before = path.read_bytes()
    for action in (lambda: read_ratings(path), lambda: write_rating_sample(path, [accepted(1)], Ratings())):
        with pytest.raises(DataError, match=what) as fault:
            action()
        assert fault.value.row == 3
    assert path.read_bytes() == before


def test_one_rater_rates_a_row_once(tmp_path: Path) -> None:
    path = tmp_path / "sample.csv"
    write_rating_sample(path, [accepted(1)], Ratings())
    edit(path, 2, rater="ann", overall="3")
    double(path, 2, overall="1")
    with pytest.raises(DataError, match="row 3: the same row and rater as row 2"):
        read_ratings(path)


def test_a_row_is_poor_where_its_raters_mean_is_below_two() -> None:
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
        "result": "rate more", "rows": 2, "rated": 1, "raters": 2, "poor": 0, "settled_after": None,
        "more_at_least": 20, "consistency": None, "reliability": 2.5, "professionality": None, "overall": 2.5,
    }  # fmt: skip


# At 5 and 15 %: a poor row adds ln(0.15/0.05) = 1.0986, a good one ln(0.85/0.95) = -0.1112.
# Reject from ln(0.9/0.05) = 2.8904, accept from ln(0.1/0.95) = -2.2513.


def test_good_rows_alone_are_accepted_at_the_21st() -> None:
    assert sequential_test([], 0.05, 0.15).min_remaining == 21  # 2.2513 / 0.1112 = 20.24
    assert sequential_test([False] * 20, 0.05, 0.15).result == "rate more"
    found = sequential_test([False] * 30, 0.05, 0.15)
    assert (found.result, found.rated, found.min_remaining) == ("accept", 21, 0)


def test_three_poor_rows_at_once_are_rejected() -> None:
    found = sequential_test([True, True, True, False], 0.05, 0.15)  # 3.2958
    assert (found.result, found.rated, found.poor) == ("reject", 3, 3)
    assert sequential_test([True, True], 0.05, 0.15).result == "rate more"  # 2.1972


def test_a_poor_row_among_good_ones_takes_ten_more() -> None:
    # 1.0986 - 2.2513 is (1.0986 + 2.2513) / 0.1112 = 30.12 good rows away
    assert sequential_test([True], 0.05, 0.15).min_remaining == 31
    assert sequential_test([True] + [False] * 30, 0.05, 0.15).min_remaining == 1
    assert sequential_test([True] + [False] * 31, 0.05, 0.15).result == "accept"


def test_the_order_counts_and_what_is_settled_stays_so() -> None:
    assert sequential_test([False] * 21 + [True] * 9, 0.05, 0.15).result == "accept"
    assert sequential_test([True] * 9 + [False] * 21, 0.05, 0.15).result == "reject"


def test_shares_at_the_edges() -> None:
    assert sequential_test([True], 0, 0.1).result == "reject"  # no poor row is acceptable
    assert sequential_test([False], 0.5, 1).result == "accept"  # only poor rows are unacceptable
    for shares in ((0.1, 0.1), (0.2, 0.1), (-0.1, 0.1), (0.5, 1.1)):
        with pytest.raises(ValueError, match="must be below"):
            sequential_test([], *shares)


@given(st.lists(st.booleans(), max_size=60), st.floats(0.01, 0.3), st.floats(0.02, 0.4))
def test_as_many_good_rows_as_were_told_settle_it(poor: list[bool], acceptable: float, gap: float) -> None:
    found = sequential_test(poor, acceptable, acceptable + gap)
    if found.result == "rate more":
        assert (
            sequential_test(poor + [False] * (found.min_remaining - 1), acceptable, acceptable + gap).result
            == "rate more"
        )
        assert (
            sequential_test(poor + [False] * (found.min_remaining + 1), acceptable, acceptable + gap).result
            == "accept"
        )


def test_error_rates_are_those_that_were_asked_for() -> None:
    # Wald: alpha' <= alpha / (1 - beta) = 0.0556 and beta' <= beta / (1 - alpha) = 0.1053. Over 1,000 runs the standard
    # error is at most 0.01, so 0.09 and 0.14 are more than three away.
    chance, runs = np.random.default_rng(7), 1000

    def share(poor: float, result: str) -> float:
        tests = (sequential_test((chance.random(2000) < poor).tolist(), 0.05, 0.15) for _ in range(runs))
        results = Counter(test.result for test in tests)
        assert results["rate more"] == 0
        return results[result] / runs

    assert 0.005 < share(0.05, "reject") < 0.09
    assert 0.02 < share(0.15, "accept") < 0.14
    assert math.isclose(share(0.5, "reject"), 1, abs_tol=0.01)
