"""The base class of explanation metrics, the records that they score, and the spec of a metric."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from mentallama.analysts.base import Device, Dtype
from mentallama.config.evaluate import Judge
from mentallama.progress import LogFn, log_to_stderr
from mentallama.records import Example, Reading, Record, Span
from mentallama.tasks import Task, load_tasks


class ExplanationCase(Record):
    """A labelled row, the answer to it, and everything that its explanation can be compared with.

    `example.label` is the gold label, `reading` the parsed answer with its explanation. `reference` is the reference
    explanation, without its answer sentence; None if there is none. `annotated` are the passages of the post that
    annotators marked for the gold label, `evidence` those that the model marked in its answer. `attributed` is the
    evidence of the stage `explain`, and `contributions` are all parts of the post with their weights, from there; both
    are empty where the answer was not explained.
    """

    example: Example
    reading: Reading
    reference: str | None = None
    annotated: tuple[Span, ...] = ()
    evidence: tuple[Span, ...] = ()
    attributed: tuple[Span, ...] = ()
    contributions: tuple[Span, ...] = ()

    @property
    def explanation(self) -> str:
        """The explanation of the answer."""
        return self.reading.explanation

    @property
    def absence(self) -> str | None:
        """Why there is no explanation to score; None if there is one."""
        if self.reading.status == "refused":
            return "refused"
        return None if self.explanation.strip() else "empty"


class CaseScore(Record):
    """One metric's values for one case, by column; without any where `reason` says why the case is unscored."""

    values: dict[str, float] = {}
    reason: str | None = None


class ExplanationRow(Record):
    """The scores of one explanation: a line of `explanations.jsonl.zst`.

    `gold` is the label of the row and `predicted` that of the answer, None if it has none; where answers are made of
    quotations, both are positions, as in the scored rows. `values` are by column, `unscored` are reasons by metric. A
    row without an explanation has neither, and `absence` says why. `right_reason` says whether the answer is right for
    a right reason (`explanation_metrics.right_reason`), None if that cannot be decided.
    """

    example_id: str
    set: str
    question: str
    post_id: str
    gold: str | None = None
    predicted: str | None = None
    absence: str | None = None
    values: dict[str, float] = {}
    unscored: dict[str, str] = {}
    right_reason: bool | None = None


def unscored(reason: str) -> CaseScore:
    """A case without a score; reasons are counted, so they hold no text of a post."""
    return CaseScore(reason=reason)


@dataclass(frozen=True)
class ScoreColumn:
    """A number that a metric gives a case, and how tables show it.

    `range` are its lowest and highest value, None where there is none. `direction` says which values are better: 1
    higher, -1 lower, 0 neither. Columns with `in_terminal` False are shown in the report only.
    """

    name: str
    title: str
    range: tuple[float | None, float | None] = (0.0, 100.0)
    digits: int = 1
    direction: int = 1
    in_terminal: bool = True


class ExplanationMetric(ABC):
    """Scores explanations.

    `score` receives cases that have an explanation; refused and empty ones are counted by the caller and never scored.

    Attributes
    ----------
    name
        The spec that it was opened by, without folders above the last; shown in files and tables.
    """

    name: str = ""

    def prepare(self, cases: Iterable[ExplanationCase]) -> None:
        """Look at all cases before the first is scored, such as to refuse them or to say what they will cost."""
        del cases

    @abstractmethod
    def score(self, cases: Sequence[ExplanationCase]) -> list[CaseScore]:
        """The score of each case, in order."""

    def finish(self) -> None:
        """Raise `MentallamaError` if the metric failed as a whole; called once all cases are scored."""
        return


def _no_cases(name: str) -> Iterable[ExplanationCase]:
    del name
    return ()


@dataclass(frozen=True)
class MetricOptions:
    """Settings and data that metrics are opened with.

    `max_batch_tokens`, `dtype` and `device` are as for an analyst. `training_cases` takes the name of a set and yields
    the reference explanations of its training and validation posts, each with its label as the answer, for a metric
    that learns from them; none is about a test post. `post_texts` yields the texts of all posts of the data. `judge`
    are the settings of an LLM judge, and `ledger` is the file that keeps its verdicts; None: they are not kept.
    """

    tasks: Mapping[str, Task] = field(default_factory=load_tasks)
    max_batch_tokens: int = 8192
    dtype: Dtype = "auto"
    device: Device = "auto"
    seed: int = 0
    training_cases: Callable[[str], Iterable[ExplanationCase]] = _no_cases
    post_texts: Callable[[], Iterable[str]] = tuple
    judge: Judge = field(default_factory=Judge)
    ledger: Path | None = None
    log: LogFn = log_to_stderr


class MetricSpec(NamedTuple):
    """`NAME` or `NAME:LOCATION`, such as `overlap` or `bart_score:models/bart-large-cnn`."""

    name: str
    location: str

    @classmethod
    def parse(cls, spec: str) -> MetricSpec:
        name, _, location = spec.partition(":")
        return cls(name, location)
