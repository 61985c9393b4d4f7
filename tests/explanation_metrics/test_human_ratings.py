"""Reading of rated explanations: the release's layout, tables like it, and what is wrong with others."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mentallama.errors import DataError, UsageError
from mentallama.explanation_metrics.human_ratings import RatedExplanations, read_ratings
from mentallama.tasks import load_tasks
from mentallama.text.fingerprint import text_key
from tests.factories.rated_explanations import post_text, rated_row, rated_rows, write_rows

DR = load_tasks()["DR"]


def read(*paths: Path, references: dict[str, str] | None = None) -> RatedExplanations:
    return read_ratings(paths, DR, "depression", references)


def changed(**cells: str) -> dict[str, str]:
    return rated_row(1, "yes", 2) | cells


def test_the_releases_layout(tmp_path: Path) -> None:
    rated = read(write_rows(tmp_path / "a.csv", rated_rows(6)))
    assert rated.aspects == ("fluency", "completeness", "reliability", "overall")
    row = rated.rows[1]
    assert (row.file, row.row) == ("a.csv", 3)
    assert row.ratings["overall"] == (1.0, 1.0, 1.0)
    assert (row.case.example.label, row.case.reading.label) == ("yes", "yes")
    assert row.case.explanation == "The poster feels hopeless."
    assert rated.ratings_of("overall").shape == (6, 3)


@pytest.mark.parametrize("name", ["gpt3", "response", "What the model wrote"])
def test_the_answer_may_have_any_name(tmp_path: Path, name: str) -> None:
    row = changed()
    row[name] = row.pop("gpt-3.5-turbo")
    row[""] = "0"
    assert read(write_rows(tmp_path / "a.csv", [row])).rows[0].case.reading.label == "yes"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (changed(overall="[3, 4, 2]"), r"a.csv, row 2: overall has a rating other than 0, 1, 2, 3"),
        (changed(overall="[3, 2.5, 2]"), r"row 2: overall has a rating other than"),
        (changed(overall="good"), r"row 2: overall has a rating other than"),
        (changed(overall=""), r"row 2: overall has no rating"),
        (changed(fluency="[3, 3]"), r"row 2: fluency has 2 ratings, where the first row has 3 overall"),
        (changed(label="7"), r"row 2: the label is none of DR, which has yes, no"),
        (changed(label="perhaps"), r"row 2: the label is none of DR"),
        (changed(text="  "), r"row 2: there is no text of a post"),
        (changed(note="x"), r"2 columns may hold them: the rated answers; call their column response"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, row: dict[str, str], message: str) -> None:
    with pytest.raises(DataError, match=message) as fault:
        read(write_rows(tmp_path / "a.csv", [row]))
    assert "hopeless" not in str(fault.value)


def test_a_table_without_answers_or_without_overall_is_refused(tmp_path: Path) -> None:
    row = changed()
    with pytest.raises(DataError, match="no column is left for them"):
        read(write_rows(tmp_path / "a.csv", [row], [name for name in row if name != "gpt-3.5-turbo"]))
    with pytest.raises(DataError, match="no column 'overall'"):
        read(write_rows(tmp_path / "b.csv", [row], [name for name in row if name != "overall"]))


def test_files_that_differ_in_raters_or_aspects_are_refused(tmp_path: Path) -> None:
    three = write_rows(tmp_path / "three.csv", [changed()])
    pair = changed(**dict.fromkeys(("fluency", "completeness", "reliability", "overall"), "[1, 2]"))
    with pytest.raises(DataError, match=r"two.csv, row 2: fluency has 2 ratings"):
        read(three, write_rows(tmp_path / "two.csv", [pair]))
    fewer = [name for name in pair if name != "fluency"]
    with pytest.raises(DataError, match=r"it rates completeness, reliability, overall, and three.csv rates"):
        read(three, write_rows(tmp_path / "fewer.csv", [changed()], fewer))


def test_a_missing_rating_is_nan_and_left_out_of_the_mean(tmp_path: Path) -> None:
    row = read(write_rows(tmp_path / "a.csv", [changed(overall="[3, None, 2]")])).rows[0]
    assert math.isnan(row.ratings["overall"][1])
    assert row.mean("overall") == 2.5


def test_repeated_rows_of_a_file_are_counted_and_left_out(tmp_path: Path) -> None:
    rows = [changed(), changed(), changed(**{"gpt-3.5-turbo": "No."})]
    first, second = write_rows(tmp_path / "a.csv", rows), write_rows(tmp_path / "b.csv", rows[:1])
    rated = read(first, second)
    assert [(row.file, row.row) for row in rated.rows] == [("a.csv", 2), ("a.csv", 4), ("b.csv", 2)]
    assert rated.duplicates == 1
    assert [len(rated.of_file(name).rows) for name in rated.files] == [2, 1]


def test_an_unparsed_answer_is_rated_as_a_whole_and_a_refused_one_is_absent(tmp_path: Path) -> None:
    rows = [
        changed(**{"gpt-3.5-turbo": "The poster writes about evenings."}),
        changed(**{"gpt-3.5-turbo": "I'm sorry, but I can't provide a diagnosis."}),
        changed(**{"gpt-3.5-turbo": ""}),
    ]
    cases = [row.case for row in read(write_rows(tmp_path / "a.csv", rows)).rows]
    assert (cases[0].reading.label, cases[0].explanation) == (None, "The poster writes about evenings.")
    assert [case.absence for case in cases] == [None, "refused", "empty"]


def test_references_come_from_the_row_or_from_the_post(tmp_path: Path) -> None:
    known = {text_key(post_text(1)): "They feel hopeless."}
    rows = [changed(reference="Its own."), changed(reference="", **{"gpt-3.5-turbo": "No."})]
    rated = read(write_rows(tmp_path / "a.csv", rows), references=known)
    assert [row.case.reference for row in rated.rows] == ["Its own.", "They feel hopeless."]


def test_folders_and_missing_files(tmp_path: Path) -> None:
    write_rows(tmp_path / "b.csv", rated_rows(2))
    write_rows(tmp_path / "a.csv", rated_rows(2))
    (tmp_path / "notes.md").write_text("not a table")
    assert read(tmp_path).files == ("a.csv", "b.csv")
    with pytest.raises(UsageError, match="there is no such file"):
        read(tmp_path / "c.csv")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no table in this folder"):
        read(tmp_path / "empty")


@given(
    scores=st.lists(st.integers(0, 3), min_size=1, max_size=6),
    form=st.sampled_from(["[{}]", "({})", "{}", " [ {} ] "]),
    separator=st.sampled_from([",", ", ", ";", " "]),
)
def test_ratings_are_read_in_any_list_form(tmp_path_factory, scores, form, separator) -> None:
    cell = form.format(separator.join(map(str, scores)))
    row = changed(**dict.fromkeys(("fluency", "completeness", "reliability", "overall"), cell))
    path = write_rows(tmp_path_factory.mktemp("ratings") / "a.csv", [row])
    assert read(path).rows[0].ratings["overall"] == tuple(map(float, scores))
