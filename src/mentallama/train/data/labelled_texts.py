"""Labelled texts for encoders: posts, or explanations without their answers, with the labels of their questions.

The run is refused if the text of a training or validation post is a test post of any set.
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
from mentallama.train.data.instructions import instruction_file, load_instructions
from mentallama.train.data.leakage import hashes_of_test_posts, refuse_test_posts


@dataclass(frozen=True)
class LabelledText:
    """A text and its labels by question; `post_hash` is the hash of the post that it is, or is about."""

    set: str
    text: str
    labels: Mapping[str, str]
    post_hash: str


@dataclass(frozen=True)
class LabelledData:
    """Texts by split, and the classification heads that they have labels for.

    `skipped` counts texts that were left out, by reason, and gives the reason for each question without a head.
    """

    train: list[LabelledText]
    validation: list[LabelledText]
    heads: tuple[EncoderHead, ...]
    source_file: str
    skipped: dict[str, str | int] = field(default_factory=dict)

    @property
    def sets(self) -> tuple[str, ...]:
        """The sets of the heads, in the order of the catalogue."""
        return tuple(dict.fromkeys(head.set for head in self.heads))

    def seen_hashes(self) -> set[str]:
        """Hashes of all posts used for training or model selection."""
        return {text.post_hash for text in chain(self.train, self.validation)}


def load_labelled_posts(recipe: Recipe, folder: Path) -> LabelledData:
    """Read the labelled posts of the splits train and validation.

    Raises
    ------
    UsageError
        There is nothing to train on, a question has no validation posts, a task does not have a post's label, or a post
        is also a test post.
    """
    tasks = recipe.catalogue()
    by_split: dict[str, list[LabelledText]] = {"train": [], "validation": [], "test": []}
    posts = list(read_records(folder / POSTS_PATH, Post))
    for post in posts:
        if post.set in tasks and post.labels:
            by_split[post.split].append(LabelledText(post.set, post.text, post.labels, seen_hash(post.text)))
    train, validation = by_split["train"], by_split["validation"]
    texts = (text.text for text in chain(train, validation))
    refuse_test_posts(texts, hashes_of_test_posts(posts))
    return _with_heads(train, validation, tasks, POSTS_PATH)


def load_labelled_explanations(recipe: Recipe, folder: Path) -> LabelledData:
    """Read the explanations of the run's rows, each with the label of its answer.

    Raises
    ------
    UsageError
        As `load_labelled_posts` and `load_instructions`.
    """
    tasks, instructions = recipe.catalogue(), load_instructions(recipe, folder)
    skipped = Counter(instructions.skipped)
    train, validation = (
        list(_explanation_texts(rows, tasks, skipped))
        for rows in (instructions.train, instructions.validation)
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
            skipped["no explanation is left without its answer"] += 1
        elif reading.label is not None:
            yield LabelledText(row.task, text, {row.question: reading.label}, seen_hash(row.text))


def _with_heads(
    train: list[LabelledText], validation: list[LabelledText], tasks: Mapping[str, Task], source_file: str
) -> LabelledData:
    """Create a head for each question that can be trained, and drop the labels of all others."""
    train_counts, validation_counts = _label_counts(train), _label_counts(validation)
    heads, skipped = [], dict[str, str | int]()
    for name, question in ((name, question) for name, task in tasks.items() for question in task.questions):
        in_train, in_validation = train_counts[name, question], validation_counts[name, question]
        unknown = sorted((set(in_train) | set(in_validation)) - set(tasks[name].labels))
        if unknown:
            raise UsageError(f"{name}, {question}: the task has no label {', '.join(map(repr, unknown))}")
        if len(in_train) < 2:
            skipped[f"{name}, {question}"] = (
                f"{in_train.total()} training rows with {len(in_train)} different labels; at least two are needed"
            )
        elif not in_validation:
            raise UsageError(
                f"{name}, {question}: there are {in_train.total()} training rows but no validation rows; have collect "
                "draw some with validation_share"
            )
        else:
            heads.append(EncoderHead(set=name, question=question, labels=tuple(tasks[name].labels)))
    if not heads:
        reasons = "; ".join(f"{question}: {reason}" for question, reason in skipped.items())
        raise UsageError(f"there is nothing to train on ({reasons})")
    questions = {(head.set, head.question) for head in heads}
    return LabelledData(
        _keep_questions(train, questions),
        _keep_questions(validation, questions),
        tuple(heads),
        source_file,
        skipped,
    )


def _label_counts(texts: Iterable[LabelledText]) -> dict[tuple[str, str], Counter[str]]:
    """Counts of the labels, by set and question."""
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for text in texts:
        for question, label in text.labels.items():
            counts[text.set, question][label] += 1
    return counts


def _keep_questions(texts: Iterable[LabelledText], questions: set[tuple[str, str]]) -> list[LabelledText]:
    """Texts with their labels for some questions only; texts without any are dropped."""
    selected = []
    for text in texts:
        labels = {name: label for name, label in text.labels.items() if (text.set, name) in questions}
        if labels:
            selected.append(replace(text, labels=labels))
    return selected
