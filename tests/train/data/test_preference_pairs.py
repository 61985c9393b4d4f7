"""Preference pairs: of a run, of its ratings, and of a file."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from mentallama.config import Check
from mentallama.errors import DataError, UsageError
from mentallama.files.record_files import write_records
from mentallama.records import example_of
from mentallama.run_files import RATING_SAMPLE_PATH, VERDICTS_PATH
from mentallama.train.data.preference_pairs import load_preferences
from tests.factories.causal_cases import NO, YES, posts
from tests.factories.preference_cases import BEST, WORST, make_run, with_verdicts


def test_pairs_of_a_run_follow_from_verdicts(tmp_path: Path) -> None:
    with_verdicts(tmp_path)
    data = load_preferences(make_run(tmp_path, tmp_path / "base"), tmp_path)
    assert (len(data.train), len(data.validation)) == (24, 8)
    for pair in data.train:
        label = pair.example.label or ""
        assert (pair.chosen, pair.rejected) == (BEST[label], WORST[label])
    report_only = make_run(tmp_path, tmp_path / "base").model_copy(
        update={"check": Check(report_only=("label_match",))}
    )
    with pytest.raises(UsageError, match="there are no training pairs"):
        load_preferences(report_only, tmp_path)


def test_a_response_rated_as_poor_is_rejected(tmp_path: Path) -> None:
    with_verdicts(tmp_path)
    write_records(tmp_path / VERDICTS_PATH, [])
    example = example_of(posts("train", 1)[0], "stress", "instruction")
    path = tmp_path / RATING_SAMPLE_PATH
    path.parent.mkdir()
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerows(
            [["example_id", "model", "overall"], [example.id, "first", "1"], [example.id, "first", "2"]]
        )
    with pytest.raises(UsageError, match="there are no validation pairs"):
        load_preferences(make_run(tmp_path, tmp_path / "base"), tmp_path)
    validation = example_of(posts("validation", 1, 24)[0], "stress", "instruction")
    with path.open("a", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(
            [[validation.id, "second", "0"], [validation.id, "first", "3"], [example.id, "second", ""]]
        )
    data = load_preferences(make_run(tmp_path, tmp_path / "base"), tmp_path)
    assert [(pair.chosen, pair.rejected) for pair in data.train] == [(NO, YES)]
    assert [pair.example.id for pair in data.validation] == [validation.id]
    assert data.skipped == {"its responses are all good or all bad": 30}


@pytest.mark.parametrize(
    ("separator", "encoding"),
    [(",", "utf-8-sig"), (";", "utf-8-sig"), (";", "utf-8"), ("\t", "utf-16")],
    ids=["as written", "semicolons", "no byte order mark", "UTF-16 with tabs"],
)
def test_ratings_are_read_as_a_spreadsheet_saves_them(tmp_path: Path, separator: str, encoding: str) -> None:
    with_verdicts(tmp_path)
    write_records(tmp_path / VERDICTS_PATH, [])
    rated = [example_of(posts("train", 1)[0], "stress", "instruction")]
    rated.append(example_of(posts("validation", 1, 24)[0], "stress", "instruction"))
    path = tmp_path / RATING_SAMPLE_PATH
    path.parent.mkdir()
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.writer(file, delimiter=separator)
        writer.writerow(["rater", "example_id", "model", "overall"])
        writer.writerows(["ana", example.id, "first", "0"] for example in rated)
    data = load_preferences(make_run(tmp_path, tmp_path / "base"), tmp_path)
    assert [(pair.chosen, pair.rejected) for pair in data.train] == [(NO, YES)]
    assert [pair.example.id for pair in data.validation] == [rated[1].id]


def test_an_invalid_rating_is_reported_with_its_row(tmp_path: Path) -> None:
    with_verdicts(tmp_path)
    path = tmp_path / RATING_SAMPLE_PATH
    path.parent.mkdir()
    path.write_text("example_id;model;overall\nx;first;3\nx;second;good\n", encoding="utf-8")
    with pytest.raises(DataError, match="row 3: overall is not a score; write 0, 1, 2, 3 or nothing"):
        load_preferences(make_run(tmp_path, tmp_path / "base"), tmp_path)


def pairs_file(path: Path, count: int = 60, **changed: str) -> Path:
    rows = [
        {
            "task": "dreaddit",
            "question": "stress",
            "text": post.text,
            "chosen": YES,
            "rejected": NO,
            **changed,
        }
        for post in posts("train", count)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_pairs_from_a_file_are_split_by_post(tmp_path: Path) -> None:
    recipe = make_run(tmp_path, tmp_path / "base", preference_pairs=str(pairs_file(tmp_path / "pairs.jsonl")))
    data, again = load_preferences(recipe, tmp_path), load_preferences(recipe, tmp_path)
    assert data == again
    assert len(data.train) + len(data.validation) == 60
    assert 0 < len(data.validation) < 20
    assert not {pair.example.text for pair in data.train} & {pair.example.text for pair in data.validation}


def test_a_pair_of_an_unknown_question_is_reported_with_its_row(tmp_path: Path) -> None:
    recipe = make_run(
        tmp_path,
        tmp_path / "base",
        preference_pairs=str(pairs_file(tmp_path / "pairs.jsonl", question="sleep")),
    )
    with pytest.raises(DataError, match=r"pairs.jsonl.*row 1.*no question 'sleep' of a set 'dreaddit'"):
        load_preferences(recipe, tmp_path)
    (tmp_path / "pairs.jsonl").write_text('{"task": "dreaddit"}\n', encoding="utf-8")
    with pytest.raises(DataError, match=r"pairs.jsonl.*row 1"):
        load_preferences(recipe, tmp_path)


def test_pairs_about_test_posts_are_refused(tmp_path: Path) -> None:
    with_verdicts(tmp_path)
    rows = [
        {"task": "dreaddit", "question": "stress", "text": post.text, "chosen": YES, "rejected": NO}
        for post in (*posts("train", 40), *posts("test", 1, 40))
    ]
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with pytest.raises(UsageError, match="test posts of the same set or of another are in 1 row to train on"):
        load_preferences(make_run(tmp_path, tmp_path / "base", preference_pairs=str(path)), tmp_path)
