"""Predictions in the layout of the published outputs: one table per set, in the order of its published rows."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from mentallama.answers.format import write_answer
from mentallama.answers.parse import read_answer
from mentallama.files.record_files import read_records, table_writer
from mentallama.records import Form, Prediction, Split
from mentallama.run_files import RESPONSES_FOLDER
from mentallama.tasks import Task

IMHI_OUTPUT_COLUMNS = ("goldens", "generated_text")


@dataclass(frozen=True)
class ImhiRow:
    """A row of the release and the example made of it; None if its text is not a post (empty or damaged)."""

    set: str
    split: Split
    question: str
    reference: str
    example_id: str | None


def write_responses(
    out: Path,
    predictions: Path,
    rows: Sequence[ImhiRow],
    tasks: Mapping[str, Task],
    form: Form,
    failed: Collection[str] = (),
) -> None:
    """Write `responses/SET.csv` for each set's test rows, which `mentallama evaluate --benchmark` reads.

    The answer of a row that holds no post is empty. A set with a row whose call `failed` (by example id) gets no file:
    an empty answer would count against the model.
    """
    incomplete = {row.set for row in rows if row.split == "test" and row.example_id in failed}
    test_rows = [row for row in rows if row.split == "test" and row.set not in incomplete]
    questions = {row.example_id: (tasks[row.set], row.question) for row in test_rows}
    texts = {
        prediction.example_id: answer_text(prediction, *questions[prediction.example_id], form)
        for prediction in read_records(predictions, Prediction)
        if prediction.example_id in questions
    }
    for name, set_rows in groupby(test_rows, key=lambda row: row.set):
        with table_writer(out / RESPONSES_FOLDER / f"{name}.csv", IMHI_OUTPUT_COLUMNS) as write:
            for row in set_rows:
                write((row.reference, texts.get(row.example_id or "", "")))


def answer_text(prediction: Prediction, task: Task, question: str, form: Form) -> str:
    """The answer in its published form; for a prediction without a label, the text it was parsed from.

    Parsing the result gives the same label as the prediction, or none: a text that would be parsed as a label is left
    out.
    """
    reading = prediction.reading
    if reading.label is not None:
        return write_answer(task, question, reading.label, reading.explanation, form)
    parsed = read_answer(task, reading.explanation, form)
    return "" if parsed.status == "parsed" else reading.explanation
