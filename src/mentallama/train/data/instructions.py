"""The rows that language models learn from: instructions that `check` accepted, or the release's own goldens.

Rows of test posts are never among them. That is proved on the texts themselves: a post of a training or validation row
that stands in a test row too, of any set, ends the training before it begins.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mentallama.analysts.checkpoints.metadata import read_model_metadata, read_seen_hashes, seen_hash
from mentallama.answers.parse import read_answer
from mentallama.config import Recipe
from mentallama.errors import UsageError
from mentallama.files.record_files import read_records
from mentallama.records import Example, Post, Response, Split, example_of
from mentallama.run_files import INSTRUCTIONS_PATH, POSTS_PATH, RELEASE_RESPONSES_PATH
from mentallama.text.fingerprint import text_key


@dataclass(frozen=True)
class InstructionData:
    """Examples with a response to learn from, by split; `skipped` counts rows that are not used, by reason."""

    train: list[Example]
    validation: list[Example]
    source_file: str
    skipped: Counter[str] = field(default_factory=Counter)

    @property
    def sets(self) -> tuple[str, ...]:
        """The sets that are learnt from, in the order of the rows."""
        return tuple(dict.fromkeys(example.task for example in self.train))

    def seen_hashes(self) -> set[str]:
        """Hashes of all posts that training or its choices see."""
        return {seen_hash(example.text) for example in (*self.train, *self.validation)}


def instruction_file(recipe: Recipe) -> str:
    """The file of rows, in the run's folder."""
    return RELEASE_RESPONSES_PATH if recipe.check is None else INSTRUCTIONS_PATH


def load_instructions(recipe: Recipe, folder: Path) -> InstructionData:
    """Read the rows of a run.

    Raises
    ------
    WrongUse
        There are no training rows or no validation rows, or one of their posts is a test post too.
    """
    splits, tests = _splits_and_test_hashes(folder / POSTS_PATH)
    skipped: Counter[str] = Counter()
    by_split: dict[Split, list[Example]] = {"train": [], "validation": [], "test": []}
    read = _release_rows if recipe.check is None else _accepted_rows
    for example in read(recipe, folder, skipped):
        by_split[splits[example.post_id]].append(example)
    lessons = InstructionData(by_split["train"], by_split["validation"], instruction_file(recipe), skipped)
    _require_both_splits(lessons, folder / lessons.source_file)
    refuse_test_posts((each.text for each in (*lessons.train, *lessons.validation)), tests)
    return lessons


def hashes_of_test_posts(posts: Path) -> frozenset[str]:
    """Hashes of the test posts of a run, of all its sets."""
    return _splits_and_test_hashes(posts)[1]


def base_seen_hashes(base: str | None, posts: Path) -> frozenset[str]:
    """Hashes of the posts that a base was trained on here; none where it comes from elsewhere.

    Raises
    ------
    WrongUse
        One of them is a test post of this run: what is tuned from the base could have learnt it by heart.
    BadData
        The base does not say what it has seen.
    """
    if base is None or read_model_metadata(Path(base)) is None:
        return frozenset()
    seen = read_seen_hashes(Path(base))
    leaked = len(seen & hashes_of_test_posts(posts)) if posts.is_file() else 0
    if leaked:
        raise UsageError(
            f"{base}: this base was trained on {leaked} posts that are test posts of this run; train it anew without "
            "them (the same data, collect.leak_guard: run), or start from another"
        )
    return seen


def refuse_test_posts(texts: Iterator[str], tests: frozenset[str]) -> None:
    """Raise `WrongUse` where a text that is learnt from is a test post of any set."""
    leaked = sum(seen_hash(text) in tests for text in texts)
    if leaked:
        raise UsageError(
            f"{leaked} rows to train on are of posts that are test posts too, of their own or of another set; a model "
            "of several sets needs collect.leak_guard: run"
        )


def _splits_and_test_hashes(posts: Path) -> tuple[dict[str, Split], frozenset[str]]:
    """The split of each post, and the hashes of the test posts. A post without a letter is nobody's in particular."""
    splits: dict[str, Split] = {}
    tests = set()
    for post in read_records(posts, Post):
        splits[post.id] = post.split
        if post.split == "test" and text_key(post.text):
            tests.add(seen_hash(post.text))
    return splits, frozenset(tests)


def _accepted_rows(recipe: Recipe, folder: Path, skipped: Counter[str]) -> Iterator[Example]:
    """What check accepted, of the recipe's sets."""
    tasks = recipe.catalogue()
    for example in read_records(folder / INSTRUCTIONS_PATH, Example):
        if example.task in tasks:
            yield example
        else:
            skipped["of a set that the recipe does not name"] += 1


def _release_rows(recipe: Recipe, folder: Path, skipped: Counter[str]) -> Iterator[Example]:
    """The release's responses; one that cannot be read teaches no answer and is passed over, with its count."""
    path = folder / RELEASE_RESPONSES_PATH
    responses = (
        {each.example_id: each.text for each in read_records(path, Response)} if path.is_file() else {}
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


def _require_both_splits(lessons: InstructionData, path: Path) -> None:
    for split, rows in (("train", lessons.train), ("validation", lessons.validation)):
        if not rows:
            raise UsageError(
                f"{path}: there are no {split} rows with an answer; add teach and check to the recipe, or data that "
                "has responses (collect.validation_share draws a validation split)"
            )
