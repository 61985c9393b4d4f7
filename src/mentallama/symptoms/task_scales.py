"""Sum and band of an answer of the kind scale, by the rule of its task file."""

from __future__ import annotations

from functools import cache

from mentallama.symptoms.packs import Band, CriterionPack, PackItem, ScoreRule
from mentallama.symptoms.scoring import ScaleScore, score_scale
from mentallama.tasks import Task, find_task
from mentallama.tasks.answer_values import value_levels

_TOTAL = "total"


@cache
def task_scale(task: Task) -> CriterionPack:
    """The scale of a task of kind scale, as a pack: its items, the scores of its levels, and its bands."""
    bands = tuple(Band(minimum=minimum, name=name) for name, minimum in task.bands.items())
    return CriterionPack(
        name=task.set,
        title=task.title,
        kind="scale",
        about=task.teacher_instruction,
        source="the task file",
        terms=task.licence,
        wording="own",
        levels=task.level_scores,
        items={name: PackItem(text=text) for name, text in task.items.items()},
        scores={_TOTAL: ScoreRule(bands=bands)},
    )


def score_answer(task: Task | str, label: str) -> ScaleScore:
    """Sum and band of an answer of the kind scale; without a sum if an item is not filled.

    Parameters
    ----------
    task
        A task, or the name of a task that ships with the package.
    label
        The text of an answer, as `read_answer` gives it.

    Raises
    ------
    UsageError
        There is no task of that name.
    ValueError
        The task is not of kind scale, or the label is no answer of it.

    Examples
    --------
    >>> from mentallama.tasks import load_tasks
    >>> scale = load_tasks("sample/kinds/tasks")["strain-scale"]
    >>> label = "sleep: most days; energy: some days; worry: not at all; daily tasks: not at all"
    >>> score_answer(scale, label).value, score_answer(scale, label).band
    (3, 'middle')
    >>> score_answer(scale, "sleep: most days").reason
    'not filled: energy, worry, daily tasks'
    """
    task = find_task(task) if isinstance(task, str) else task
    if task.kind != "scale":
        raise ValueError(f"{task.set} is of kind {task.kind}, and only a scale has a sum")
    levels = value_levels(task, label)
    filled = {item: task.level_scores[level] for item, level in levels.items()}
    return score_scale(task_scale(task), filled).scores[_TOTAL]
