"""Labelled texts for encoders: posts, or explanations without their answers, with the labels of their questions.

The run is refused if the text of a training or validation post is a test post of any set.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

from mentallama.analysts.answer_parts import heads_of, labels_by_head, question_of_head
from mentallama.analysts.checkpoints.metadata import EncoderHead, seen_hash
from mentallama.answers.parse import read_answer
from mentallama.answers.strip_label import strip_label
from mentallama.config import Recipe
from mentallama.errors import UsageError
from mentallama.files.record_files import read_records
from mentallama.records import Example, Post
from mentallama.run_files import POSTS_PATH
from mentallama.tasks import Task
from mentallama.tasks.answer_kinds import Part
from mentallama.train.data.instructions import instruction_file, load_instructions
from mentallama.train.data.leakage import hashes_of_test_posts, refuse_test_posts
from mentallama.train.data.quotations import CharRanges, quotation_ranges


@dataclass(frozen=True)
class LabelledText:
    """A text and its labels by head (`analysts.answer_parts`); `post_hash` is the hash of the post that it is, or is
    about. `quotations` are the places of annotated passages, by head, for heads that quote.
    """

    set: str
    text: str
    labels: Mapping[str, str]
    post_hash: str
    quotations: Mapping[str, CharRanges] = field(default_factory=dict)


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
            by_split[post.split].append(_labelled_post(post, tasks[post.set]))
    train, validation = by_split["train"], by_split["validation"]
    texts = (text.text for text in chain(train, validation))
    refuse_test_posts(texts, hashes_of_test_posts(posts))
    return _with_heads(train, validation, tasks, POSTS_PATH)


def _labelled_post(post: Post, task: Task) -> LabelledText:
    return LabelledText(
        post.set,
        post.text,
        labels_by_head(task, post.labels),
        seen_hash(post.text),
        quotation_ranges(task, post.text, post.labels),
    )


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
        if task.is_composite:
            skipped["answers of several parts cannot be read from an explanation"] += 1
            continue
        reading = read_answer(task, row.response or "", row.form)
        text = strip_label(task, reading.explanation)
        if not text:
            skipped["no explanation is left without its answer"] += 1
        elif reading.label is not None:
            yield LabelledText(row.task, text, {row.question: reading.label}, seen_hash(row.text))


def _with_heads(
    train: list[LabelledText], validation: list[LabelledText], tasks: Mapping[str, Task], source_file: str
) -> LabelledData:
    """Create a head for each question or part that can be trained, and drop the labels of all others."""
    train_counts, validation_counts = _label_counts(train), _label_counts(validation)
    heads, skipped = [], dict[str, str | int]()
    for name, head, part in _all_heads(tasks):
        in_train, in_validation = train_counts[name, head], validation_counts[name, head]
        unknown = sorted((set(in_train) | set(in_validation)) - set(part.levels))
        if unknown:
            raise UsageError(f"{name}, {head}: the task has no label {', '.join(map(repr, unknown))}")
        if len(in_train) < 2:
            skipped[f"{name}, {head}"] = (
                f"{in_train.total()} training rows with {len(in_train)} different labels; at least two are needed"
            )
        elif not in_validation:
            raise UsageError(
                f"{name}, {head}: there are {in_train.total()} training rows but no validation rows; have collect "
                "draw some with validation_share"
            )
        else:
            heads.append(_encoder_head(tasks[name], head, part))
    if not heads:
        reasons = "; ".join(f"{question}: {reason}" for question, reason in skipped.items())
        raise UsageError(f"there is nothing to train on ({reasons})")
    names = {(head.set, head.name) for head in heads}
    return LabelledData(
        _keep_heads(train, names),
        _keep_heads(validation, names),
        tuple(heads),
        source_file,
        skipped,
    )


def _all_heads(tasks: Mapping[str, Task]) -> Iterator[tuple[str, str, Part]]:
    """Set, name and part of every head that the tasks could have."""
    return ((name, head, part) for name, task in tasks.items() for head, part in heads_of(task).items())


def _encoder_head(task: Task, name: str, part: Part) -> EncoderHead:
    return EncoderHead(
        set=task.set,
        question=question_of_head(name, part.name),
        part=part.name,
        ordered=part.ordered,
        of_tokens=task.kind == "spans",
        labels=part.levels,
    )


def _label_counts(texts: Iterable[LabelledText]) -> dict[tuple[str, str], Counter[str]]:
    """Counts of the labels, by set and head."""
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for text in texts:
        for head, label in text.labels.items():
            counts[text.set, head][label] += 1
    return counts


def _keep_heads(texts: Iterable[LabelledText], heads: set[tuple[str, str]]) -> list[LabelledText]:
    """Texts with their labels for some heads only; texts without any are dropped."""
    selected = []
    for text in texts:
        labels = {name: label for name, label in text.labels.items() if (text.set, name) in heads}
        if labels:
            selected.append(replace(text, labels=labels))
    return selected
