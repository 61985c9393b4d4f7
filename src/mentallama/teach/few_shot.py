"""Expert-written examples for few-shot prompts: reading, a check against test posts, and sampling by seed.

A file of examples is a table with the columns set, question, text, label, explanation, or has the published layout: one
file per set, named after it, with the columns `query` and `gpt-3.5-turbo`.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice, zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from mentallama.answers.parse import read_answer
from mentallama.errors import DataError, UsageError
from mentallama.files.imhi_release import ReleaseFile, read_release_file
from mentallama.files.tables import TableLayout, is_table, read_table
from mentallama.parallel import batched
from mentallama.prompts import FewShotExample
from mentallama.records import Post, Record
from mentallama.tasks import Task, find_task
from mentallama.text.fingerprint import identifying_hash, key_hash, synthetic_post_hashes, text_key
from mentallama.text.near_duplicates import NearDuplicateIndex, minhash_bands
from mentallama.text.pii import scrub
from mentallama.text.suggestions import did_you_mean

FEW_SHOT_COLUMNS = ("set", "question", "text", "label", "explanation")
POST_BATCH = 1000
"""Test posts whose keys and MinHash bands are computed at a time."""

ShotSampler = Callable[[str], tuple[FewShotExample, ...]]
"""Maps the key (`text_key`) of a post to the examples in its prompt."""


class FewShotRow(Record):
    """An example and its position in a file. Text and explanation are scrubbed, as posts are."""

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
    """Read a file of examples, or all tables of a folder, sorted by name.

    Parameters
    ----------
    tasks
        All known tasks, including those that the run does not use.

    Raises
    ------
    UsageError
        There is no such file, or no table in the folder.
    DataError
        Unknown set, question or label, empty text or explanation, or an answer that cannot be parsed.
    """
    rows = [row for file in _table_files(path) for row in _read_file(file, tasks)]
    return [row.model_copy(update=_scrubbed(row)) for row in rows]


def refuse_test_overlap(rows: Sequence[FewShotRow], posts: Iterable[Post]) -> None:
    """Raise if an example is a duplicate or near-duplicate of a post in a test split.

    Near-duplicates are defined as in `collect`: examples and test posts are clustered together.

    Raises
    ------
    DataError
        Names the first such example, the set whose test split contains it, and the rows of all others.
    """
    with TemporaryDirectory() as folder:
        index, sets = NearDuplicateIndex(Path(folder)), list[str]()
        _add_to_index(index, [row.text for row in rows])
        for batch in batched((post for post in posts if post.split == "test"), POST_BATCH):
            _add_to_index(index, [post.text for post in batch])
            sets += [post.set for post in batch]
        clusters = index.clusters()[1].tolist()
        index.close()
    # reversed: of several sets, the first counts
    test_clusters = dict(zip(reversed(clusters[len(rows) :]), reversed(sets), strict=True))
    overlapping = [
        (row, test_clusters[cluster])
        for row, cluster in zip(rows, clusters, strict=False)
        if cluster in test_clusters
    ]
    if overlapping:
        (first, name), *others = overlapping
        message = f"the example's text is in the test split of {name}; remove the row{_rows_by_file(others)}"
        raise DataError(message, first.file, first.row)


def _rows_by_file(overlapping: Iterable[tuple[FewShotRow, str]]) -> str:
    rows: dict[str, list[str]] = {}
    for row, _ in overlapping:
        rows.setdefault(Path(row.file).name, []).append(str(row.row))
    listed = "; ".join(f"{file} {', '.join(numbers)}" for file, numbers in rows.items())
    return f", and these rows too: {listed}" if listed else ""


def build_shot_sampler(
    rows: Sequence[FewShotRow], task: Task, question: str, shots: int, seed: int
) -> ShotSampler:
    """Build the sampler of one question's examples: once per question, then called once per post.

    The sample depends on the seed alone: all posts of a question get the same examples in the same order, so that a
    server can cache the common prefix. Only a post that is itself an example, exactly, gets another in its place (or
    one fewer if there is none). Every label comes before a second example of any label, and so on; with fewer shots
    than labels, the seed determines which labels are left out.

    Raises
    ------
    UsageError
        A label of the question has no example, or there are fewer examples than shots.
    """
    examples = [row for row in rows if (row.set, row.question) == (task.set, question)]
    _require_enough_shots(examples, task, question, shots)
    rng = random.Random(f"{seed} {task.set} {question}")
    by_label = [[row for row in examples if row.label == label] for label in task.labels]
    rng.shuffle(by_label)
    for label_rows in by_label:
        rng.shuffle(label_rows)
    positions = {id(row): position for position, row in enumerate(rng.sample(examples, len(examples)))}
    candidates = [
        [(text_key(row.text), row.shot(), positions[id(row)]) for row in label_rows]
        for label_rows in by_label
    ]
    keys = {key for label_candidates in candidates for key, _, _ in label_candidates}
    default = _pick_balanced(candidates, shots, "")
    return lambda key: _pick_balanced(candidates, shots, key) if key in keys else default


def _pick_balanced(
    by_label: Sequence[Sequence[tuple[str, FewShotExample, int]]], shots: int, excluded_key: str
) -> tuple[FewShotExample, ...]:
    """Pick one example per label, then a second, until there are enough; return them in the order of positions."""
    allowed = [
        [candidate for candidate in candidates if not excluded_key or candidate[0] != excluded_key]
        for candidates in by_label
    ]
    interleaved = (
        candidate for round_ in zip_longest(*allowed) for candidate in round_ if candidate is not None
    )
    picked = sorted(islice(interleaved, shots), key=lambda candidate: candidate[2])
    return tuple(example for _, example, _ in picked)


def _require_enough_shots(examples: Sequence[FewShotRow], task: Task, question: str, shots: int) -> None:
    where = task.set if len(task.questions) == 1 else f"{task.set}, {question}"
    missing = [label for label in task.labels if label not in {row.label for row in examples}]
    if missing:
        raise UsageError(
            f"the examples file has none for {where} with the label {', '.join(missing)}; add some"
        )
    if len(examples) < shots:
        raise UsageError(
            f"the examples file has {len(examples)} for {where}, but {shots} shots are requested; add some"
        )


def _add_to_index(index: NearDuplicateIndex, texts: list[str]) -> None:
    keys = [text_key(text) for text in texts]
    index.add(keys, np.array([key_hash(key) for key in keys], dtype=np.uint64), minhash_bands(texts, keys))


def _table_files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    tables = sorted(file for file in path.iterdir() if file.is_file() and is_table(file))
    if not tables:
        raise UsageError(f"{path}: there is no table of examples in this folder")
    return tables


def _read_file(file: Path, tasks: Mapping[str, Task]) -> Iterator[FewShotRow]:
    _, first = next(read_table(file))
    return _read_release_layout(file, tasks) if "query" in first else _read_table_layout(file, tasks)


def _read_table_layout(file: Path, tasks: Mapping[str, Task]) -> Iterator[FewShotRow]:
    for number, cells in read_table(file, layout=TableLayout(columns=FEW_SHOT_COLUMNS)):
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
            raise DataError(f"the answer cannot be parsed: {reading.reason}", file, row.row)
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
    except UsageError as error:
        raise DataError(f"a file of examples is named after its set: {error}", file) from None


def _require_text(row: FewShotRow) -> FewShotRow:
    for name, value in (("text", row.text), ("explanation", row.explanation)):
        if not value:
            raise DataError(f"the {name} is empty", row.file, row.row)
    return row


def _match_name(name: str, known: Collection[str], kind: str, file: Path, row: int) -> str:
    """Return the known name that matches regardless of case."""
    by_lower = {known_name.lower(): known_name for known_name in known}
    if name.lower() in by_lower:
        return by_lower[name.lower()]
    # A long value may be a post in the wrong column, and is not shown.
    shown = repr(name) if len(name) <= 30 and len(name.split()) <= 3 else "the value"
    raise DataError(f"{shown} is not a {kind}; {did_you_mean(name, known)}", file, row)


def _scrubbed(row: FewShotRow) -> dict[str, str]:
    return {"text": scrub(row.text)[0], "explanation": scrub(row.explanation)[0]}


def count_real_examples(rows: Sequence[FewShotRow]) -> Counter[str]:
    """Number of examples by real people (not synthetic ones), by set; texts too short to identify count as real."""
    synthetic = synthetic_post_hashes() if rows else frozenset()
    return Counter(row.set for row in rows if identifying_hash(row.text) not in synthetic)
