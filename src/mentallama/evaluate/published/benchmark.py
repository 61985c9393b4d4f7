"""The benchmark's test files, and scores of answers to their rows: a model's outputs, the references, or empty text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mentallama.answers.parse import read_answer
from mentallama.errors import DataError, UsageError
from mentallama.evaluate.published.align_outputs import AlignedOutputs, OutputRow, align_outputs
from mentallama.evaluate.published.reader import ScoredOutput
from mentallama.evaluate.score_file import MatchedFile
from mentallama.evaluate.scores import score_row
from mentallama.files.imhi_release import (
    ReleaseFile,
    ReleaseRow,
    find_expert_files,
    find_release_files,
    read_release_file,
)
from mentallama.records import Example, Form, example_id, stable_id
from mentallama.tasks import Task
from mentallama.text.clean_post import clean_post

BUILTIN_RESPONSES = ("reference", "empty")
"""Responses that need no model: the references themselves (all scores are 100) and empty text (all are 0)."""


@dataclass(frozen=True)
class Benchmark:
    """Test files of one form of the release, by set, and the expert-written test files."""

    root: Path
    form: Form
    test_files: Mapping[str, ReleaseFile]
    expert_files: Mapping[str, ReleaseFile]

    def candidate_files(self, name: str) -> list[ReleaseFile]:
        """The files that the outputs of a set may answer; the test file comes first."""
        return [files[name] for files in (self.test_files, self.expert_files) if name in files]


def open_benchmark(root: Path, form: Form, tasks: Mapping[str, Task]) -> Benchmark:
    """Find the release's test files; `root` is the release or a folder that holds it as `release/`."""
    root = root / "release" if (root / "release").is_dir() else root
    tests = {file.set: file for file in find_release_files(root, form, tasks) if file.split == "test"}
    if not tests:
        raise UsageError(f"{root}: it holds no test files in {form} form")
    experts = {file.set: file for file in find_expert_files(root, tasks)} if form == "instruction" else {}
    return Benchmark(root, form, tests, experts)


def score_benchmark_set(
    benchmark: Benchmark, task: Task, responses: Path | str
) -> tuple[list[ScoredOutput], MatchedFile]:
    """Parse and score the answer to every row of one set.

    Raises
    ------
    DataError
        The outputs do not answer the benchmark's rows, or a reference has no label that can be parsed.
    """
    files = benchmark.candidate_files(task.set)
    tables = [(file.path, list(read_release_file(file, task))) for file in files]
    index, aligned = _align_responses(task.set, responses, tables)
    path, rows = tables[index]
    name = path.relative_to(benchmark.root).as_posix()
    outputs = [
        _score_output(task, files[index], name, row, output.text)
        for row, output in zip(rows, aligned.outputs, strict=True)
    ]
    return outputs, MatchedFile(file=name, rows=len(rows), aligned_by=aligned.method)


def _align_responses(
    name: str, responses: Path | str, tables: Sequence[tuple[Path, list[ReleaseRow]]]
) -> tuple[int, AlignedOutputs]:
    if isinstance(responses, Path):
        return align_outputs(responses / f"{name}.csv", tables)
    rows = tables[0][1]
    outputs = [
        OutputRow(row.row, row.reference, row.reference if responses == "reference" else "") for row in rows
    ]
    return 0, AlignedOutputs(outputs, "rows")


def example_of_row(task: Task, file: ReleaseFile, row: ReleaseRow, label: str) -> Example:
    """The question of a published row, with the label of its reference."""
    post_id = stable_id(task.set, file.split, row.text)
    return Example(
        id=example_id(post_id, row.question, file.form),
        post_id=post_id,
        task=task.set,
        question=row.question,
        form=file.form,
        text=row.text,
        label=label,
    )


def _score_output(task: Task, file: ReleaseFile, name: str, row: ReleaseRow, output: str) -> ScoredOutput:
    gold = read_answer(task, row.reference, file.form)
    if gold.label is None:
        raise DataError(f"the reference is {gold.status}, not a label of {task.set}", file.path, row.row)
    example = example_of_row(task, file, row, gold.label)
    # Texts of the release are not cleaned, those of a run are: the same post is to have the same hash in both.
    cleaned = example.model_copy(update={"text": clean_post(row.text).text})
    scored = score_row(cleaned, read_answer(task, output, file.form), {}, task)
    return ScoredOutput(
        file=name, row=row.row, reference=row.reference, output=output, example=example, scored_row=scored
    )
