"""The scale that is filled for a question: the task's own items, or a criterion pack."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mentallama.config.teach import ScaleSettings
from mentallama.errors import UsageError
from mentallama.prompts.scale_prompts import Scale
from mentallama.symptoms import CriterionPack, find_pack, load_packs
from mentallama.tasks import Task


@dataclass(frozen=True)
class QuestionScale:
    """A scale, and the pack by whose rule it is summed, if there is one."""

    scale: Scale
    pack: CriterionPack | None = None


def question_scales(
    tasks: Mapping[str, Task], settings: ScaleSettings
) -> dict[tuple[str, str], QuestionScale]:
    """The scale that is filled for each question of the tasks, by set and question.

    Raises
    ------
    UsageError
        There is no such pack, a pack has no levels or no wording, a question has no scale and no pack is named, or the
        pack is named for nothing.
    """
    pack = chosen_pack(settings)
    scales = {
        (task.set, question): _own_scale(task, question, pack)
        if task.kind == "scale"
        else _pack_scale(task, pack)
        for task in tasks.values()
        for question in task.questions
    }
    if pack is not None and all(found.pack is None for found in scales.values()):
        names = ", ".join(tasks)
        raise UsageError(
            f"teach.scale.pack: {names} has a scale of its own, with other items or levels than {pack.name}; leave the "
            "pack out, or name one of the same items and levels"
        )
    return scales


def chosen_pack(settings: ScaleSettings) -> CriterionPack | None:
    """The criterion pack that the settings name; None if they name none.

    Raises
    ------
    UsageError
        There is no such pack, or it has no levels or no wording.
    """
    if settings.pack is None:
        return None
    pack = find_pack(settings.pack, load_packs(settings.packs))
    if pack.kind != "scale":
        raise UsageError(
            f"teach.scale.pack: {pack.name} is a list of criteria, without levels to fill; name a scale"
        )
    pack.item_texts()  # raises for a layout
    return pack


def _own_scale(task: Task, question: str, pack: CriterionPack | None) -> QuestionScale:
    """The task's own items; summed by the pack if it has the same."""
    asked = task.questions[question]
    texts = (task.teacher_instruction, asked.teacher_instruction, asked.wording.instruction)
    scale = Scale(task.set, " ".join(filter(None, texts)), task.items, task.level_scores)
    is_same = (
        pack is not None and set(pack.items) == set(task.items) and dict(pack.levels) == task.level_scores
    )
    return QuestionScale(scale, pack if is_same else None)


def _pack_scale(task: Task, pack: CriterionPack | None) -> QuestionScale:
    if pack is None:
        raise UsageError(
            f"teach: {task.set} is of kind {task.kind}, so it has no scale of its own to fill; name one as "
            "teach.scale.pack, such as PHQ-9"
        )
    return QuestionScale(
        Scale(pack.name, f"{pack.title}: {pack.about}.", pack.item_texts(), pack.levels), pack
    )
