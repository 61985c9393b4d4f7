"""Who answers: an analyst in this process, or several on a Ray cluster (`on_ray`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import Protocol, runtime_checkable

from mentallama.analysts.registry import Analyst
from mentallama.predict.questions import Pair
from mentallama.records import Example, Prediction

BATCH = 256
"""Examples handed to the analyst at a time; enough for any accelerator, little for memory."""

Told = Prediction | Counter[str]
"""An answer, or what has been counted since the last count."""


@dataclass(frozen=True)
class Crew:
    """Whoever answers. `tasks`: the questions that are answered, None: all. `missed`: why some have no answer.

    Answers need not come in the order of the examples.
    """

    tasks: Collection[Pair] | None
    answer: Callable[[Iterator[list[Example]]], Iterator[Told]]
    missed: Counter[str] = field(default_factory=Counter)


@runtime_checkable
class Streaming(Protocol):
    """An analyst that is not held up by batches, and may miss some: `missed` counts why."""

    missed: Counter[str]

    def as_they_come(self, examples: Iterable[Example]) -> Iterator[Prediction]: ...


def here(analyst: Analyst) -> Crew:
    """Answer in this process."""
    missed = analyst.missed if isinstance(analyst, Streaming) else Counter[str]()
    return Crew(getattr(analyst, "tasks", None), partial(_answer, analyst), missed)


def _answer(analyst: Analyst, batches: Iterator[list[Example]]) -> Iterator[Told]:
    if isinstance(analyst, Streaming):
        yield from _counted(analyst, analyst.as_they_come(chain.from_iterable(batches)))
        return
    for batch in batches:
        yield from answer_batch(analyst, batch)


def answer_batch(analyst: Analyst, batch: Sequence[Example]) -> Iterator[Told]:
    """Answer one batch, wherever the analyst is: an answer for each example, then what was counted."""
    predictions = analyst.analyse(batch)
    yield from _counted(analyst, (_fitting(*pair) for pair in zip(batch, predictions, strict=True)))


def _fitting(example: Example, prediction: Prediction) -> Prediction:
    assert prediction.example_id == example.id, "the analyst has answered another question than it was asked"
    return prediction


def _counted(analyst: object, predictions: Iterable[Prediction]) -> Iterator[Told]:
    counts = getattr(analyst, "counts", Counter[str]())
    before = Counter(counts)
    yield from predictions
    if new := Counter(counts) - before:
        yield new
