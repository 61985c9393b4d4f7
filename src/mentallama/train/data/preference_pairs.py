"""Pairs of a better and a worse response to one question: what preference tuning learns from.

They come from a file, or from the run: of an example with several responses, one that all gates of `check` passed is
better than one that a gate refused, or that raters found poor (`review/sample.csv`). Weights are chosen by pairs about
validation posts; of a file, by those about some posts that are held back (`corpus.HELD_SHARE`).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from statistics import fmean

from mentallama.analysts.checkpoints.metadata import seen_hash
from mentallama.config import CausalSettings, Recipe
from mentallama.errors import DataError, UsageError
from mentallama.files.record_files import read_records
from mentallama.files.spreadsheet import read_sheet
from mentallama.records import RATING_SCORES, Example, Post, Record, Response, Verdict, example_of, stable_id
from mentallama.run_files import (
    POSTS_PATH,
    RATING_SAMPLE_PATH,
    RELEASE_RESPONSES_PATH,
    TEACH_RESPONSES_PATH,
    VERDICTS_PATH,
)
from mentallama.train.data.corpus import validation_hashes
from mentallama.train.data.instructions import hashes_of_test_posts, refuse_test_posts

POOR_BELOW = 2.0
"""Mean overall score (0-3) of its raters below which a response is poor, as in `check`."""


class PreferenceRow(Record):
    """A line of a file of pairs: the post's text, the question of a set, and two answers."""

    task: str
    question: str
    text: str
    chosen: str
    rejected: str


@dataclass(frozen=True)
class PreferencePair:
    """One question about a post, with a better and a worse response."""

    example: Example
    chosen: str
    rejected: str


@dataclass(frozen=True)
class PreferenceData:
    """Pairs by split; `skipped` counts, by reason, what gave none."""

    train: list[PreferencePair]
    validation: list[PreferencePair]
    source_file: str
    skipped: Counter[str] = field(default_factory=Counter)

    @property
    def sets(self) -> tuple[str, ...]:
        """The sets that are learnt from, in the order of the pairs."""
        return tuple(dict.fromkeys(pair.example.task for pair in self.train))

    def seen_hashes(self) -> set[str]:
        """Hashes of all posts that training or its choices see."""
        return {seen_hash(pair.example.text) for pair in chain(self.train, self.validation)}


def load_preferences(recipe: Recipe, folder: Path) -> PreferenceData:
    """The pairs of the recipe's file, or else of the run.

    Raises
    ------
    WrongUse
        There are no pairs to train on or none to choose by, or one is about a test post of the run.
    BadData
        A row of the file is no pair of a known set and question.
    """
    settings = recipe.train
    assert isinstance(settings, CausalSettings)
    found = (
        _from_run(recipe, folder)
        if settings.preference_pairs is None
        else _from_file(settings.preference_pairs, recipe)
    )
    for split, pairs in (("training", found.train), ("validation", found.validation)):
        if not pairs:
            raise UsageError(
                f"{found.source_file}: there are no {split} pairs; it takes questions with one response that passed all "
                "gates and one that did not (several teachers), or a file of pairs (train.preference_pairs)"
            )
    if (folder / POSTS_PATH).is_file():
        posts = (pair.example.text for pair in chain(found.train, found.validation))
        refuse_test_posts(posts, hashes_of_test_posts(folder / POSTS_PATH))
    return found


def _from_file(path: Path, recipe: Recipe) -> PreferenceData:
    tasks = recipe.catalogue()
    told = []
    for number, row in enumerate(read_records(path, PreferenceRow), 1):
        if row.task not in tasks or row.question not in tasks[row.task].questions:
            raise DataError(
                f"no question {row.question!r} of a set {row.task!r} in this recipe", path, number
            )
        post_id = stable_id(row.text)
        example = Example(
            id=stable_id(post_id, row.task, row.question),
            post_id=post_id,
            task=row.task,
            question=row.question,
            form=recipe.form,
            text=row.text,
        )
        told.append(PreferencePair(example, row.chosen, row.rejected))
    found, held = (
        PreferenceData([], [], path.name),
        validation_hashes(seen_hash(pair.example.text) for pair in told),
    )
    for pair in told:
        (found.validation if seen_hash(pair.example.text) in held else found.train).append(pair)
    return found


def _from_run(recipe: Recipe, folder: Path) -> PreferenceData:
    refused = _failed_gates(recipe, folder) | _rated_poor(folder / RATING_SAMPLE_PATH)
    responses = _responses_by_example(
        folder / (RELEASE_RESPONSES_PATH if recipe.teach is None else TEACH_RESPONSES_PATH)
    )
    found = PreferenceData([], [], VERDICTS_PATH)
    by_split = {"train": found.train, "validation": found.validation}
    tasks = recipe.catalogue()
    for post in read_records(folder / POSTS_PATH, Post):
        if post.split not in by_split:
            continue
        for question in tasks[post.set].questions if post.set in tasks else ():
            example = example_of(post, question, recipe.form)
            own = responses.get(example.id, [])
            better = [each.text for each in own if (each.example_id, each.model) not in refused]
            worse = [
                each.text for each in own if (each.example_id, each.model) in refused and each.text.strip()
            ]
            if own and not (better and worse):
                found.skipped["its responses are all of one kind"] += 1
            by_split[post.split] += (PreferencePair(example, better[0], each) for each in worse if better)
    return found


def _failed_gates(recipe: Recipe, folder: Path) -> set[tuple[str, str]]:
    """Responses, by example and model, that a gate refused; gates that only report refuse nothing."""
    only_told = frozenset(recipe.check.report_only if recipe.check is not None else ())
    if not (folder / VERDICTS_PATH).is_file():
        raise UsageError(
            f"{folder / VERDICTS_PATH}: there are no verdicts; add check to the recipe, or name train.preference_pairs"
        )
    verdicts = read_records(folder / VERDICTS_PATH, Verdict)
    return {(each.example_id, each.model) for each in verdicts if not each.ok and each.gate not in only_told}


def _rated_poor(path: Path) -> set[tuple[str, str]]:
    """Responses, by example and model, that raters found poor; nobody need have rated any."""
    scores: dict[tuple[str, str], list[int]] = defaultdict(list)
    for row, cells in read_sheet(path, ("example_id", "model", "overall")):
        score = cells["overall"].strip()
        if score and score not in RATING_SCORES:
            raise DataError(f"overall is no score; write {', '.join(RATING_SCORES)} or nothing", path, row)
        if score:
            scores[cells["example_id"], cells["model"]].append(int(score))
    return {response for response, own in scores.items() if fmean(own) < POOR_BELOW}


def _responses_by_example(path: Path) -> Mapping[str, list[Response]]:
    """Responses by example, in the order of the teachers."""
    found: dict[str, list[Response]] = defaultdict(list)
    for response in _read_responses(path):
        found[response.example_id].append(response)
    return found


def _read_responses(path: Path) -> Iterable[Response]:
    if not path.is_file():
        raise UsageError(
            f"{path}: there are no responses to compare; add teach to the recipe, or name train.preference_pairs"
        )
    return read_records(path, Response)
