"""What encoders learn from: texts with the labels of the questions that they answer.

Posts with their labels, or explanations, their answers taken out, with the label that each is for. In both cases no
post of any test split is among them, which is proved on the texts of the posts.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

from mentallama.analysts.checkpoints.metadata import EncoderHead, seen_hash
from mentallama.answers.parse import read_answer
from mentallama.answers.strip_label import strip_label
from mentallama.config import Recipe
from mentallama.errors import UsageError
from mentallama.files.record_files import read_records
from mentallama.records import Example, Post
from mentallama.run_files import POSTS_PATH
from mentallama.tasks import Task
from mentallama.train.data.instructions import (
    hashes_of_test_posts,
    instruction_file,
    load_instructions,
    refuse_test_posts,
)


@dataclass(frozen=True)
class LabelledText:
    """A text and its labels by question; `seen` is the hash of the post it is, or is about."""

    set: str
    text: str
    labels: Mapping[str, str]
    post_hash: str


@dataclass(frozen=True)
class LabelledData:
    """Texts to learn from, by split, and the heads they teach.

    `skipped` counts texts, and names questions, that are not used, with the reason.
    """

    train: list[LabelledText]
    validation: list[LabelledText]
    heads: tuple[EncoderHead, ...]
    source_file: str
    skipped: dict[str, str | int] = field(default_factory=dict)

    @property
    def sets(self) -> tuple[str, ...]:
        """The sets that are learnt from, in the order of the catalogue."""
        return tuple(dict.fromkeys(head.set for head in self.heads))

    def seen_hashes(self) -> set[str]:
        """Hashes of all posts that training or its choices see."""
        return {each.post_hash for each in chain(self.train, self.validation)}


def load_labelled_posts(recipe: Recipe, folder: Path) -> LabelledData:
    """The posts of the splits train and validation.

    Raises
    ------
    WrongUse
        There is nothing to learn, a question has no validation posts, a label is none of its task's, or a post is a
        test post too.
    """
    tasks = recipe.catalogue()
    kept: dict[str, list[LabelledText]] = {"train": [], "validation": [], "test": []}
    for post in read_records(folder / POSTS_PATH, Post):
        if post.set in tasks and post.labels:
            kept[post.split].append(LabelledText(post.set, post.text, post.labels, seen_hash(post.text)))
    refuse_test_posts(
        (each.text for each in chain(kept["train"], kept["validation"])),
        hashes_of_test_posts(folder / POSTS_PATH),
    )
    return _with_heads(kept["train"], kept["validation"], tasks, POSTS_PATH)


def load_labelled_explanations(recipe: Recipe, folder: Path) -> LabelledData:
    """The explanations of the run's rows, each with the label that its answer gives where that is the set's own.

    Raises
    ------
    WrongUse
        As `load_labelled_posts` and `load_instructions`.
    """
    tasks, lessons = recipe.catalogue(), load_instructions(recipe, folder)
    skipped = Counter(lessons.skipped)
    train, validation = (
        list(_explanation_texts(rows, tasks, skipped)) for rows in (lessons.train, lessons.validation)
    )
    texts = _with_heads(train, validation, tasks, instruction_file(recipe))
    texts.skipped.update(skipped)
    return texts


def _explanation_texts(
    rows: Iterable[Example], tasks: Mapping[str, Task], skipped: Counter[str]
) -> Iterator[LabelledText]:
    for row in rows:
        task = tasks[row.task]
        reading = read_answer(task, row.response or "", row.form)
        text = strip_label(task, reading.explanation)
        if not text:
            skipped["nothing is left of the explanation once its answer is taken out"] += 1
        elif reading.label is not None:
            yield LabelledText(row.task, text, {row.question: reading.label}, seen_hash(row.text))


def _with_heads(
    train: list[LabelledText], validation: list[LabelledText], tasks: Mapping[str, Task], origin: str
) -> LabelledData:
    """A head for each question that can be learnt; the others' labels are taken out."""
    counts = _label_counts(train), _label_counts(validation)
    heads, skipped = [], dict[str, str | int]()
    for name, question in ((name, question) for name, task in tasks.items() for question in task.questions):
        learnt, held = (each[name, question] for each in counts)
        foreign = sorted((set(learnt) | set(held)) - set(tasks[name].labels))
        if foreign:
            raise UsageError(f"{name}, {question}: the task has no label {', '.join(map(repr, foreign))}")
        if len(learnt) < 2:
            rows = learnt.total()
            skipped[f"{name}, {question}"] = (
                f"{rows} training rows of {len(learnt)} labels; it takes two labels"
            )
        elif not held:
            raise UsageError(
                f"{name}, {question}: there are {learnt.total()} training rows but no validation rows; have collect "
                "draw some with validation_share"
            )
        else:
            heads.append(EncoderHead(set=name, question=question, labels=tuple(tasks[name].labels)))
    if not heads:
        raise UsageError(
            f"there is nothing to train on ({'; '.join(f'{a}: {b}' for a, b in skipped.items())})"
        )
    asked = {(head.set, head.question) for head in heads}
    return LabelledData(
        _keep_questions(train, asked), _keep_questions(validation, asked), tuple(heads), origin, skipped
    )


def _label_counts(texts: Iterable[LabelledText]) -> dict[tuple[str, str], Counter[str]]:
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for each in texts:
        for question, label in each.labels.items():
            counts[each.set, question][label] += 1
    return counts


def _keep_questions(texts: Iterable[LabelledText], asked: set[tuple[str, str]]) -> list[LabelledText]:
    """Texts with the labels of these questions, and no others."""
    left = (
        (each, {question: label for question, label in each.labels.items() if (each.set, question) in asked})
        for each in texts
    )
    return [replace(each, labels=labels) for each, labels in left if labels]
