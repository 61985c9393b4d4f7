"""Who answers: an analyst in this process, or several on a Ray cluster (`on_ray`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import Protocol, runtime_checkable

from mentallama.analysts.base import Analyst
from mentallama.predict.questions import QuestionKey
from mentallama.records import Example, Prediction

BATCH_SIZE = 256
"""Examples handed to the analyst at a time; enough for any accelerator, little for memory."""

PoolEvent = Prediction | Counter[str]
"""An answer, or what has been counted since the last count."""


@dataclass(frozen=True)
class AnalystPool:
    """Whoever answers. `tasks`: the questions that are answered, None: all. `missed`: why some have no answer.

    Answers need not come in the order of the examples.
    """

    supported_questions: Collection[QuestionKey] | None
    answer: Callable[[Iterator[list[Example]]], Iterator[PoolEvent]]
    unanswered: Counter[str] = field(default_factory=Counter)


@runtime_checkable
class StreamingAnalyst(Protocol):
    """An analyst that is not held up by batches, and may miss some: `missed` counts why."""

    unanswered: Counter[str]

    def analyse_stream(self, examples: Iterable[Example]) -> Iterator[Prediction]: ...


def local_pool(analyst: Analyst) -> AnalystPool:
    """Answer in this process."""
    missed = analyst.unanswered if isinstance(analyst, StreamingAnalyst) else Counter[str]()
    return AnalystPool(getattr(analyst, "supported_questions", None), partial(_answer, analyst), missed)


def _answer(analyst: Analyst, batches: Iterator[list[Example]]) -> Iterator[PoolEvent]:
    if isinstance(analyst, StreamingAnalyst):
        yield from _with_new_counts(analyst, analyst.analyse_stream(chain.from_iterable(batches)))
        return
    for batch in batches:
        yield from answer_batch(analyst, batch)


def answer_batch(analyst: Analyst, batch: Sequence[Example]) -> Iterator[PoolEvent]:
    """Answer one batch, wherever the analyst is: an answer for each example, then what was counted."""
    predictions = analyst.analyse(batch)
    yield from _with_new_counts(
        analyst, (_check_example_id(*pair) for pair in zip(batch, predictions, strict=True))
    )


def _check_example_id(example: Example, prediction: Prediction) -> Prediction:
    assert prediction.example_id == example.id, "the analyst has answered another question than it was asked"
    return prediction


def _with_new_counts(analyst: object, predictions: Iterable[Prediction]) -> Iterator[PoolEvent]:
    counts = getattr(analyst, "counts", Counter[str]())
    before = Counter(counts)
    yield from predictions
    if new := Counter(counts) - before:
        yield new
