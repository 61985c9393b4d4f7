"""Predictions as the published outputs are: a table a set, in the order of its published rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    """A published row, and the example that asks it; None where its text is no post."""

    set: str
    split: Split
    question: str
    reference: str
    example_id: str | None


def write_responses(
    out: Path, predictions: Path, rows: Sequence[ImhiRow], tasks: Mapping[str, Task], form: Form
) -> None:
    """Write `responses/SET.csv` for each set's test rows, as `mentallama evaluate --responses` reads it.

    A row without a prediction has an empty answer.
    """
    tests = [row for row in rows if row.split == "test"]
    asked = {row.example_id: (tasks[row.set], row.question) for row in tests}
    found = read_records(predictions, Prediction)
    texts = {e.example_id: answer_text(e, *asked[e.example_id], form) for e in found if e.example_id in asked}
    for name, own in groupby(tests, key=lambda row: row.set):
        with table_writer(out / RESPONSES_FOLDER / f"{name}.csv", IMHI_OUTPUT_COLUMNS) as write:
            for row in own:
                write((row.reference, texts.get(row.example_id or "", "")))


def answer_text(prediction: Prediction, task: Task, question: str, form: Form) -> str:
    """The answer in its published form; of one that could not be read, what there is of it.

    What is read again must say the same: a text that would be read as a label is left out.
    """
    reading = prediction.reading
    if reading.label is not None:
        return write_answer(task, question, reading.label, reading.explanation, form)
    again = read_answer(task, reading.explanation, form)
    return "" if again.status == "parsed" else reading.explanation
