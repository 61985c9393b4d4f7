"""Compare the answers of all models: with those to perturbed copies, within minimal pairs, and with the first model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mentallama.files.record_files import read_records
from mentallama.llm_api.types import failure_kind
from mentallama.metrics.bootstrap import Resampling
from mentallama.records import Example, FailedRequest, Prediction, Reading
from mentallama.robustness.flips import (
    FlipRow,
    FlipScore,
    NegatedPairs,
    NegationScore,
    PairedAnswers,
    flip_row,
)
from mentallama.robustness.minimal_pairs import MinimalPair
from mentallama.robustness.perturbations import SEED
from mentallama.robustness.plan import PlannedQuestion, RobustnessPlan
from mentallama.tasks import Task

WriteRow = Callable[[FlipRow], None]


class AnswersInOrder:
    """Reads the predictions of a plan while the plan is walked through again, so that neither is held in memory."""

    def __init__(self, path: Path) -> None:
        self._predictions = read_records(path, Prediction)
        self._next = next(self._predictions, None)

    def of(self, example: Example) -> Reading | None:
        """The answer to the next example of the plan; None if its call failed."""
        found = self._next
        if found is None or found.example_id != example.id:
            return None
        self._next = next(self._predictions, None)
        return found.reading


@dataclass
class RobustnessOutcome:
    """The answers of all models, compared and counted.

    `comparisons` are by model, perturbation and set, `pairs` by model, set and question; `baseline` holds the
    answers of `first_model` by post, set and question. `questions` counts what each model was asked.
    """

    comparisons: dict[tuple[str, str, str], PairedAnswers] = field(default_factory=dict)
    pairs: dict[tuple[str, str, str], NegatedPairs] = field(default_factory=dict)
    first_model: str | None = None
    baseline: dict[tuple[str, str, str], Reading] = field(default_factory=dict)
    questions: dict[str, int] = field(default_factory=dict)
    failed: list[FailedRequest] = field(default_factory=list)

    def add(self, model: str, plan: RobustnessPlan, predictions: Path, write: WriteRow) -> None:
        """Compare the predictions that a model made for a plan; every comparison of answers is written as a row."""
        answers = AnswersInOrder(predictions)
        self.first_model = self.first_model or model
        for _, planned in plan.posts():
            for question in planned:
                before = answers.of(question.original)
                self._add_copies(model, question, before, answers, write)
                if before is not None and SEED in plan.perturbations:
                    self._add_seed(model, question.original, before, write)
        for pair in plan.pairs:
            self._add_pair(model, plan, pair, answers)

    def _add_copies(
        self,
        model: str,
        question: PlannedQuestion,
        before: Reading | None,
        answers: AnswersInOrder,
        write: WriteRow,
    ) -> None:
        for name, copy in question.copies.items():
            comparison = self._comparison(model, name, question.original.task)
            if copy is None:
                comparison.unchanged += 1
            elif (after := answers.of(copy)) is not None and before is not None:
                row = flip_row(question.original, model, name, before, after)
                comparison.add(row)
                write(row)

    def _add_seed(self, model: str, example: Example, answer: Reading, write: WriteRow) -> None:
        key = example.post_id, example.task, example.question
        if model == self.first_model:
            self.baseline[key] = answer
        elif key in self.baseline:
            row = flip_row(example, model, SEED, self.baseline[key], answer)
            self._comparison(model, SEED, example.task).add(row)
            write(row)

    def _add_pair(self, model: str, plan: RobustnessPlan, pair: MinimalPair, answers: AnswersInOrder) -> None:
        (stated,), (negated,) = (asked.examples for asked in pair.questions(plan.form))
        first, second = answers.of(stated), answers.of(negated)
        if first is not None and second is not None:
            of_question = self.pairs.setdefault((model, pair.set, pair.question), NegatedPairs())
            of_question.answers.append((first.label == stated.label, second.label == negated.label))

    def _comparison(self, model: str, perturbation: str, name: str) -> PairedAnswers:
        return self.comparisons.setdefault((model, perturbation, name), PairedAnswers())

    def scores(
        self, tasks: Mapping[str, Task], resampling: Resampling
    ) -> tuple[tuple[FlipScore, ...], tuple[NegationScore, ...]]:
        """The scores of all comparisons, and of all minimal pairs."""
        flips = tuple(
            comparison.score(model, perturbation, tasks[name], resampling)
            for (model, perturbation, name), comparison in self.comparisons.items()
        )
        negation = tuple(
            pairs.score(model, name, question, resampling)
            for (model, name, question), pairs in self.pairs.items()
        )
        return flips, negation

    def failures(self) -> dict[str, dict[str, int]]:
        """Failed calls by model and reason."""
        counts: dict[str, Counter[str]] = {}
        for request in self.failed:
            counts.setdefault(request.model, Counter())[failure_kind(request.reason)] += 1
        return {model: dict(reasons) for model, reasons in counts.items()}
