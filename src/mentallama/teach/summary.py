"""Summary of a run of `teach`: outcomes, refusals by label, costs by task."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from mentallama.llm_api.types import Completion, failure_kind
from mentallama.prompts import PROMPTS_VERSION
from mentallama.records import ReadingStatus, Record
from mentallama.tasks import Task
from mentallama.tasks.answer_values import answer_group
from mentallama.teach.answer_source import TeacherAnswer
from mentallama.teach.requests import LabelledQuestion, TeachJob
from mentallama.teach.scales.traces import ScaleItem

TeachOutcome = ReadingStatus | str
"""Status of a parsed answer, or `failed` without one."""


class TaskCost(Record):
    """Requests, tokens and cost of one teacher for one task. A request that several posts share is counted once.

    Requests of a scale that is filled item by item count for its teacher, those to the checker included. `refused`
    counts every answer that reads as a refusal, `failed` questions without an answer; `cost` is None without
    prices.
    """

    model: str
    task: str
    requests: int
    answered: int
    refused: int
    failed: int
    tokens_in: int
    tokens_out: int
    cost: float | None


class LabelRefusals(Record):
    """Questions of one set and label that a teacher refused. Content filters act mostly on posts of high risk."""

    model: str
    task: str
    label: str
    high_risk: bool
    questions: int
    refused: int
    refusal_rate: float


class TeachSummary(Record):
    """Contents of summary.json. `outcomes` counts by teacher and outcome, `failed` by teacher and reason. `refusals`
    has every label of the sets where a teacher refused any question, so that rates can be compared."""

    prompts_version: str
    prompt_mode: str
    structured: bool
    questions: int
    outcomes: dict[str, dict[str, int]]
    failed: dict[str, dict[str, int]]
    refusals: tuple[LabelRefusals, ...]
    costs: tuple[TaskCost, ...]
    disagreements: int
    scale_items: dict[str, int] = {}
    """Items of filled scales, by level or by the reason why they are not filled."""


def _item_outcome(item: ScaleItem) -> str:
    """The level of an item, or the reason why it has none, without what differs between posts."""
    return f"filled: {item.level}" if item.level is not None else f"not filled: {failure_kind(item.reason)}"


@dataclass
class TeachCounter:
    """Counts completions as they are read; keys are in the order of teachers and tasks as they appear."""

    questions: int = 0
    disagreements: int = 0
    outcomes: dict[tuple[str, str], Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """By model and task."""
    labels: dict[tuple[str, str, str], Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """Outcomes by model, task and label."""
    failed: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """Reasons by model."""
    usage: dict[tuple[str, str], Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    cost: dict[tuple[str, str], float] = field(default_factory=dict)
    scale_items: Counter[str] = field(default_factory=Counter)
    _seen_hashes: set[int] = field(default_factory=set)

    def add(
        self, model: str, question: LabelledQuestion, answer: TeacherAnswer, outcome: TeachOutcome
    ) -> None:
        """Count one answer of one teacher, and the requests behind it."""
        key, given = (model, question.task.set), question.example.label
        label = "" if given is None else answer_group(question.task, given)
        self.outcomes[key][outcome] += 1
        self.labels[*key, label][outcome] += 1
        if outcome == "failed":
            self.failed[model][failure_kind(answer.completion.reason)] += 1
        if answer.trace is not None:
            self.scale_items.update(_item_outcome(item) for item in answer.trace.items)
        for completion in answer.requests:
            self._add_request(key, completion)

    def _add_request(self, key: tuple[str, str], completion: Completion) -> None:
        if not self._is_new(completion.hash):
            return
        tokens_in, tokens_out = (completion.usage.get(name, 0) for name in ("input", "output"))
        self.usage[key].update(requests=1, input=tokens_in, output=tokens_out)
        if completion.cost is not None:
            self.cost[key] = self.cost.get(key, 0.0) + completion.cost

    def _is_new(self, digest: str) -> bool:
        short = int(digest[:16], 16)
        if short in self._seen_hashes:
            return False
        self._seen_hashes.add(short)
        return True

    def summary(self, job: TeachJob) -> TeachSummary:
        outcomes: dict[str, Counter[str]] = defaultdict(Counter)
        for (model, _), counts in self.outcomes.items():
            outcomes[model].update(counts)
        return TeachSummary(
            prompts_version=PROMPTS_VERSION,
            prompt_mode=job.settings.prompt,
            structured=job.settings.structured,
            questions=self.questions,
            outcomes={model: dict(counts) for model, counts in outcomes.items()},
            failed={model: dict(counts) for model, counts in self.failed.items()},
            refusals=tuple(self._refusals(job.tasks)),
            costs=tuple(self._cost(*key) for key in self.outcomes),
            disagreements=self.disagreements,
            scale_items=dict(sorted(self.scale_items.items())),
        )

    def _cost(self, model: str, task: str) -> TaskCost:
        outcomes, usage = self.outcomes[model, task], self.usage[model, task]
        cost = self.cost.get((model, task))
        return TaskCost(
            model=model,
            task=task,
            requests=usage["requests"],
            answered=outcomes.total() - outcomes["refused"] - outcomes["failed"],
            refused=outcomes["refused"],
            failed=outcomes["failed"],
            tokens_in=usage["input"],
            tokens_out=usage["output"],
            cost=None if cost is None else round(cost, 9),
        )

    def _refusals(self, tasks: Mapping[str, Task]) -> list[LabelRefusals]:
        return [
            LabelRefusals(
                model=model,
                task=task,
                label=label,
                high_risk=label == tasks[task].high_risk_label,
                questions=counts.total(),
                refused=counts["refused"],
                refusal_rate=round(counts["refused"] / counts.total(), 6),
            )
            for (model, task, label), counts in sorted(self.labels.items())
            if self.outcomes[model, task]["refused"]
        ]
