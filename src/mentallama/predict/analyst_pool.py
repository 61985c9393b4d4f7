"""A pool of analysts: one in this process, or several on a Ray cluster (`ray_pool`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, starmap
from typing import Protocol, runtime_checkable

from mentallama.analysts.base import EVIDENCE_BATCH, Analyst
from mentallama.parallel import batched
from mentallama.records import Example, Prediction
from mentallama.tasks import QuestionKey

PoolEvent = Prediction | Counter[str]
"""A prediction, or the analyst's counts since the last ones."""


def _nothing_to_prepare(_: Collection[QuestionKey]) -> None:
    """No preparation, which is all that most analysts need."""


@dataclass(frozen=True)
class AnalystPool:
    """One or more analysts.

    `supported_questions`: None means all. `model`: the analyst's name.
    `answer` takes batches of examples; predictions may come in any order.
    `unanswered` counts, by reason, the questions that have no prediction and may get one when they are asked again.
    `failed` holds the reason of each question whose call a retry would not change, by example id.
    `prepare` raises `UsageError` if one of some questions cannot be asked whatever the post; called before any work.
    `remote` knows what the calls of a remote model cost; None for models that cost nothing.
    """

    supported_questions: Collection[QuestionKey] | None
    answer: Callable[[Iterator[list[Example]]], Iterator[PoolEvent]]
    unanswered: Counter[str] = field(default_factory=Counter)
    failed: dict[str, str] = field(default_factory=dict)
    model: str = ""
    prepare: Callable[[Collection[QuestionKey]], None] = _nothing_to_prepare
    remote: PaidAnalyst | None = None


@runtime_checkable
class PaidAnalyst(Protocol):
    """An analyst whose calls may cost money."""

    def spent(self) -> float | None:
        """Cost of all calls so far; None without prices."""

    def describe_cost(self, examples: Sequence[Example], n_examples: int) -> Iterator[str]:
        """Sentences on what `n_examples` will probably cost, of which some are given."""


@runtime_checkable
class StreamingAnalyst(Protocol):
    """An analyst that takes a stream rather than batches. It may skip examples; `unanswered` counts the reasons."""

    unanswered: Counter[str]

    def answer(self, examples: Iterable[Example]) -> Iterator[Prediction]: ...


def local_pool(analyst: Analyst) -> AnalystPool:
    """A pool of one analyst, in this process."""
    unanswered = analyst.unanswered if isinstance(analyst, StreamingAnalyst) else Counter[str]()
    return AnalystPool(
        getattr(analyst, "supported_questions", None),
        partial(_answer, analyst),
        unanswered,
        getattr(analyst, "failed", {}),
        getattr(analyst, "name", ""),
        getattr(analyst, "prepare", _nothing_to_prepare),
        analyst if isinstance(analyst, PaidAnalyst) else None,
    )


def _answer(analyst: Analyst, batches: Iterator[list[Example]]) -> Iterator[PoolEvent]:
    if isinstance(analyst, StreamingAnalyst):
        yield from _with_new_counts(analyst, analyst.answer(chain.from_iterable(batches)))
        return
    for batch in batches:
        yield from answer_batch(analyst, batch)


def answer_batch(analyst: Analyst, batch: Sequence[Example]) -> Iterator[PoolEvent]:
    """Answer one batch: a prediction for each example, then the counts if there are new ones."""
    predictions: Iterable[Prediction] = analyst.predict(batch)
    if (evidence := getattr(analyst, "evidence", None)) is not None:
        parts = zip(batched(batch, EVIDENCE_BATCH), batched(predictions, EVIDENCE_BATCH), strict=True)
        predictions = chain.from_iterable(starmap(evidence.add, parts))
    yield from _with_new_counts(
        analyst, (_check_example_id(*pair) for pair in zip(batch, predictions, strict=True))
    )


def _check_example_id(example: Example, prediction: Prediction) -> Prediction:
    assert prediction.example_id == example.id, "the prediction belongs to another example"
    return prediction


def _with_new_counts(analyst: object, predictions: Iterable[Prediction]) -> Iterator[PoolEvent]:
    counts = getattr(analyst, "counts", Counter[str]())
    before = Counter(counts)
    yield from predictions
    if new := Counter(counts) - before:
        yield new
