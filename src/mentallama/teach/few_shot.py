"""Expert-written examples for few-shot prompts: read, kept apart from test posts, drawn by seed.

A file of examples is a table with the columns set, question, text, label, explanation, or stands in the published
layout: a file a set, named after it, with the columns `query` and `gpt-3.5-turbo`.
"""

from __future__ import annotations

import difflib
import random
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice, zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from mentallama.answers.parse import read_answer
from mentallama.errors import BadData, WrongUse
from mentallama.files.imhi_release import ReleaseFile, read_release
from mentallama.files.tables import need_columns, read_table
from mentallama.prompts import Shot
from mentallama.records import Post, Record
from mentallama.tasks import Task, find_task
from mentallama.text.fingerprint import hash_of, key_of
from mentallama.text.near_duplicates import Index, bands_of
from mentallama.text.pii import scrub

COLUMNS = ["set", "question", "text", "label", "explanation"]
BATCH = 1000
"""Test posts whose keys and bands are computed at a time."""

Draw = Callable[[str], tuple[Shot, ...]]
"""From the key (`key_of`) of the post that is asked about to the examples to show with it."""


class ShotRow(Record):
    """One example, and where it stands. Text and explanation are scrubbed, as posts are."""

    set: str
    question: str
    text: str
    label: str
    explanation: str
    file: str
    row: int

    def shot(self) -> Shot:
        return Shot(text=self.text, label=self.label, explanation=self.explanation)


def read_examples(path: Path, tasks: Mapping[str, Task]) -> list[ShotRow]:
    """Read a file of examples, or all tables of a folder, in the order of their names.

    Parameters
    ----------
    tasks
        All tasks that are known, also those that the run leaves out.

    Raises
    ------
    WrongUse
        There is no such file, or no table in the folder.
    BadData
        An unknown set, question or label, an empty text or explanation, an answer that cannot be read.
    """
    rows = [row for file in _files(path) for row in _read_file(file, tasks)]
    return [row.model_copy(update=_scrubbed(row)) for row in rows]


def refuse_test_rows(rows: Sequence[ShotRow], posts: Iterable[Post]) -> None:
    """Refuse examples that are, exactly or nearly, a post of a test split; posts of other splits are not looked at.

    Near means what it means to `collect`: the same grouping is applied to examples and test posts together.

    Raises
    ------
    BadData
        Names the first such example, the set whose test split it stands in, and the rows of all further ones.
    """
    with TemporaryDirectory() as folder:
        index, sets = Index(Path(folder)), list[str]()
        _add(index, [row.text for row in rows])
        tests = (post for post in posts if post.split == "test")
        while batch := list(islice(tests, BATCH)):
            _add(index, [post.text for post in batch])
            sets += [post.set for post in batch]
        near = index.clusters()[1].tolist()
        index.close()
    standing = dict(zip(reversed(near[len(rows) :]), reversed(sets), strict=True))  # of several, the first
    found = [
        (row, standing[cluster]) for row, cluster in zip(rows, near, strict=False) if cluster in standing
    ]
    if found:
        (first, name), *more = found
        fault = (
            f"the example's text stands in the test split of {name}; take the row out{_rows_by_file(more)}"
        )
        raise BadData(fault, first.file, first.row)


def _rows_by_file(found: Iterable[tuple[ShotRow, str]]) -> str:
    rows: dict[str, list[str]] = {}
    for row, _ in found:
        rows.setdefault(Path(row.file).name, []).append(str(row.row))
    listed = "; ".join(f"{file} {', '.join(numbers)}" for file, numbers in rows.items())
    return f", and these rows as well: {listed}" if listed else ""


def draw_shots(rows: Sequence[ShotRow], task: Task, question: str, shots: int, seed: int) -> Draw:
    """Prepare to draw the examples of one question: once a question, then a call a post.

    The draw depends on the seed alone, so all posts of a question are shown the same examples, in the same order, and
    a server can keep what it computed for them. Only a post that is itself an example, exactly, is shown another in
    its place (or one fewer where there is no other). All labels come before a second example of any, and so on;
    where there are fewer shots than labels, the seed says which labels are left out.

    Raises
    ------
    WrongUse
        A label of the question has no example, or there are fewer examples than shots.
    """
    own = [row for row in rows if (row.set, row.question) == (task.set, question)]
    _need_enough(own, task, question, shots)
    drawn = random.Random(f"{seed} {task.set} {question}")
    piles = [[row for row in own if row.label == label] for label in task.labels]
    drawn.shuffle(piles)
    for pile in piles:
        drawn.shuffle(pile)
    places = {id(row): place for place, row in enumerate(drawn.sample(own, len(own)))}
    keyed = [[(key_of(row.text), row.shot(), places[id(row)]) for row in pile] for pile in piles]
    keys = {key for pile in keyed for key, _, _ in pile}
    usual = _deal(keyed, shots, "")
    return lambda but: _deal(keyed, shots, but) if but in keys else usual


def _deal(piles: Sequence[Sequence[tuple[str, Shot, int]]], shots: int, but: str) -> tuple[Shot, ...]:
    """One example of each pile, then a second, until there are enough; shown in the order of their places."""
    left = [[card for card in pile if not but or card[0] != but] for pile in piles]
    rounds = (card for round_ in zip_longest(*left) for card in round_ if card is not None)
    return tuple(shot for _, shot, _ in sorted(islice(rounds, shots), key=lambda card: card[2]))


def _need_enough(own: Sequence[ShotRow], task: Task, question: str, shots: int) -> None:
    asked = task.set if len(task.questions) == 1 else f"{task.set}, {question}"
    missing = [label for label in task.labels if label not in {row.label for row in own}]
    if missing:
        raise WrongUse(
            f"the examples file has none for {asked} with the label {', '.join(missing)}; add some"
        )
    if len(own) < shots:
        raise WrongUse(
            f"the examples file has {len(own)} for {asked} where {shots} shots are wanted; add some"
        )


def _add(index: Index, texts: list[str]) -> None:
    keys = [key_of(text) for text in texts]
    index.add(keys, np.array([hash_of(key) for key in keys], dtype=np.uint64), bands_of(texts, keys))


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    suffixes = (".csv", ".tsv", ".jsonl", ".jsonl.zst", ".xlsx", ".parquet")
    found = sorted(file for file in path.iterdir() if file.is_file() and file.name.endswith(suffixes))
    if not found:
        raise WrongUse(f"{path}: no table of examples stands in this folder")
    return found


def _read_file(file: Path, tasks: Mapping[str, Task]) -> Iterator[ShotRow]:
    _, first = next(read_table(file))
    return _published(file, tasks) if "query" in first else _own_layout(file, tasks)


def _own_layout(file: Path, tasks: Mapping[str, Task]) -> Iterator[ShotRow]:
    for number, cells in read_table(file):
        need_columns(file, cells, COLUMNS)
        name, question, text, label, explanation = (cells[column].strip() for column in COLUMNS)
        task = tasks[_known(name, tasks, "set", file, number)]
        if question or len(task.questions) > 1:
            question = _known(question, task.questions, f"question of {task.set}", file, number)
        row = ShotRow(
            set=task.set,
            question=question or task.one_question(),
            text=text,
            label=_known(label, task.labels, f"label of {task.set}", file, number),
            explanation=explanation,
            file=str(file),
            row=number,
        )
        yield _whole(row)


def _published(file: Path, tasks: Mapping[str, Task]) -> Iterator[ShotRow]:
    task = _task_of(file, tasks)
    for row in read_release(ReleaseFile(task.set, "test", "instruction", file), task):
        reading = read_answer(task, row.golden)
        if reading.label is None:
            raise BadData(f"the answer cannot be read: {reading.reason}", file, row.row)
        yield _whole(
            ShotRow(
                set=task.set,
                question=row.question,
                text=row.text.strip(),
                label=reading.label,
                explanation=reading.explanation,
                file=str(file),
                row=row.row,
            )
        )


def _task_of(file: Path, tasks: Mapping[str, Task]) -> Task:
    try:
        return find_task(file.name.partition(".")[0], tasks)
    except WrongUse as fault:
        raise BadData(f"a file of examples is named after its set: {fault}", file) from None


def _whole(row: ShotRow) -> ShotRow:
    for name, value in (("text", row.text), ("explanation", row.explanation)):
        if not value:
            raise BadData(f"the {name} is empty", row.file, row.row)
    return row


def _known(name: str, known: Collection[str], what: str, file: Path, row: int) -> str:
    """The name as it is spelled, found in any case."""
    by_lower = {each.lower(): each for each in known}
    if name.lower() in by_lower:
        return by_lower[name.lower()]
    near = difflib.get_close_matches(name.lower(), by_lower, n=1)
    hint = f"did you mean {by_lower[near[0]]}?" if near else f"there are {', '.join(known)}"
    # What is long for a name may be a post in the wrong column, and is not shown.
    shown = repr(name) if len(name) <= 30 and len(name.split()) <= 3 else "what stands here"
    raise BadData(f"{shown} is no {what}; {hint}", file, row)


def _scrubbed(row: ShotRow) -> dict[str, str]:
    return {"text": scrub(row.text)[0], "explanation": scrub(row.explanation)[0]}
