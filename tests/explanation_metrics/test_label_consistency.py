"""Label consistency with a classifier that is fitted on reference explanations."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest

from mentallama.explanation_metrics.base import CaseScore, ExplanationCase, MetricOptions
from mentallama.explanation_metrics.label_consistency import SEVERAL_PARTS, LabelConsistency
from mentallama.records import Example, Reading
from mentallama.tasks import find_task
from tests.factories.answer_kinds import task_of_kind

TEXTS = {
    "yes": "the post tells of grey days, sleepless nights and a heavy heart that will not lift",
    "no": "the writer speaks about a bright garden, warm friends and a cheerful walk in the sun",
}
WORDS = {label: text.split(" ") for label, text in TEXTS.items()}


def case(number: int, label: str, explanation: str, gold: str | None = None) -> ExplanationCase:
    example = Example(
        id=f"e{number}",
        post_id=f"p{number}",
        task="DR",
        question="depression",
        form="instruction",
        text=f"made-up post {number}",
        label=gold or label,
    )
    return ExplanationCase(
        example=example, reading=Reading(status="parsed", label=label, explanation=explanation)
    )


def training(labels: Iterable[str]) -> list[ExplanationCase]:
    rng = random.Random(0)
    return [case(number, label, " ".join(rng.sample(WORDS[label], 9))) for number, label in enumerate(labels)]


def scores_of(rows: list[ExplanationCase], known: list[ExplanationCase]) -> list[CaseScore]:
    asked: list[str] = []

    def training_cases(name: str) -> list[ExplanationCase]:
        asked.append(name)
        return known

    scores = LabelConsistency.load("", MetricOptions(training_cases=training_cases)).score(rows)
    assert asked == ["DR"]  # once for all rows of a set
    return scores


def test_a_label_is_implied_by_words_of_its_explanations() -> None:
    rows = [
        case(100, "yes", "Grey days and sleepless nights, a heavy heart."),
        case(101, "no", "Grey days and sleepless nights, a heavy heart.", gold="yes"),
        case(102, "no", "A bright garden and a cheerful walk with warm friends."),
        case(
            103,
            "yes",
            "Yes, the poster suffers from depression. A cheerful walk with warm friends in the sun.",
        ),
    ]
    values = [list(score.values.values()) for score in scores_of(rows, training(["yes", "no"] * 20))]
    assert values == [[100.0, 100.0], [0.0, 100.0], [100.0, 100.0], [0.0, 0.0]]


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        ([], "there are 0 training rows of 0 labels to learn from; it takes 20 of 2"),
        (["yes"] * 30, "there are 30 training rows of 1 labels to learn from; it takes 20 of 2"),
    ],
)
def test_too_few_training_explanations_judge_nothing(labels: list[str], reason: str) -> None:
    (score,) = scores_of([case(100, "yes", "Grey days.")], training(labels))
    assert score == CaseScore(reason=reason)


def test_an_explanation_in_other_words_is_unscored() -> None:
    (score,) = scores_of([case(100, "yes", "Das ist ganz anders geschrieben.")], training(["yes", "no"] * 20))
    assert score == CaseScore(reason="hardly any word occurs in the training explanations")


def test_a_label_that_no_training_explanation_has_is_unscored() -> None:
    known = [each.model_copy(update={"example": sad(each)}) for each in training(["yes", "no"] * 20)]
    known = [
        each.model_copy(
            update={"reading": reading("work" if each.reading.label == "yes" else "school", each)}
        )
        for each in known
    ]
    asked = case(100, "yes", "Grey days and sleepless nights, a heavy heart.")
    rows = [
        asked.model_copy(update={"example": sad(asked), "reading": reading(label, asked)})
        for label in ("work", "health issues")
    ]
    metric = LabelConsistency.load("", MetricOptions(training_cases=lambda _: known))
    first, second = metric.score(rows)
    assert first.values["label_consistency"] == 100
    assert second == CaseScore(reason="no training explanation is for the answer's label")


def sad(each: ExplanationCase) -> Example:
    assert "work" in find_task("SAD").labels
    return each.example.model_copy(update={"task": "SAD", "question": "stress cause", "label": "work"})


def reading(label: str, each: ExplanationCase) -> Reading:
    return Reading(status="parsed", label=label, explanation=each.explanation)


def test_an_answer_of_several_parts_is_not_judged() -> None:
    task = task_of_kind("multi")
    row = case(100, "sleep; low mood", "Grey days and sleepless nights.")
    row = row.model_copy(
        update={"example": row.example.model_copy(update={"task": task.set, "question": "about"})}
    )
    metric = LabelConsistency.load("", MetricOptions(tasks={task.set: task}))
    assert metric.score([row]) == [CaseScore(reason=SEVERAL_PARTS)]
