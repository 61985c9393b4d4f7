"""The predict stage: which questions are put, and what is written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pytest

from mentallama.errors import WrongUse
from mentallama.predict import PREDICTIONS, predict, questions_of, run
from mentallama.records import Example, Prediction, Reading, example_of
from mentallama.store import read_records, write_records
from tests.linear_cases import make_post

POSTS = [
    make_post("DR", "train", "one", {"depression": "yes"}),
    make_post("DR", "test", "two", {"depression": "no"}),
    make_post("MultiWD", "test", "three", {"social": "yes", "emotional": "no"}),
    make_post("SAD", "test", "four", {}),
    make_post("SAD", "validation", "five", {"cause": "work"}),
]


class Echo:
    """Say yes to everything; remember how much was asked at a time."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def analyse(self, examples: Sequence[Example]) -> Iterator[Prediction]:
        self.batches.append(len(examples))
        for example in examples:
            yield Prediction(example_id=example.id, reading=Reading(status="read", label="yes"), model="echo")


class Narrow(Echo):
    tasks = (("MultiWD", "social"),)


def asked(*questions: tuple[int, str]) -> list[str]:
    return [example_of(POSTS[place], question, "instruction").id for place, question in questions]


def written(folder: Path) -> list[str]:
    return [prediction.example_id for prediction in read_records(folder / PREDICTIONS, Prediction)]


@pytest.fixture
def posts_file(tmp_path: Path) -> Path:
    write_records(tmp_path / "posts.jsonl.zst", POSTS)
    return tmp_path / "posts.jsonl.zst"


def test_batches_keep_the_order() -> None:
    echo = Echo()
    examples = list(questions_of(POSTS))
    assert len(examples) == 5
    found = list(predict(echo, iter(examples), batch=2))
    assert [prediction.example_id for prediction in found] == [example.id for example in examples]
    assert echo.batches == [2, 2, 1]


def test_predictions_stream() -> None:
    read: list[str] = []

    def endless() -> Iterable[Example]:
        while True:
            read.append("one")
            yield example_of(POSTS[0], "depression", "instruction")

    next(predict(Echo(), endless(), batch=3))
    assert len(read) == 3


def test_every_labelled_question_of_the_test_posts_is_answered(posts_file: Path, tmp_path: Path) -> None:
    summary = run(Echo(), posts_file, tmp_path / "out")
    assert written(tmp_path / "out") == asked((1, "depression"), (2, "social"), (2, "emotional"))
    assert (summary.posts, summary.answers, summary.left_open) == (3, {"read": 3}, {})


def test_other_splits_and_the_other_form(posts_file: Path, tmp_path: Path) -> None:
    run(Echo(), posts_file, tmp_path / "out", ("train", "validation"), "completion")
    expected = [example_of(POSTS[0], "depression", "completion"), example_of(POSTS[4], "cause", "completion")]
    assert written(tmp_path / "out") == [example.id for example in expected]


def test_what_a_model_was_not_made_for_is_left_open_and_counted(posts_file: Path, tmp_path: Path) -> None:
    summary = run(Narrow(), posts_file, tmp_path / "out")
    assert written(tmp_path / "out") == asked((2, "social"))
    assert summary.left_open == {"DR": 1, "MultiWD": 1}


def test_nothing_to_answer_is_said_and_writes_nothing(posts_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(WrongUse, match=r"of 1 posts in train none asks what this model answers .*DR"):
        run(Narrow(), posts_file, out, ("train",))
    write_records(posts_file, POSTS[3:4])
    with pytest.raises(WrongUse, match="of 1 posts in test none has a label"):
        run(Echo(), posts_file, out)
    assert list(out.iterdir()) == []
