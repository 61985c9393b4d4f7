"""Texts in, answers out: `Analyst.analyze` with an analyst that says what it was asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from mentallama.analysts.answer import Answer
from mentallama.analysts.base import Analyst
from mentallama.errors import UsageError
from mentallama.records import Example, Prediction, Reading, Span
from mentallama.tasks import QuestionKey, load_tasks

YES = {"yes": 0.75, "no": 0.25}


class TiredAnalyst(Analyst):
    """Says yes where it finds "tired", and quotes it; `asked` are the texts that it was asked about."""

    spec, tasks = "tired:1", load_tasks()

    def __init__(self, supported: tuple[QuestionKey, ...] | None = None) -> None:
        self.supported, self.asked = supported, list[str]()

    @property
    def supported_questions(self) -> tuple[QuestionKey, ...] | None:
        return self.supported

    def predict(self, examples: Sequence[Example]) -> Iterator[Prediction]:
        for example in examples:
            self.asked.append(example.text)
            at = example.text.find("tired")
            label, evidence = ("no", ()) if at < 0 else ("yes", (Span(start=at, end=at + 5, weight=1.5),))
            yield Prediction(
                example_id=example.id,
                reading=Reading(status="parsed", label=label, explanation=f"It is {label}."),
                probabilities=YES,
                evidence=evidence,
                model="tired",
            )


def test_there_is_an_answer_per_post_and_question_in_order() -> None:
    answers = TiredAnalyst().analyze(["so tired", "fine"], task=["DR", "Irf"])
    assert [(a.post, a.task, a.question, a.label) for a in answers] == [
        ("so tired", "DR", "depression", "yes"),
        ("so tired", "Irf", "thwarted belongingness", "yes"),
        ("so tired", "Irf", "perceived burdensomeness", "yes"),
        ("fine", "DR", "depression", "no"),
        ("fine", "Irf", "thwarted belongingness", "no"),
        ("fine", "Irf", "perceived burdensomeness", "no"),
    ]
    assert [answer.probability for answer in answers[2:4]] == [0.75, 0.25]


def test_equal_posts_are_asked_about_once() -> None:
    analyst = TiredAnalyst()
    answers = analyst.analyze(["so tired", "fine", "so tired", " so tired "], task="DR")
    assert analyst.asked == ["so tired", "fine"]
    assert [(answer.post, answer.label) for answer in answers] == [
        ("so tired", "yes"), ("fine", "no"), ("so tired", "yes"), (" so tired ", "yes"),
    ]  # fmt: skip
    assert answers[3].evidence[0].start == 4


def test_evidence_quotes_the_post_as_it_was_given() -> None:
    (answer,) = TiredAnalyst().analyze("@maple_7 is tired", task="DR")
    assert answer.evidence[0].model_dump() == {"start": 12, "end": 17, "text": "tired", "weight": 1.5}
    assert answer.model == "tired:1"


def test_what_is_no_post_is_skipped() -> None:
    analyst = TiredAnalyst()
    answers = analyst.analyze(["", None, float("nan"), "tired"], task="DR")
    assert [answer.status for answer in answers] == ["skipped"] * 3 + ["parsed"]
    assert answers[0] == Answer(
        post="",
        task="DR",
        question="depression",
        status="skipped",
        reason="the text is empty",
        model="tired:1",
    )
    assert analyst.asked == ["tired"]


def test_a_value_that_is_no_text_is_wrong_use() -> None:
    with pytest.raises(UsageError, match=r"post 1 is of type int; posts are texts \(str\)"):
        TiredAnalyst().analyze(iter(["tired", 7]), task="DR")


@pytest.mark.parametrize(
    ("task", "supported", "message"),
    [
        ("nothing", None, "there is no task named 'nothing'"),
        ("DR:stress", None, "DR has no question 'stress'"),
        ("DR", (("dreaddit", "stress"),), r"tired:1 does not answer DR \(depression\); it answers dreaddit"),
        (None, None, "tired:1 takes any task; name one, such as dreaddit"),
        (None, (("mine", "x"),), "tired:1 answers mine, which no known task describes"),
    ],
)
def test_a_question_that_cannot_be_asked_is_wrong_use(
    task: str | None, supported: tuple[QuestionKey, ...] | None, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        TiredAnalyst(supported).analyze("tired", task=task)


def test_without_a_task_all_supported_questions_are_asked() -> None:
    supported = (("dreaddit", "stress"), ("MultiWD", "social"))
    assert [a.question for a in TiredAnalyst(supported).analyze("tired")] == ["stress", "social"]
    assert [a.question for a in TiredAnalyst(supported).analyze("tired", "multiwd:Social")] == ["social"]


def test_a_question_whose_call_failed_is_no_answer() -> None:
    class Failing(TiredAnalyst):
        failed: dict[str, str]

        def predict_stream(self, examples: object) -> Iterator[Prediction]:
            first, second, _ = examples  # type: ignore[misc]
            self.failed = {second.id: "HTTP 400"}
            yield from self.predict([first])

    answers = Failing().analyze(["tired", "fine", "well"], task="DR")
    assert [(a.status, a.label, a.reason) for a in answers] == [
        ("parsed", "yes", None),
        ("failed", None, "HTTP 400"),
        ("failed", None, "the server gave no answer; ask again"),
    ]
