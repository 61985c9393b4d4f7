"""How often the posts of a run have each label: counted while the posts are read for other purposes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from mentallama.errors import DataError
from mentallama.evaluate.kinds.part_counts import NOT_FILLED_LEVEL
from mentallama.records import Post, Split
from mentallama.run_files import POSTS_PATH
from mentallama.tasks import Task
from mentallama.tasks.answer_kinds import PRESENT
from mentallama.tasks.answer_values import value_levels

LabelKey = tuple[str, str]
"""Question, and what an answer states: a label, a type of quotation, or an item with its level."""


@dataclass
class LabelDistribution:
    """Posts of one set by what their answers state, and by split.

    `labelled` counts answers by question: the posts of which the others are shares.
    """

    posts: dict[LabelKey, Counter[Split]] = field(default_factory=dict)
    labelled: dict[str, Counter[Split]] = field(default_factory=dict)

    def add(self, post: Post, question: str, stated: Iterable[str]) -> None:
        """Count the answer to a question about a post."""
        self.labelled.setdefault(question, Counter())[post.split] += 1
        for name in stated:
            self.posts.setdefault((question, name), Counter())[post.split] += 1


def count_labels(
    posts: Iterable[Post], tasks: Mapping[str, Task], distributions: dict[str, LabelDistribution]
) -> Iterator[Post]:
    """Yield the posts, and add their labels to the distribution of their set.

    Raises
    ------
    DataError
        A label of several parts is no answer of its task.
    """
    for post in posts:
        task = tasks.get(post.set)
        for question, label in post.labels.items():
            of_set = distributions.setdefault(post.set, LabelDistribution())
            of_set.add(post, question, [label] if task is None else _stated(task, label))
        yield post


def _stated(task: Task, label: str) -> list[str]:
    """The labels, items or types that an answer states."""
    if not task.is_composite:
        return [label]
    try:
        levels = value_levels(task, label)
    except ValueError:
        raise DataError(f"a label is no answer of {task.set}; collect the posts again", POSTS_PATH) from None
    if task.kind == "scale":
        return [f"{part.name}: {levels.get(part.name, NOT_FILLED_LEVEL)}" for part in task.parts]
    return [name for name, level in levels.items() if level == PRESENT]


def stated_names(task: Task) -> list[str]:
    """Everything that an answer of the task can state, in the order of tables."""
    if task.kind != "scale":
        return list(task.labels)
    return [f"{part.name}: {level}" for part in task.parts for level in (*part.levels, NOT_FILLED_LEVEL)]
