"""Expert-written examples for few-shot prompts: read, kept apart from test posts, drawn by seed.

A file of examples is a table with the columns set, question, text, label, explanation, or stands in the published
layout: a file a set, named after it, with the columns `query` and `gpt-3.5-turbo`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice, zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from mentallama.answers.parse import read_answer
from mentallama.errors import DataError, UsageError
from mentallama.files.imhi_release import ReleaseFile, read_release_file
from mentallama.files.tables import read_table, require_columns
from mentallama.prompts import FewShotExample
from mentallama.records import Post, Record
from mentallama.tasks import Task, find_task
from mentallama.text.fingerprint import key_hash, text_key
from mentallama.text.near_duplicates import NearDuplicateIndex, minhash_bands
from mentallama.text.pii import scrub
from mentallama.text.suggestions import did_you_mean

FEW_SHOT_COLUMNS = ["set", "question", "text", "label", "explanation"]
POST_BATCH = 1000
"""Test posts whose keys and bands are computed at a time."""

ShotSampler = Callable[[str], tuple[FewShotExample, ...]]
"""From the key (`text_key`) of the post that is asked about to the examples to show with it."""


class FewShotRow(Record):
    """One example, and where it stands. Text and explanation are scrubbed, as posts are."""

    set: str
    question: str
    text: str
    label: str
    explanation: str
    file: str
    row: int

    def shot(self) -> FewShotExample:
        return FewShotExample(text=self.text, label=self.label, explanation=self.explanation)


def read_few_shot_rows(path: Path, tasks: Mapping[str, Task]) -> list[FewShotRow]:
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
    rows = [row for file in _table_files(path) for row in _read_file(file, tasks)]
    return [row.model_copy(update=_scrubbed(row)) for row in rows]


def refuse_test_overlap(rows: Sequence[FewShotRow], posts: Iterable[Post]) -> None:
    """Refuse examples that are, exactly or nearly, a post of a test split; posts of other splits are not looked at.

    Near means what it means to `collect`: the same grouping is applied to examples and test posts together.

    Raises
    ------
    BadData
        Names the first such example, the set whose test split it stands in, and the rows of all further ones.
    """
    with TemporaryDirectory() as folder:
        index, sets = NearDuplicateIndex(Path(folder)), list[str]()
        _add_to_index(index, [row.text for row in rows])
        tests = (post for post in posts if post.split == "test")
        while batch := list(islice(tests, POST_BATCH)):
            _add_to_index(index, [post.text for post in batch])
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
        raise DataError(fault, first.file, first.row)


def _rows_by_file(found: Iterable[tuple[FewShotRow, str]]) -> str:
    rows: dict[str, list[str]] = {}
    for row, _ in found:
        rows.setdefault(Path(row.file).name, []).append(str(row.row))
    listed = "; ".join(f"{file} {', '.join(numbers)}" for file, numbers in rows.items())
    return f", and these rows as well: {listed}" if listed else ""


def build_shot_sampler(
    rows: Sequence[FewShotRow], task: Task, question: str, shots: int, seed: int
) -> ShotSampler:
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
    _require_enough_shots(own, task, question, shots)
    drawn = random.Random(f"{seed} {task.set} {question}")
    piles = [[row for row in own if row.label == label] for label in task.labels]
    drawn.shuffle(piles)
    for pile in piles:
        drawn.shuffle(pile)
    places = {id(row): place for place, row in enumerate(drawn.sample(own, len(own)))}
    keyed = [[(text_key(row.text), row.shot(), places[id(row)]) for row in pile] for pile in piles]
    keys = {key for pile in keyed for key, _, _ in pile}
    usual = _pick_balanced(keyed, shots, "")
    return lambda but: _pick_balanced(keyed, shots, but) if but in keys else usual


def _pick_balanced(
    by_label: Sequence[Sequence[tuple[str, FewShotExample, int]]], shots: int, excluded_key: str
) -> tuple[FewShotExample, ...]:
    """One example of each pile, then a second, until there are enough; shown in the order of their places."""
    left = [[card for card in pile if not excluded_key or card[0] != excluded_key] for pile in by_label]
    rounds = (card for round_ in zip_longest(*left) for card in round_ if card is not None)
    return tuple(shot for _, shot, _ in sorted(islice(rounds, shots), key=lambda card: card[2]))


def _require_enough_shots(own: Sequence[FewShotRow], task: Task, question: str, shots: int) -> None:
    asked = task.set if len(task.questions) == 1 else f"{task.set}, {question}"
    missing = [label for label in task.labels if label not in {row.label for row in own}]
    if missing:
        raise UsageError(
            f"the examples file has none for {asked} with the label {', '.join(missing)}; add some"
        )
    if len(own) < shots:
        raise UsageError(
            f"the examples file has {len(own)} for {asked} where {shots} shots are wanted; add some"
        )


def _add_to_index(index: NearDuplicateIndex, texts: list[str]) -> None:
    keys = [text_key(text) for text in texts]
    index.add(keys, np.array([key_hash(key) for key in keys], dtype=np.uint64), minhash_bands(texts, keys))


def _table_files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    suffixes = (".csv", ".tsv", ".jsonl", ".jsonl.zst", ".xlsx", ".parquet")
    found = sorted(file for file in path.iterdir() if file.is_file() and file.name.endswith(suffixes))
    if not found:
        raise UsageError(f"{path}: no table of examples stands in this folder")
    return found


def _read_file(file: Path, tasks: Mapping[str, Task]) -> Iterator[FewShotRow]:
    _, first = next(read_table(file))
    return _read_release_layout(file, tasks) if "query" in first else _read_table_layout(file, tasks)


def _read_table_layout(file: Path, tasks: Mapping[str, Task]) -> Iterator[FewShotRow]:
    for number, cells in read_table(file):
        require_columns(file, cells, FEW_SHOT_COLUMNS)
        name, question, text, label, explanation = (cells[column].strip() for column in FEW_SHOT_COLUMNS)
        task = tasks[_match_name(name, tasks, "set", file, number)]
        if question or len(task.questions) > 1:
            question = _match_name(question, task.questions, f"question of {task.set}", file, number)
        row = FewShotRow(
            set=task.set,
            question=question or task.resolve_question(),
            text=text,
            label=_match_name(label, task.labels, f"label of {task.set}", file, number),
            explanation=explanation,
            file=str(file),
            row=number,
        )
        yield _require_text(row)


def _read_release_layout(file: Path, tasks: Mapping[str, Task]) -> Iterator[FewShotRow]:
    task = _task_of(file, tasks)
    for row in read_release_file(ReleaseFile(task.set, "test", "instruction", file), task):
        reading = read_answer(task, row.reference)
        if reading.label is None:
            raise DataError(f"the answer cannot be read: {reading.reason}", file, row.row)
        yield _require_text(
            FewShotRow(
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
    except UsageError as fault:
        raise DataError(f"a file of examples is named after its set: {fault}", file) from None


def _require_text(row: FewShotRow) -> FewShotRow:
    for name, value in (("text", row.text), ("explanation", row.explanation)):
        if not value:
            raise DataError(f"the {name} is empty", row.file, row.row)
    return row


def _match_name(name: str, known: Collection[str], what: str, file: Path, row: int) -> str:
    """The name as it is spelled, found in any case."""
    by_lower = {each.lower(): each for each in known}
    if name.lower() in by_lower:
        return by_lower[name.lower()]
    # A long value may be a post in the wrong column, and is not shown.
    shown = repr(name) if len(name) <= 30 and len(name.split()) <= 3 else "what stands here"
    raise DataError(f"{shown} is no {what}; {did_you_mean(name, known, cutoff=0.6)}", file, row)


def _scrubbed(row: FewShotRow) -> dict[str, str]:
    return {"text": scrub(row.text)[0], "explanation": scrub(row.explanation)[0]}
