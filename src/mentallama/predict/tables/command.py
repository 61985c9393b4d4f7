"""The arguments of predicting a table, and the table that they name."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from mentallama.analysts.checkpoints.metadata import model_query_form
from mentallama.errors import UsageError
from mentallama.files.tables import Quoting, TableLayout
from mentallama.files.tables.writers import OutputFormat
from mentallama.predict.stage import PredictJob
from mentallama.predict.tables.input_table import InputTable, open_input_table
from mentallama.predict.tables.part_folder import SPOOL_FILE
from mentallama.records import Form

STANDARD_STREAM = "-"
_BEGINNING = 64
"""Bytes of standard input that are looked at to recognise its format."""


@dataclass(frozen=True)
class TableCommand:
    """The arguments of the command line.

    Parameters
    ----------
    data, out
        Paths of the tables, or "-" for standard input and output, whose format is `stream_format`.
    text_columns
        Columns of the texts, joined; (): found by their usual names.
    id_column
        Column whose values should identify the rows; repeated ones are reported. None: no such column.
    questions
        Names of tasks (`dreaddit`) and questions (`MultiWD:social`); () needs a model of one task, or `all_questions`.
    form
        Form of the query; None: that of the model's training.
    quoting
        What quotation marks are in a delimited table, see `TableLayout`; None: found by its structure.
    sheet
        The sheet of a workbook; None: the only one with the columns of the texts.
    """

    job: PredictJob
    data: str
    out: str
    text_columns: tuple[str, ...] = ()
    id_column: str | None = None
    questions: tuple[str, ...] = ()
    all_questions: bool = False
    form: Form | None = None
    wide: bool = False
    prefix: str = ""
    limit: int | None = None
    stream_format: str = "csv"
    encoding: str = "utf-8"
    quoting: Quoting | None = None
    sheet: str | None = None

    @property
    def output_path(self) -> Path | None:
        """None for standard output."""
        return None if self.out == STANDARD_STREAM else Path(self.out)

    @property
    def output_format(self) -> OutputFormat:
        return (
            OutputFormat(self.stream_format)
            if self.output_path is None
            else OutputFormat.of(self.output_path)
        )

    @property
    def layout(self) -> TableLayout:
        """The layout of the input, as far as its name does not say it."""
        format_ = self.stream_format if self.data == STANDARD_STREAM else None
        return TableLayout(format=format_, quoting=self.quoting, sheet=self.sheet)

    @property
    def query_form(self) -> Form:
        return self.form or model_query_form(self.job.spec)


def open_command_table(command: TableCommand, folder: Path) -> InputTable:
    """Open the table; standard input, which is read several times, is copied into the folder."""
    path, name, layout = Path(command.data), command.data, command.layout
    if command.data == STANDARD_STREAM:
        path, name = folder / SPOOL_FILE, "standard input"
        if sys.stdin is None:
            raise UsageError("standard input is closed; name the table with --data")
        with path.open("wb") as spool:
            shutil.copyfileobj(sys.stdin.buffer, spool)
        if layout.format != "jsonl" and _begins_with_brace(path):
            raise UsageError("standard input looks like JSON Lines; add --format jsonl")
    elif path.exists() and not path.is_file():
        raise UsageError(f"{path}: this is no file; a table from a pipe is read with --data -")
    return open_input_table(path, name, command.text_columns, layout, command.encoding, command.limit)


def _begins_with_brace(path: Path) -> bool:
    with path.open("rb") as file:
        return file.readline(_BEGINNING).lstrip().startswith(b"{")
