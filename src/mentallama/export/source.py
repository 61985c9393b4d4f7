"""The source of an export: a run's folder, a built data set, or predictions, as rows of plain records.

Test posts stay out of training rows: an export of data in which a training row is about a test post is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mentallama.analysts.checkpoints.metadata import seen_hash
from mentallama.check.output.dataset import dataset_path
from mentallama.check.output.gate_report_schema import GateReport
from mentallama.errors import DataError, UsageError
from mentallama.files.record_files import read_record, read_records
from mentallama.records import SPLITS, Example, Form, Post, Record, Split
from mentallama.run_files import (
    GATE_REPORT_PATH,
    INSTRUCTIONS_FILE,
    INSTRUCTIONS_PATH,
    POSTS_PATH,
    RELEASE_RESPONSES_PATH,
    TEACH_RESPONSES_PATH,
    VERDICTS_PATH,
)
from mentallama.tasks import Task, read_query
from mentallama.text.fingerprint import text_key
from mentallama.train.data.leakage import hashes_of_test_posts, refuse_test_posts
from mentallama.train.data.preference_pairs import PreferencePair, derive_pairs

CHECK_FOLDER = "check"


class DatasetRow(Record):
    """A line of a built data set: a question about a post as a query, and the accepted response."""

    id: str
    set: str
    question: str
    query: str
    response: str
    label: str
    explanation: str
    model: str
    post_id: str


@dataclass(frozen=True)
class ExportSource:
    """A folder to export from, and how its rows are read.

    Parameters
    ----------
    path
        A run's folder, the folder of a built data set (the one that `check` writes), a model's folder, or a table.
    tasks
        The tasks by set; an export of a set that is not among them is refused.
    form
        The published form of queries and answers.
    posts
        The posts of predictions that were made without a recipe: a file of posts, a run's folder or the release.
    text_column
        The column of the posts, if the path is a table that predict answered; None for the usual names.
    """

    path: Path
    tasks: Mapping[str, Task]
    form: Form = "instruction"
    posts: Path | None = None
    text_column: str | None = None

    @cached_property
    def dataset_folder(self) -> Path:
        """The folder of the built data set; raises `UsageError` if there is none at the path."""
        if self._dataset_folder is None:
            raise self.nothing_to_export("a built data set or a run with one")
        return self._dataset_folder

    @property
    def has_dataset(self) -> bool:
        """Whether there is a built data set at the path."""
        return self._dataset_folder is not None

    @cached_property
    def _dataset_folder(self) -> Path | None:
        folders = (self.path, self.path / CHECK_FOLDER)
        return next((folder for folder in folders if (folder / INSTRUCTIONS_FILE).is_file()), None)

    def nothing_to_export(self, what: str) -> UsageError:
        """The error for a path that holds nothing of what can be exported."""
        return UsageError(
            f"{self.path}: this is not {what}; name the folder of a run, or one that a stage wrote (a data set is "
            "built by the stages teach and check, as in recipes/sample-build.yaml)"
        )

    @cached_property
    def run_folder(self) -> Path | None:
        """The run's folder, if the path is one or is the folder of one of its stages; else None."""
        folder = self.path.parent if self.path.is_file() else self.path
        candidates = (folder, folder.resolve().parent)
        return next((folder for folder in candidates if (folder / POSTS_PATH).is_file()), None)

    def task(self, name: str) -> Task:
        """The task of a set; raises `UsageError` if it is not known."""
        if name not in self.tasks:
            raise UsageError(
                f"{self.path}: there is no task named {name!r}; give the folder of your own tasks with --tasks"
            )
        return self.tasks[name]

    def dataset_rows(self, split: Split) -> Iterator[DatasetRow]:
        """The rows of one split of the built data set, in the file's order; none if it has no such split."""
        path = self._dataset_file(split)
        if path.is_file():
            yield from read_records(path, DatasetRow)

    def dataset_splits(self) -> tuple[Split, ...]:
        """The splits that the built data set has.

        Raises
        ------
        UsageError
            It has none; or a row of another split is about a test post.
        """
        splits = tuple(split for split in SPLITS if self._dataset_file(split).is_file())
        if not splits:
            raise UsageError(f"{self.dataset_folder}: the data set is empty: check accepted no response")
        self._refuse_test_posts(splits)
        return splits

    def pairs_by_split(self) -> dict[Split, list[PreferencePair]]:
        """Pairs of a chosen and a rejected response by split, never about test posts; {} if the run has none."""
        run = self.run_folder
        if run is None or not (run / VERDICTS_PATH).is_file() or not (run / GATE_REPORT_PATH).is_file():
            return {}
        answers = (run / TEACH_RESPONSES_PATH, run / RELEASE_RESPONSES_PATH)
        responses = next((path for path in answers if path.is_file()), None)
        first = next(read_records(run / INSTRUCTIONS_PATH, Example), None)
        if responses is None or first is None:
            return {}
        report = read_record(run / GATE_REPORT_PATH, GateReport)
        report_only = frozenset(gate.gate for gate in report.gates if not gate.drops)
        data = derive_pairs(run, responses, self.tasks, first.form, report_only)
        texts = (pair.example.text for pair in (*data.train, *data.validation))
        refuse_test_posts(texts, self._test_hashes(()))
        by_split: dict[Split, list[PreferencePair]] = {"train": data.train, "validation": data.validation}
        return {split: pairs for split, pairs in by_split.items() if pairs}

    def post_text(self, row: DatasetRow, split: Split) -> str:
        """The text of the post that a row's query asks about."""
        try:
            return read_query(self.task(row.set), row.query, self.form)[1]
        except ValueError:
            problem = f"the query of {row.id} asks none of the questions of {row.set}"
            raise DataError(problem, self._dataset_file(split)) from None

    def _dataset_file(self, split: Split) -> Path:
        return self.dataset_folder / dataset_path(self.form, split, ".jsonl")

    def _refuse_test_posts(self, splits: tuple[Split, ...]) -> None:
        training = (split for split in splits if split != "test")
        texts = (self.post_text(row, split) for split in training for row in self.dataset_rows(split))
        refuse_test_posts(texts, self._test_hashes(splits))

    def _test_hashes(self, splits: tuple[Split, ...]) -> frozenset[str]:
        """Hashes of the test posts of the data set and, where it is part of a run, of all sets of the run."""
        rows = self.dataset_rows("test") if "test" in splits else ()
        hashes = hashes_of_texts(self.post_text(row, "test") for row in rows)
        if self.run_folder is None:
            return hashes
        return hashes | hashes_of_test_posts(read_records(self.run_folder / POSTS_PATH, Post))


def hashes_of_texts(texts: Iterable[str]) -> frozenset[str]:
    """Hashes by which copies of test posts are recognised; texts without a letter are left out."""
    return frozenset(seen_hash(text) for text in texts if text_key(text))
