"""Synthetic posts for a task of each kind of answer, which the words of a post decide."""

from __future__ import annotations

import random

from mentallama.records import Post
from mentallama.tasks import Task
from mentallama.tasks.answer_values import levels_value, quotations_value
from tests.factories.linear_cases import FILLER, ORDER, make_post

PHRASES = {
    "sleep": ("awake all night", "cannot sleep"),
    "appetite": ("skipped dinner", "nothing tastes"),
    "low mood": ("feel empty", "so hopeless"),
    "energy": ("totally drained", "no strength"),
}
"""Phrases that make a label, type or item present."""

GRADED = ("fine", "slightly worried", "quite worried", "utterly desperate")
"""A phrase for each level, from lowest to highest."""


def words_of_posts() -> list[str]:
    """Every word that the posts are made of, sorted."""
    phrases = [*GRADED, *(phrase for of_label in PHRASES.values() for phrase in of_label)]
    return sorted({*FILLER, *" ".join(phrases).split()})


def posts_of_kind(task: Task, seed: int = 1) -> list[Post]:
    """Posts of a task of `answer_kinds.task_of_kind`: 60 for training, 20 for validation, 20 for tests."""
    draw = random.Random(seed)
    question = next(iter(task.questions))
    posts = []
    for split, count in ORDER:
        for _ in range(count):
            phrases, label = _DRAWS[task.kind](task, draw)
            words = [*phrases, *(draw.choice(FILLER) for _ in range(10))]
            draw.shuffle(words)
            posts.append(make_post(task.set, split, " ".join(words), {question: label}))
    return posts


def _draw_level(task: Task, draw: random.Random) -> tuple[list[str], str]:
    levels = list(task.labels)
    number = draw.randrange(len(levels))
    return [GRADED[number]], levels[number]


def _draw_labels(task: Task, draw: random.Random) -> tuple[list[str], str]:
    present = [label for label in task.labels if draw.random() < 0.4]
    return [draw.choice(PHRASES[label]) for label in present], levels_value(
        task, dict.fromkeys(present, "present")
    )


def _draw_quotations(task: Task, draw: random.Random) -> tuple[list[str], str]:
    quotations = [(label, draw.choice(PHRASES[label])) for label in task.labels if draw.random() < 0.4]
    return [phrase for _, phrase in quotations], quotations_value(task, quotations)


def _draw_items(task: Task, draw: random.Random) -> tuple[list[str], str]:
    phrases, levels = [], {}
    for item in task.items:
        if draw.random() < 0.8:  # the others are not filled
            number = draw.randrange(len(task.labels))
            phrases += [PHRASES[item][0]] * number
            levels[item] = list(task.labels)[number]
    return phrases, levels_value(task, levels)


_DRAWS = {
    "choice": _draw_level,
    "ordinal": _draw_level,
    "multi": _draw_labels,
    "spans": _draw_quotations,
    "scale": _draw_items,
}
