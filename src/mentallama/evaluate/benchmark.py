"""The benchmark's rows with an answer to each: from a folder of outputs, from the goldens, or empty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mentallama.answers.parse import read_answer
from mentallama.errors import BadData, WrongUse
from mentallama.evaluate.align_outputs import Aligned, Output, align_outputs
from mentallama.evaluate.published_reader import Answered
from mentallama.evaluate.score_file import Against
from mentallama.evaluate.score_row import score_row
from mentallama.files.imhi_release import ReleaseFile, ReleaseRow, find_expert, find_release, read_release
from mentallama.records import Example, Form, stable_id
from mentallama.tasks import Task

STAND_INS = ("golden", "empty")
"""Answers that need no model: the goldens themselves (100 everywhere), and nothing (0 everywhere)."""


@dataclass(frozen=True)
class Benchmark:
    """Test files of one form of the release, by set; the expert-written ones stand apart."""

    root: Path
    form: Form
    tests: Mapping[str, ReleaseFile]
    experts: Mapping[str, ReleaseFile]

    def files(self, name: str) -> list[ReleaseFile]:
        """The files that outputs of a set may answer, the test file first."""
        return [files[name] for files in (self.tests, self.experts) if name in files]


def open_benchmark(root: Path, form: Form, tasks: Mapping[str, Task]) -> Benchmark:
    """Find the release's test files; `root` is the release or a folder that holds it as `release/`."""
    root = root / "release" if (root / "release").is_dir() else root
    tests = {file.set: file for file in find_release(root, form, tasks) if file.split == "test"}
    if not tests:
        raise WrongUse(f"{root}: it holds no test files in {form} form")
    experts = {file.set: file for file in find_expert(root, tasks)} if form == "instruction" else {}
    return Benchmark(root, form, tests, experts)


def answer_set(benchmark: Benchmark, task: Task, responses: Path | str) -> tuple[list[Answered], Against]:
    """Every row of one set with its answer read and scored.

    Raises
    ------
    BadData
        The outputs do not answer the benchmark's rows, or a golden does not read as a label.
    """
    files = benchmark.files(task.set)
    tables = [(file.path, list(read_release(file, task))) for file in files]
    index, aligned = _aligned(task.set, responses, tables)
    path, rows = tables[index]
    name = path.relative_to(benchmark.root).as_posix()
    answered = [
        _answered(task, files[index], name, row, output.text)
        for row, output in zip(rows, aligned.outputs, strict=True)
    ]
    return answered, Against(file=name, rows=len(rows), aligned=aligned.by)


def _aligned(
    name: str, responses: Path | str, tables: Sequence[tuple[Path, list[ReleaseRow]]]
) -> tuple[int, Aligned]:
    if isinstance(responses, Path):
        return align_outputs(responses / f"{name}.csv", tables)
    rows = tables[0][1]
    stand_ins = [Output(row.row, row.golden, row.golden if responses == "golden" else "") for row in rows]
    return 0, Aligned(stand_ins, "rows")


def _answered(task: Task, file: ReleaseFile, name: str, row: ReleaseRow, output: str) -> Answered:
    gold = read_answer(task, row.golden, file.form)
    if gold.label is None:
        raise BadData(f"the golden response is {gold.status}, not a label of {task.set}", file.path, row.row)
    post_id = stable_id(task.set, file.split, row.text)
    example = Example(
        id=stable_id(post_id, row.question, file.form),
        post_id=post_id,
        task=task.set,
        question=row.question,
        form=file.form,
        text=row.text,
        label=gold.label,
    )
    scored = score_row(example, read_answer(task, output, file.form), {})
    return Answered(file=name, row=row.row, golden=row.golden, output=output, example=example, scored=scored)
