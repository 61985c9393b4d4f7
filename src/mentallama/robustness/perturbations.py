"""The table of perturbations. To add one, write a function of an example and add an entry to the table.

A perturbation changes the post or the question in a way that leaves the right answer as it is, so a label that changes
shows what the model depends on. Minimal pairs, whose right answer does change, are in `minimal_pairs`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from mentallama.analysts.base import AnalystSpec
from mentallama.analysts.registry import analyst_kind
from mentallama.predict.stage import PredictJob
from mentallama.records import Example, stable_id
from mentallama.robustness.text_changes import add_typos, to_lower, to_upper
from mentallama.tasks import Task

Axis = Literal["typos", "case", "question wording", "answer order", "seed"]

SEED = "seed"
"""Name of the comparison of models that were trained with different seeds, on the posts as they are."""


@dataclass(frozen=True)
class ChangeOptions:
    """Settings of perturbations: the seed, the rate of typing errors, and the known tasks."""

    tasks: Mapping[str, Task]
    seed: int = 7
    typo_rate: float = 0.1


Change = Callable[[Example, ChangeOptions, random.Random], Example | None]
"""The changed example, with the id of the original; None if the change leaves it as it is or does not exist for it."""


@dataclass(frozen=True)
class Perturbation:
    """One way of changing an example.

    Parameters
    ----------
    axis
        What it is about.
    help
        A phrase for tables, such as "the post in capitals".
    change
        Changes an example. Its random numbers depend on the seed, the perturbation and the post alone.
    obstacle
        Why a model's answers cannot depend on it; None if they can.
    """

    axis: Axis
    help: str
    change: Change
    obstacle: Callable[[PredictJob], str | None] = lambda _: None

    def apply(self, name: str, example: Example, options: ChangeOptions) -> Example | None:
        """The changed example under an id of its own; None if there is nothing to change."""
        rng = random.Random(stable_id(str(options.seed), name, example.text))
        changed = self.change(example, options, rng)
        if changed is None or (changed.text, changed.task, changed.form) == _asked(example):
            return None
        return changed.model_copy(update={"id": stable_id(example.id, name, str(options.seed))})


def _asked(example: Example) -> tuple[str, str, str]:
    return example.text, example.task, example.form


def _with_text(change: Callable[[str, ChangeOptions, random.Random], str]) -> Change:
    return lambda example, options, rng: example.model_copy(
        update={"text": change(example.text, options, rng)}
    )


def _reads_no_question(job: PredictJob) -> str | None:
    kind = AnalystSpec.parse(job.spec).kind
    return None if analyst_kind(job.spec).reads_question else f"{kind} models do not read the question"


def _lists_no_answers(job: PredictJob) -> str | None:
    if (problem := _reads_no_question(job)) is not None:
        return problem
    lists = job.settings.scoring == "chat"
    return None if lists else "the prompt does not list the answers"


# Variants of tasks: the same questions in other words, or the answers in another order.

N_PARAPHRASES = 2
"""Paraphrases of a question that are asked."""


def variant_name(name: str, variant: str) -> str:
    """The name of a task's variant in the catalogue of `variant_tasks`."""
    return f"{name}.{variant}"


def variant_tasks(tasks: Mapping[str, Task]) -> dict[str, Task]:
    """The tasks, and the variants that perturbations ask about; a variant has its own name."""
    variants = dict(tasks)
    for name, task in tasks.items():
        changed = {f"wording-{number}": _paraphrased(task, number) for number in range(1, N_PARAPHRASES + 1)}
        changed["reversed"] = {"labels": dict(reversed(task.labels.items()))}
        for variant, update in changed.items():
            if update:
                full_name = variant_name(name, variant)
                variants[full_name] = task.model_copy(update={**update, "set": full_name})
    return variants


def _paraphrased(task: Task, number: int) -> dict[str, object]:
    """The questions with their paraphrase of a number; {} unless every question has it."""
    if any(len(question.paraphrases) < number for question in task.questions.values()):
        return {}
    return {
        "questions": {
            name: question.model_copy(
                update={
                    "wording": question.wording.model_copy(
                        update={"instruction": question.paraphrases[number - 1]}
                    )
                }
            )
            for name, question in task.questions.items()
        }
    }


def _paraphrase(number: int) -> Change:
    def change(example: Example, options: ChangeOptions, _: random.Random) -> Example | None:
        name = variant_name(example.task, f"wording-{number}")
        if example.form != "instruction" or name not in options.tasks:
            return None
        return example.model_copy(update={"task": name})

    return change


def _reverse_answers(example: Example, _: ChangeOptions, __: random.Random) -> Example:
    return example.model_copy(update={"task": variant_name(example.task, "reversed")})


def _other_form(example: Example, _: ChangeOptions, __: random.Random) -> Example:
    form = "completion" if example.form == "instruction" else "instruction"
    return example.model_copy(update={"form": form})


PERTURBATIONS: dict[str, Perturbation] = {
    "typos": Perturbation(
        "typos",
        "typing errors in words of four or more letters",
        _with_text(lambda text, options, rng: add_typos(text, rng, options.typo_rate)),
    ),
    "upper": Perturbation("case", "the post in capitals", _with_text(lambda text, *_: to_upper(text))),
    "lower": Perturbation("case", "the post in small letters", _with_text(lambda text, *_: to_lower(text))),
    **{
        f"wording-{number}": Perturbation(
            "question wording",
            f"paraphrase {number} of the question, from its task file",
            _paraphrase(number),
            _reads_no_question,
        )
        for number in range(1, N_PARAPHRASES + 1)
    },
    "form": Perturbation(
        "question wording", "the question in the other published form", _other_form, _reads_no_question
    ),
    "order": Perturbation(
        "answer order", "the answers offered in reverse order", _reverse_answers, _lists_no_answers
    ),
}
"""Perturbations by name, in the order of tables."""
