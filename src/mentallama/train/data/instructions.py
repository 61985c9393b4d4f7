"""Instruction rows for fine-tuning: those that `check` accepted or, without check, the release's own responses.

Rows of test posts are left out, and the run is refused if the text of a training or validation post is a test post of
any set.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mentallama.analysts.checkpoints.metadata import seen_hash
from mentallama.answers.parse import read_answer
from mentallama.config import Recipe
from mentallama.errors import UsageError
from mentallama.files.record_files import read_records
from mentallama.records import Example, Post, Response, Split, example_of
from mentallama.run_files import INSTRUCTIONS_PATH, POSTS_PATH, RELEASE_RESPONSES_PATH
from mentallama.train.data.leakage import hashes_of_test_posts, refuse_test_posts


@dataclass(frozen=True)
class InstructionData:
    """Examples with a response, by split; `skipped` counts rows that were left out, by reason."""

    train: list[Example]
    validation: list[Example]
    source_file: str
    skipped: Counter[str] = field(default_factory=Counter)

    @property
    def sets(self) -> tuple[str, ...]:
        """The sets of the training rows, in the order of the rows."""
        return tuple(dict.fromkeys(example.task for example in self.train))

    def seen_hashes(self) -> set[str]:
        """Hashes of all posts used for training or model selection."""
        return {seen_hash(example.text) for example in (*self.train, *self.validation)}


def instruction_file(recipe: Recipe) -> str:
    """Path of the file of rows, relative to the run's folder."""
    return RELEASE_RESPONSES_PATH if recipe.check is None else INSTRUCTIONS_PATH


def load_instructions(recipe: Recipe, folder: Path) -> InstructionData:
    """Read the rows of a run.

    Raises
    ------
    UsageError
        There are no training or no validation rows, or one of their posts is also a test post.
    """
    posts = list(read_records(folder / POSTS_PATH, Post))
    splits = {post.id: post.split for post in posts}
    skipped: Counter[str] = Counter()
    by_split: dict[Split, list[Example]] = {"train": [], "validation": [], "test": []}
    read_rows = _release_rows if recipe.check is None else _accepted_rows
    for example in read_rows(recipe, folder, skipped):
        by_split[splits[example.post_id]].append(example)
    data = InstructionData(by_split["train"], by_split["validation"], instruction_file(recipe), skipped)
    _require_both_splits(data, folder / data.source_file)
    texts = (example.text for example in (*data.train, *data.validation))
    refuse_test_posts(texts, hashes_of_test_posts(posts))
    return data


def _accepted_rows(recipe: Recipe, folder: Path, skipped: Counter[str]) -> Iterator[Example]:
    """Rows that check accepted, of the recipe's sets."""
    tasks = recipe.catalogue()
    for example in read_records(folder / INSTRUCTIONS_PATH, Example):
        if example.task in tasks:
            yield example
        else:
            skipped["of a set that the recipe does not name"] += 1


def _release_rows(recipe: Recipe, folder: Path, skipped: Counter[str]) -> Iterator[Example]:
    """The release's responses; one whose answer cannot be parsed is skipped and counted."""
    path = folder / RELEASE_RESPONSES_PATH
    responses = (
        {response.example_id: response.text for response in read_records(path, Response)}
        if path.is_file()
        else {}
    )
    tasks = recipe.catalogue()
    for post in read_records(folder / POSTS_PATH, Post):
        for question in tasks[post.set].questions if post.set in tasks else ():
            example = example_of(post, question, recipe.form)
            text = responses.get(example.id)
            if text is None:
                continue
            reading = read_answer(tasks[post.set], text, recipe.form)
            if reading.status != "parsed":
                skipped[f"its answer is {reading.status}"] += 1
                continue
            yield example.model_copy(update={"label": reading.label, "response": " ".join(text.split())})


def _require_both_splits(data: InstructionData, path: Path) -> None:
    for split, rows in (("train", data.train), ("validation", data.validation)):
        if not rows:
            raise UsageError(
                f"{path}: there are no {split} rows with an answer; add teach and check to the recipe, or data that "
                "has responses (collect.validation_share draws a validation split)"
            )
