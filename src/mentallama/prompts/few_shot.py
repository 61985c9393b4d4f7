"""Expert-written examples for prompts: reading them, and sampling by seed.

A file of examples is a table with the columns set, question, text, label, explanation, or has the published layout: one
file per set, named after it, with the columns `query` and `gpt-3.5-turbo`.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice, zip_longest
from pathlib import Path

from mentallama.answers.parse import read_answer
from mentallama.errors import DataError, UsageError
from mentallama.files.imhi_release import ReleaseFile, read_release_file
from mentallama.files.tables import TableLayout, is_table, read_table
from mentallama.prompts.teacher_prompts import FewShotExample
from mentallama.records import Record
from mentallama.tasks import Task, find_task
from mentallama.tasks.answer_values import answer_group
from mentallama.text.fingerprint import identifying_hash, synthetic_post_hashes, text_key
from mentallama.text.pii import scrub
from mentallama.text.suggestions import did_you_mean

FEW_SHOT_COLUMNS = ("set", "question", "text", "label", "explanation")
ShotSampler = Callable[[str], tuple[FewShotExample, ...]]
"""Maps the key (`text_key`) of a post to the examples in its prompt."""


class FewShotRow(Record):
    """An example and its position in a file. Text and explanation are scrubbed, as posts are.

    `published` marks rows of a file in the published layout, which users do not edit. `source` numbers the path that
    the file was found at, of several that were given.
    """

    set: str
    question: str
    text: str
    label: str
    explanation: str
    file: str
    row: int
    published: bool = False
    source: int = 0

    def shot(self) -> FewShotExample:
        return FewShotExample(text=self.text, label=self.label, explanation=self.explanation)


def read_examples(paths: Sequence[Path], tasks: Mapping[str, Task]) -> list[FewShotRow]:
    """Read the examples at several paths; those of earlier paths are preferred when a prompt is made.

    Raises
    ------
    UsageError, DataError
        As for `read_few_shot_rows`.
    """
    return [
        row.model_copy(update={"source": number})
        for number, path in enumerate(paths)
        for row in read_few_shot_rows(path, tasks)
    ]


def example_files(paths: Iterable[Path]) -> dict[str, Path]:
    """The files at those paths, by the names that a manifest shows."""
    found: dict[str, Path] = {}
    for number, path in enumerate(paths):
        prefix = "examples" if number == 0 else f"examples {number}"
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        found |= {f"{prefix}/{file.name}": file for file in files if file.is_file()}
    return found


def missing_examples(key: str, paths: Iterable[Path]) -> Iterator[str]:
    """Sentences on the paths of a setting that do not exist."""
    return (f"{key}: {path}: there is no such file" for path in paths if not path.exists())


def examples_digest(rows: Sequence[FewShotRow]) -> str:
    """SHA-256 of what prompts take from the examples, in 64 hexadecimal digits; it does not depend on paths."""
    content = [[row.set, row.question, row.text, row.label, row.explanation, row.source] for row in rows]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


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


def build_shot_sampler(
    rows: Sequence[FewShotRow], task: Task, question: str, shots: int, seed: int
) -> ShotSampler:
    """Build the sampler of one question's examples: once per question, then called once per post.

    The sample depends on the seed alone: all posts of a question get the same examples in the same order, so that a
    server can cache the common prefix. Answers of several parts are drawn by how many labels or items they name. Only a
    post that is itself an example, exactly, gets another in its place (or
    one fewer if there is none). Every label comes before a second example of any label, and so on; with fewer shots
    than labels, the seed determines which labels are left out. Examples of a later source serve for a label only once
    those of earlier sources are used up.

    Raises
    ------
    UsageError
        A label of the question has no example, or there are fewer examples than shots.
    """
    examples = [row for row in rows if (row.set, row.question) == (task.set, question)]
    _require_enough_shots(examples, task, question, shots)
    rng = random.Random(f"{seed} {task.set} {question}")
    groups = _label_groups(examples, task)
    by_label = [[row for row in examples if answer_group(task, row.label) == group] for group in groups]
    rng.shuffle(by_label)
    for label_rows in by_label:
        rng.shuffle(label_rows)
        label_rows.sort(key=lambda row: row.source)
    positions = {id(row): position for position, row in enumerate(rng.sample(examples, len(examples)))}
    candidates = [
        [(text_key(row.text), row.shot(), positions[id(row)]) for row in label_rows]
        for label_rows in by_label
    ]
    keys = {key for label_candidates in candidates for key, _, _ in label_candidates}
    default = _pick_balanced(candidates, shots, "")
    return lambda key: _pick_balanced(candidates, shots, key) if key in keys else default


def _label_groups(examples: Sequence[FewShotRow], task: Task) -> list[str]:
    """The labels; of answers of several parts, the groups that the examples are in."""
    if not task.is_composite:
        return list(task.labels)
    return sorted({answer_group(task, row.label) for row in examples})


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
    found = {row.label for row in examples}
    missing = [] if task.is_composite else [label for label in task.labels if label not in found]
    if missing:
        raise UsageError(
            f"the examples file has none for {where} with the label {', '.join(missing)}; add some"
        )
    if len(examples) < shots:
        raise UsageError(
            f"the examples file has {len(examples)} for {where}, but {shots} shots are requested; add some"
        )


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
            label=_match_label(label, task, file, number),
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
                published=True,
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


def _match_label(label: str, task: Task, file: Path, row: int) -> str:
    """The canonical text of a label: one of several parts as `read_answer` reads it, another regardless of case."""
    if not task.is_composite:
        return _match_name(label, task.labels, f"label of {task.set}", file, row)
    reading = read_answer(task, label)
    if reading.label is None:
        raise DataError(f"the label is no answer of {task.set}: {reading.reason}", file, row)
    return reading.label


def _scrubbed(row: FewShotRow) -> dict[str, str]:
    return {"text": scrub(row.text)[0], "explanation": scrub(row.explanation)[0]}


def count_real_examples(rows: Sequence[FewShotRow]) -> Counter[str]:
    """Number of examples by real people (not synthetic ones), by set; texts too short to identify count as real."""
    synthetic = synthetic_post_hashes() if rows else frozenset()
    return Counter(row.set for row in rows if identifying_hash(row.text) not in synthetic)
