"""Read the published IMHI release: instruction and completion form, both layouts of the training files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mentallama.errors import DataError, UsageError
from mentallama.files.tables import TableLayout, TextLines, find_delimiter, read_table, require_columns
from mentallama.records import Form, Split
from mentallama.tasks import Task, read_query

_TEST_FOLDERS = {"instruction": "test_data/test_instruction", "completion": "test_data/test_complete"}
_TRAIN_FOLDERS = {"instruction": "train_data/instruction_data", "completion": "train_data/complete_data"}
_EXPERT_FOLDER = "human_evaluation/test_instruction_expert"

COLUMNS = ("query", "gpt-3.5-turbo")
"""Columns of the published files; the second holds the reference response, even if an expert wrote it."""

POST_COLUMNS = ("post", "question", "response")
"""Columns of some training files."""

_TRAIN_FILE_NAMES: dict[Split, tuple[str, ...]] = {
    "train": ("train.csv", "{stem}_train.csv", "{stem}-train.csv"),
    "validation": (
        "val.csv",
        "valid.csv",
        "{stem}_val.csv",
        "{stem}_valid.csv",
        "{stem}-val.csv",
        "{stem}-valid.csv",
    ),
}
# DR's completion files are named after the platform, not the set.
_FILE_STEMS = {"DR": ("DR", "reddit")}


@dataclass(frozen=True)
class ReleaseFile:
    """One file of the release."""

    set: str
    split: Split
    form: Form
    path: Path


@dataclass(frozen=True)
class ReleaseRow:
    """A published row; `row` is its number in a spreadsheet. `query` and `reference` are as published."""

    row: int
    question: str
    text: str
    query: str
    reference: str


def release_path(name: str, split: Split, form: Form) -> Path:
    """Path of a set's file of one split and form below the release folder, under the most common file name.

    >>> release_path("SAD", "validation", "completion").as_posix()
    'train_data/complete_data/SAD/val.csv'
    """
    if split == "test":
        return Path(_TEST_FOLDERS[form]) / f"{name}.csv"
    return Path(_TRAIN_FOLDERS[form]) / name / _TRAIN_FILE_NAMES[split][0]


def find_release_files(root: Path, form: Form, tasks: Mapping[str, Task]) -> list[ReleaseFile]:
    """Find the train, validation and test files of one form that exist, ordered by task, then split.

    Raises
    ------
    UsageError
        `root` is not a folder, or contains no part of the release.
    """
    if not root.is_dir():
        raise UsageError(f"{root}: there is no such folder")
    if not any(
        (root / part).is_dir() for part in (*_TEST_FOLDERS.values(), *_TRAIN_FOLDERS.values(), _EXPERT_FOLDER)
    ):
        raise UsageError(
            f"{root}: not the published release, it holds none of test_data, train_data, human_evaluation"
        )
    files = []
    for task in tasks.values():
        for split, names in _TRAIN_FILE_NAMES.items():
            paths = [
                root / _TRAIN_FOLDERS[form] / task.set / name.format(stem=stem)
                for stem in _FILE_STEMS.get(task.set, (task.set,))
                for name in names
            ]
            files += [ReleaseFile(task.set, split, form, path) for path in paths if path.is_file()][:1]
        test = root / _TEST_FOLDERS[form] / f"{task.set}.csv"
        if test.is_file():
            files.append(ReleaseFile(task.set, "test", form, test))
    return files


def find_expert_files(root: Path, tasks: Mapping[str, Task]) -> list[ReleaseFile]:
    """Find the files written by experts (instruction form), as test files."""
    paths = ((task.set, root / _EXPERT_FOLDER / f"{task.set}.csv") for task in tasks.values())
    return [ReleaseFile(name, "test", "instruction", path) for name, path in paths if path.is_file()]


def _layout(path: Path) -> TableLayout:
    """The delimiter of a file that a spreadsheet program saved again."""
    with TextLines(path, "utf-8") as lines:
        header = next(lines, "")
    delimiters = (find_delimiter(header, columns, default=",") for columns in (COLUMNS, POST_COLUMNS))
    return TableLayout(delimiter=next((found for found in delimiters if found != ","), ","))


def read_release_file(file: ReleaseFile, task: Task) -> Iterator[ReleaseRow]:
    """Yield the rows of a file, each query split into post text and question.

    Raises
    ------
    DataError
        A row is not a query of this task and form.
    """
    for row, cells in read_table(file.path, layout=_layout(file.path)):
        if "post" in cells:
            require_columns(file.path, cells, POST_COLUMNS)
            query, reference = cells["post"] + " " + cells["question"].lstrip(), cells["response"]
        else:
            require_columns(file.path, cells, COLUMNS)
            query, reference = (cells[column] for column in COLUMNS)
        try:
            question, text = read_query(task, query, file.form)
        except ValueError as fault:
            raise DataError(str(fault), file.path, row) from None
        yield ReleaseRow(row, question, text, query, reference)
