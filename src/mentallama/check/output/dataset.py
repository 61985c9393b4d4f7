"""Write the accepted rows, streaming: as training examples, as a data set in both forms, and as a release."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from mentallama.answers.format import write_answer
from mentallama.check.response_rows import ResponseRow
from mentallama.files.imhi_release import COLUMNS as RELEASE_COLUMNS
from mentallama.files.imhi_release import release_path
from mentallama.files.record_files import record_writer, table_writer
from mentallama.records import FORMS, Example, Form, Split, example_of
from mentallama.run_files import INSTRUCTIONS_FILE
from mentallama.tasks import write_query

DATASET_FOLDER = "data"
"""Folder of the data set's files, in the folder of the stage."""
COLUMN_DESCRIPTIONS = {
    "id": "Identifier of the row: of one question about one post, in this form.",
    "set": "The set that the post and its label come from.",
    "question": "Name of the question.",
    "query": "The post and the question, as a model reads them.",
    "response": "The answer: a sentence that states the label, and the explanation.",
    "label": "The answer's label, one of those that the task of the set has.",
    "explanation": "Why the label fits the post, without the sentence that states it.",
    "model": "The teacher that wrote the explanation.",
    "post_id": "Identifier of the post, the same in both forms.",
}
"""Columns of the data set's files, all text, and their meaning."""
DATASET_COLUMNS = tuple(COLUMN_DESCRIPTIONS)


@dataclass(frozen=True)
class AcceptedResponse:
    """A row and the label that it is accepted with."""

    row: ResponseRow
    label: str

    def example(self, form: Form) -> Example:
        """The training example, with its label and the answer written by `write_answer`."""
        row = self.row
        question = row.example.question
        answer = write_answer(row.task, question, self.label, row.reading.explanation, form)
        return example_of(row.post, question, form).model_copy(
            update={"label": self.label, "response": answer}
        )

    def dataset_row(self, form: Form) -> dict[str, str]:
        """One row of the data set, by column."""
        row, example = self.row, self.example(form)
        return {
            "id": example.id,
            "set": row.task.set,
            "question": example.question,
            "query": write_query(row.task, example.question, form, row.post.text),
            "response": example.response or "",
            "label": self.label,
            "explanation": row.reading.explanation,
            "model": row.response.model,
            "post_id": row.post.id,
        }


def dataset_path(form: Form, split: Split, suffix: str) -> Path:
    """Path of a file of the data set, relative to the stage's folder."""
    return Path(DATASET_FOLDER) / form / f"{split}{suffix}"


@contextmanager
def dataset_writer(out: Path, form: Form, parquet: bool) -> Iterator[Callable[[AcceptedResponse], None]]:
    """Yield a function that writes one accepted row to all files that it belongs to.

    Files without rows are not created, except `instructions.jsonl.zst` (in `form`), which always is.
    """
    suffixes = (".jsonl", ".parquet") if parquet else (".jsonl",)
    with record_writer(out / INSTRUCTIONS_FILE) as write_example, ExitStack() as stack:
        files = _LazyTables(out, stack)

        def write(accepted: AcceptedResponse) -> None:
            write_example(accepted.example(form))
            name, split = accepted.row.task.set, accepted.row.post.split
            for row_form in FORMS:
                cells = accepted.dataset_row(row_form)
                for suffix in suffixes:
                    files.write(dataset_path(row_form, split, suffix), DATASET_COLUMNS, tuple(cells.values()))
                release_file = Path("release") / release_path(name, split, row_form)
                files.write(release_file, RELEASE_COLUMNS, (cells["query"], cells["response"]))

        yield write


class _LazyTables:
    """Tables that are opened when their first row is written, and all closed by the same exit stack."""

    def __init__(self, out: Path, stack: ExitStack) -> None:
        self._out, self._stack = out, stack
        self._open: dict[Path, Callable[[Sequence[str]], None]] = {}

    def write(self, path: Path, columns: Sequence[str], cells: Sequence[str]) -> None:
        if path not in self._open:
            self._open[path] = self._stack.enter_context(table_writer(self._out / path, columns))
        self._open[path](cells)
