"""Preference pairs for DPO: a chosen and a rejected response to one question about a post.

Pairs come from a file or from the run: where an example has several responses, one that passed all gates of `check` is
chosen over one that failed a gate or that raters scored as poor (`review/sample.csv`). Validation pairs are those
about validation posts; for a file, those about a share of its posts (`corpus.VALIDATION_SHARE`).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from statistics import fmean

from mentallama.analysts.checkpoints.metadata import seen_hash
from mentallama.config import CausalSettings, Recipe
from mentallama.errors import DataError, UsageError
from mentallama.files.record_files import read_records
from mentallama.files.spreadsheet import read_sheet
from mentallama.records import (
    POOR_RATING_BELOW,
    RATING_SCORES,
    Example,
    Form,
    Post,
    Record,
    Response,
    Verdict,
    example_id,
    example_of,
    stable_id,
)
from mentallama.run_files import (
    POSTS_PATH,
    RATING_SAMPLE_PATH,
    RELEASE_RESPONSES_PATH,
    TEACH_RESPONSES_PATH,
    VERDICTS_PATH,
)
from mentallama.tasks import Task
from mentallama.train.data.corpus import validation_hashes
from mentallama.train.data.leakage import hashes_of_test_posts, refuse_test_posts


class PreferenceRow(Record):
    """A line of a file of pairs: a post's text, a question of a set, and two responses."""

    task: str
    question: str
    text: str
    chosen: str
    rejected: str


@dataclass(frozen=True)
class PreferencePair:
    """One question about a post, with a chosen and a rejected response."""

    example: Example
    chosen: str
    rejected: str


@dataclass(frozen=True)
class PreferenceData:
    """Pairs by split; `skipped` counts examples that gave no pair, by reason."""

    train: list[PreferencePair]
    validation: list[PreferencePair]
    source_file: str
    skipped: Counter[str] = field(default_factory=Counter)

    @property
    def sets(self) -> tuple[str, ...]:
        """The sets of the training pairs, in the order of the pairs."""
        return tuple(dict.fromkeys(pair.example.task for pair in self.train))

    def seen_hashes(self) -> set[str]:
        """Hashes of all posts used for training or model selection."""
        return {seen_hash(pair.example.text) for pair in chain(self.train, self.validation)}


def load_preferences(recipe: Recipe, folder: Path) -> PreferenceData:
    """Read the pairs of `train.preference_pairs`, or derive them from the run.

    Raises
    ------
    UsageError
        There are no training or no validation pairs, or one is about a test post of the run.
    DataError
        A row of the file is about an unknown set or question.
    """
    settings = recipe.train
    assert isinstance(settings, CausalSettings)
    path = settings.preference_pairs
    data = _from_recipe_run(recipe, folder) if path is None else _from_file(path, recipe)
    for split, pairs in (("training", data.train), ("validation", data.validation)):
        if not pairs:
            raise UsageError(
                f"{data.source_file}: there are no {split} pairs; a pair needs two responses to a question, of which "
                "one passed all gates and one did not (several teachers), or a file (train.preference_pairs)"
            )
    if (folder / POSTS_PATH).is_file():
        texts = (pair.example.text for pair in chain(data.train, data.validation))
        refuse_test_posts(texts, hashes_of_test_posts(read_records(folder / POSTS_PATH, Post)))
    return data


def _from_file(path: Path, recipe: Recipe) -> PreferenceData:
    tasks = recipe.catalogue()
    pairs = []
    for number, row in enumerate(read_records(path, PreferenceRow), 1):
        if row.task not in tasks or row.question not in tasks[row.task].questions:
            raise DataError(
                f"no question {row.question!r} of a set {row.task!r} in this recipe", path, number
            )
        post_id = stable_id(row.text)
        example = Example(
            id=example_id(post_id, row.question, recipe.form, row.task),
            post_id=post_id,
            task=row.task,
            question=row.question,
            form=recipe.form,
            text=row.text,
        )
        pairs.append(PreferencePair(example, row.chosen, row.rejected))
    data = PreferenceData([], [], path.name)
    validation = validation_hashes(seen_hash(pair.example.text) for pair in pairs)
    for pair in pairs:
        in_validation = seen_hash(pair.example.text) in validation
        (data.validation if in_validation else data.train).append(pair)
    return data


def _from_recipe_run(recipe: Recipe, folder: Path) -> PreferenceData:
    report_only = frozenset(recipe.check.report_only if recipe.check is not None else ())
    responses = folder / (RELEASE_RESPONSES_PATH if recipe.teach is None else TEACH_RESPONSES_PATH)
    return derive_pairs(folder, responses, recipe.catalogue(), recipe.form, report_only)


def derive_pairs(
    folder: Path, responses_file: Path, tasks: Mapping[str, Task], form: Form, report_only: Collection[str]
) -> PreferenceData:
    """Derive pairs of training and validation posts from the verdicts and ratings of a run.

    Parameters
    ----------
    folder
        The run's folder.
    report_only
        Gates whose verdicts do not count.

    Raises
    ------
    UsageError
        There are no verdicts or no responses.
    """
    poor = _failed_gates(folder / VERDICTS_PATH, report_only) | _rated_poor(folder / RATING_SAMPLE_PATH)
    responses = _responses_by_example(responses_file)
    data = PreferenceData([], [], VERDICTS_PATH)
    by_split = {"train": data.train, "validation": data.validation}
    for post in read_records(folder / POSTS_PATH, Post):
        if post.split not in by_split:
            continue
        for question in tasks[post.set].questions if post.set in tasks else ():
            example = example_of(post, question, form)
            candidates = responses.get(example.id, [])
            good = [response.text for response in candidates if _response_key(response) not in poor]
            bad = [
                response.text
                for response in candidates
                if _response_key(response) in poor and response.text.strip()
            ]
            if good:
                by_split[post.split] += [PreferencePair(example, good[0], text) for text in bad]
            if candidates and not (good and bad):
                data.skipped["its responses are all good or all bad"] += 1
    return data


def _response_key(item: Response | Verdict) -> tuple[str, str]:
    return item.example_id, item.model


def _failed_gates(path: Path, report_only: Collection[str]) -> set[tuple[str, str]]:
    """Responses, as (example id, model), that failed a gate; gates in `report_only` do not count."""
    if not path.is_file():
        raise UsageError(
            f"{path}: there are no verdicts; add check to the recipe, or name train.preference_pairs"
        )
    return {
        _response_key(verdict)
        for verdict in read_records(path, Verdict)
        if not verdict.ok and verdict.gate not in report_only
    }


def _rated_poor(path: Path) -> set[tuple[str, str]]:
    """Responses, as (example id, model), that raters scored as poor; empty if nothing was rated."""
    scores: dict[tuple[str, str], list[int]] = defaultdict(list)
    for row, cells in read_sheet(path, ("example_id", "model", "overall")):
        score = cells["overall"].strip()
        if score and score not in RATING_SCORES:
            raise DataError(f"overall is not a score; write {', '.join(RATING_SCORES)} or nothing", path, row)
        if score:
            scores[cells["example_id"], cells["model"]].append(int(score))
    return {response for response, ratings in scores.items() if fmean(ratings) < POOR_RATING_BELOW}


def _responses_by_example(path: Path) -> Mapping[str, list[Response]]:
    """Responses by example id, in the order of the teachers."""
    if not path.is_file():
        raise UsageError(
            f"{path}: there are no responses to compare; add teach to the recipe, or name train.preference_pairs"
        )
    by_example: dict[str, list[Response]] = defaultdict(list)
    for response in read_records(path, Response):
        by_example[response.example_id].append(response)
    return by_example
