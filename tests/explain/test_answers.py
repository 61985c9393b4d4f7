"""Which answers are explained: those with a label and its probability, of a sample of posts."""

from __future__ import annotations

from pathlib import Path

import pytest

from mentallama.explain.answers import AnswerSelection, select_answers
from mentallama.files.record_files import write_records
from mentallama.records import (
    Post,
    Prediction,
    Provenance,
    Reading,
    Span,
    UpstreamLabels,
    example_id,
)
from mentallama.tasks import load_tasks
from tests.factories.answer_kinds import task_of_kind

MADE_UP = Provenance(file="posts.csv", row=1, origin="table", synthetic=True)


def post(number: int, text: str = "so tired of it all", label: str = "yes", **fields: object) -> Post:
    return Post.model_validate(
        {
            "id": f"p{number}",
            "set": "dreaddit",
            "split": "test",
            "text": text,
            "labels": {"stress": label},
            "provenance": MADE_UP,
            **fields,
        }
    )


def prediction(number: int, label: str | None = "yes", probabilities: bool = True) -> Prediction:
    reading = (
        Reading(status="unparsed", reason="no answer")
        if label is None
        else Reading(status="parsed", label=label)
    )
    return Prediction(
        example_id=example_id(f"p{number}", "stress", "instruction"),
        reading=reading,
        probabilities={"yes": 0.8, "no": 0.2} if probabilities else {},
        model="toy",
    )


def select(
    tmp_path: Path,
    posts: list[Post],
    predictions: list[Prediction],
    upstream: list[UpstreamLabels] | None = None,
    max_posts: int | None = None,
    seed: int = 7,
) -> AnswerSelection:
    write_records(tmp_path / "predictions.jsonl", predictions)
    file = None
    if upstream is not None:
        file = tmp_path / "upstream.jsonl"
        write_records(file, upstream)
    return select_answers(
        lambda: iter(posts),
        tmp_path / "predictions.jsonl",
        load_tasks(),
        "instruction",
        upstream=file,
        max_posts=max_posts,
        seed=seed,
    )


def test_answers_without_a_label_or_probability_are_counted(tmp_path: Path) -> None:
    posts = [post(1), post(2), post(3), post(4, text="…"), post(5)]
    predictions = [
        prediction(1),
        prediction(2, None),
        prediction(3, probabilities=False),
        prediction(4),
        prediction(6),  # about no post of these splits
    ]
    found = select(tmp_path, posts, predictions)
    assert [(answer.example.post_id, answer.label) for answer in found] == [("p1", "yes")]
    assert found.skipped == {
        "answer without a label": 1,
        "label without a probability": 1,
        "post without words": 1,
    }
    assert found.of == {"dreaddit": 2}


def test_marks_count_only_for_the_label_that_they_were_made_for(tmp_path: Path) -> None:
    marks = (Span(start=3, end=8),)
    own = {"evidence": {"stress": marks}}
    posts = [post(1, **own), post(2, **own), post(3), post(4)]
    predictions = [prediction(1), prediction(2, "no"), prediction(3), prediction(4, "no")]
    upstream = [
        UpstreamLabels(
            post_id=f"p{number}", set="dreaddit", labels={"stress": "yes"}, evidence={"stress": marks}
        )
        for number in (3, 4)
    ]
    found = {
        answer.example.post_id: answer.annotated for answer in select(tmp_path, posts, predictions, upstream)
    }
    assert found == {"p1": marks, "p2": (), "p3": marks, "p4": ()}


def test_a_sample_depends_on_the_seed_and_the_ids_alone(tmp_path: Path) -> None:
    numbers = range(1, 31)
    predictions = [prediction(number) for number in numbers]

    def drawn(posts: list[Post], seed: int) -> set[str]:
        found = select(tmp_path, posts, predictions, max_posts=10, seed=seed)
        assert found.of == {"dreaddit": 30}
        return {answer.example.post_id for answer in found}

    one = drawn([post(number) for number in numbers], 7)
    assert len(one) == 10
    assert one == drawn([post(number, text="another text") for number in reversed(numbers)], 7)
    assert one != drawn([post(number) for number in numbers], 8)


def test_a_small_set_is_explained_whole(tmp_path: Path) -> None:
    found = select(tmp_path, [post(1), post(2)], [prediction(1), prediction(2)], max_posts=10)
    assert len(found) == 2


@pytest.mark.parametrize(
    ("probabilities", "explained"),
    [({"sleep": 0.8, "appetite": 0.1, "low mood": 0.2}, 1), ({}, 0)],
)
def test_answers_of_several_parts_are_explained_by_their_parts(
    tmp_path: Path, probabilities: dict[str, float], explained: int
) -> None:
    task = task_of_kind("multi")
    own = post(1, labels={"about": "sleep; low mood"}, set=task.set)
    given = Prediction(
        example_id=example_id("p1", "about", "instruction"),
        reading=Reading(status="parsed", label="sleep; low mood"),
        probabilities=probabilities,
        model="toy",
    )
    write_records(tmp_path / "predictions.jsonl", [given])
    found = select_answers(
        lambda: iter([own]), tmp_path / "predictions.jsonl", {task.set: task}, "instruction"
    )
    assert len(found) == explained
    assert found.skipped == ({} if explained else {"label without a probability": 1})
