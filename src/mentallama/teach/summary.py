"""What a run of `teach` came to: answers by what they are, refusals by label, money by task."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from mentallama.llm_api.types import Completion
from mentallama.prompts import PROMPTS_VERSION
from mentallama.records import ReadingStatus, Record
from mentallama.tasks import Task
from mentallama.teach.requests import LabelledQuestion, TeachJob

TeachOutcome = ReadingStatus | str
"""How an answer reads, or `aside` where there is none."""


class TaskCost(Record):
    """What one teacher did for one task. Answers that several posts share are paid for, and counted, once.

    `refused` counts all that reads as a refusal, `aside` what has no answer; `cost` is None without prices.
    """

    model: str
    task: str
    calls: int
    answered: int
    refused: int
    failed: int
    tokens_in: int
    tokens_out: int
    cost: float | None


class LabelRefusals(Record):
    """How many questions of one set and label a teacher refused. Content filters meet the gravest posts first."""

    model: str
    task: str
    label: str
    high_risk: bool
    questions: int
    refused: int
    refusal_rate: float


class TeachSummary(Record):
    """`answers` counts by teacher and outcome, `aside` the reasons. `refusals` has all labels of the sets where a
    teacher refused any, so that shares can be compared."""

    prompts_version: str
    prompt_mode: str
    structured: bool
    questions: int
    outcomes: dict[str, dict[str, int]]
    failed: dict[str, dict[str, int]]
    refusals: tuple[LabelRefusals, ...]
    costs: tuple[TaskCost, ...]
    disagreements: int


@dataclass
class TeachCounter:
    """Counts while answers are read, in the order of teachers and tasks as they come."""

    questions: int = 0
    disagreements: int = 0
    outcomes: dict[tuple[str, str], Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    labels: dict[tuple[str, str, str], Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    failed: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    usage: dict[tuple[str, str], Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    cost: dict[tuple[str, str], float] = field(default_factory=dict)
    _seen_hashes: set[int] = field(default_factory=set)

    def add(self, model: str, each: LabelledQuestion, answer: Completion, outcome: TeachOutcome) -> None:
        """Count one answer of one teacher."""
        place, label = (model, each.task.set), each.example.label or ""
        self.outcomes[place][outcome] += 1
        self.labels[model, each.task.set, label][outcome] += 1
        if outcome == "failed":
            self.failed[model][answer.reason or "no reason"] += 1
        if answer.hash and self._is_new(answer.hash):
            self.usage[place].update(
                calls=1, input=answer.usage.get("input", 0), output=answer.usage.get("output", 0)
            )
            if answer.cost is not None:
                self.cost[place] = self.cost.get(place, 0.0) + answer.cost

    def _is_new(self, digest: str) -> bool:
        key = int(digest[:16], 16)
        if key in self._seen_hashes:
            return False
        self._seen_hashes.add(key)
        return True

    def summary(self, lesson: TeachJob) -> TeachSummary:
        answers: dict[str, Counter[str]] = defaultdict(Counter)
        for (model, _), counts in self.outcomes.items():
            answers[model].update(counts)
        return TeachSummary(
            prompts_version=PROMPTS_VERSION,
            prompt_mode=lesson.settings.prompt,
            structured=lesson.settings.structured,
            questions=self.questions,
            outcomes={model: dict(counts) for model, counts in answers.items()},
            failed={model: dict(counts) for model, counts in self.failed.items()},
            refusals=tuple(self._refusals(lesson.tasks)),
            costs=tuple(self._cost(*place) for place in self.outcomes),
            disagreements=self.disagreements,
        )

    def _cost(self, model: str, task: str) -> TaskCost:
        counts, paid, money = (
            self.outcomes[model, task],
            self.usage[model, task],
            self.cost.get((model, task)),
        )
        return TaskCost(
            model=model,
            task=task,
            calls=paid["calls"],
            answered=counts.total() - counts["refused"] - counts["failed"],
            refused=counts["refused"],
            failed=counts["failed"],
            tokens_in=paid["input"],
            tokens_out=paid["output"],
            cost=None if money is None else round(money, 9),
        )

    def _refusals(self, tasks: Mapping[str, Task]) -> list[LabelRefusals]:
        return [
            LabelRefusals(
                model=model,
                task=name,
                label=label,
                high_risk=label == tasks[name].high_risk_label,
                questions=counts.total(),
                refused=counts["refused"],
                refusal_rate=round(counts["refused"] / counts.total(), 6),
            )
            for (model, name, label), counts in sorted(self.labels.items())
            if self.outcomes[model, name]["refused"]
        ]
