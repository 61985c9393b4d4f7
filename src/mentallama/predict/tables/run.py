"""A table in, a table out: answers to questions about the posts in a user's own table.

    mentallama predict --model SPEC --data posts.csv --text body --task dreaddit --out labelled.csv

Every row comes back, in order, with its own columns and those of the answers. The table is read three times: to find
out what is in it before any work, to ask about the texts that have no answer yet, and to write. Answers are stored on
disk as they come, in the folder `labelled.csv.part` beside the output, so that memory stays flat and the same command
resumes; the folder is deleted once everything is answered and written.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from mentallama.analysts.answer import example_of_text
from mentallama.analysts.checkpoints.metadata import model_query_form
from mentallama.analysts.registry import analyst_kind
from mentallama.config.endpoint import parse_remote_spec
from mentallama.errors import DataError, MentallamaError, TooManyRejectsError, UsageError, counted
from mentallama.files.atomic import atomic_write
from mentallama.files.manifest import digest_file
from mentallama.files.tables import Quoting, TableLayout, table_format
from mentallama.files.tables.column_kinds import column_kinds
from mentallama.files.tables.parquet import arrow_types
from mentallama.files.tables.writers import (
    MAX_SHEET_COLUMNS,
    MAX_SHEET_ROWS,
    OutputColumns,
    OutputFormat,
    table_writer,
)
from mentallama.llm_api.cost_estimate import sampling_step
from mentallama.llm_api.limits.failure_watch import describe_failures, too_many_failed
from mentallama.llm_api.types import failure_kind
from mentallama.predict.analyst_pool import AnalystPool, PaidAnalyst
from mentallama.predict.stage import (
    PredictJob,
    answers_identity,
    cost_notes,
    open_pool,
    price_problem,
    unlabelled_notes,
)
from mentallama.predict.tables.answer_store import STORE_FILE, AnswerStore, StoredAnswer, text_hash
from mentallama.predict.tables.asking import AskFn, TextQuestions, ask_function
from mentallama.predict.tables.examination import TableFacts, examine_table
from mentallama.predict.tables.input_table import (
    InputTable,
    PostRow,
    open_input_table,
)
from mentallama.predict.tables.output_table import AnswerColumns, unreadable_answer
from mentallama.predict.tables.part_folder import SPOOL_FILE, foreign_output_error, part_folder
from mentallama.progress import LogFn, progress_bar
from mentallama.records import Form
from mentallama.safety import NOTICE
from mentallama.tasks import QuestionKey, select_questions
from mentallama.text.clean_post import clean_post

STANDARD_STREAM = "-"
_BEGINNING = 64
"""Bytes of standard input that are looked at to recognise its format."""

CHANGED = "the table was changed while it was being answered; the same command goes on"


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


@dataclass
class TableSummary:
    """Counts of a finished command: rows, answers by status, and failed calls by reason.

    `cost` is what the calls of a remote model cost, in the currency of the prices; None without prices.
    """

    rows: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    cost: float | None = None

    def count(self, answers: Sequence[StoredAnswer]) -> None:
        """Count the answers in a row."""
        self.rows += 1
        self.answers.update(answer.status for answer in answers)
        self.failed.update(
            failure_kind(answer.reason or "") for answer in answers if answer.status == "failed"
        )


def predict_table(command: TableCommand, log: LogFn) -> TableSummary:
    """Answer the questions about every row of a table and write the table with the answers.

    Raises
    ------
    UsageError
        A column, task or format does not exist, columns clash, or the output is a file that this command did not make.
    DataError
        The table cannot be read.
    MentallamaError
        The model gave no answer at all.
    TooManyRejectsError
        Everything is written, but more calls failed than `max_failed_share` allows.
    """
    start, job = time.monotonic(), command.job
    # wrong settings, and unknown kinds, formats and tasks, are reported before anything is read
    analyst_kind(job.spec)
    if problem := price_problem(job.spec, job.settings):
        raise UsageError(problem)
    if command.output_path is None and sys.__stdout__ is None:
        raise UsageError("standard output is closed; name the output with --out")
    format_ = command.output_format
    select_questions(command.questions or tuple(job.tasks), None, job.tasks, job.spec)
    with part_folder(command.output_path) as part:
        identity = f"{answers_identity(job)} {command.query_form}"
        with AnswerStore(part.path / STORE_FILE, identity) as store:
            try:
                _refuse_foreign_output(command.output_path, store)
                summary = _answer(command, format_, store, part.path, log)
            finally:
                part.keep = part.keep or store.has_answers
        if command.output_path is not None:
            part.keep = bool(summary.failed)
    _report(command, summary, time.monotonic() - start, log)
    return summary


@dataclass(frozen=True)
class _Work:
    """A table that is being answered: what is in it, the answers so far, and the columns that they become.

    `version` is that of the table's file before it was read.
    """

    command: TableCommand
    table: InputTable
    version: tuple[int, int]
    facts: TableFacts
    store: AnswerStore
    columns: AnswerColumns
    format: OutputFormat

    @property
    def questions(self) -> tuple[QuestionKey, ...]:
        return self.columns.questions

    @property
    def n_answers(self) -> int:
        """Answers that the output will hold."""
        return self.facts.rows * len(self.questions)

    @property
    def n_answered(self) -> int:
        """How many of them are stored already."""
        return sum(self.facts.answered[question] for question in self.questions)

    @property
    def n_open_rows(self) -> int:
        """Rows with a question that has no answer yet."""
        return self.facts.rows - min(self.facts.answered[question] for question in self.questions)

    def open_questions(self, row: PostRow) -> tuple[QuestionKey, ...]:
        """The questions about a row that have no answer; none if it has no text."""
        if row.problem is not None:
            return ()
        known = self.store.answered(text_hash(row.text))
        return tuple(question for question in self.questions if question not in known)


def _answer(
    command: TableCommand, format_: OutputFormat, store: AnswerStore, folder: Path, log: LogFn
) -> TableSummary:
    """Examine the table, ask, and write."""
    job, table = command.job, _open_table(command, folder)
    version = _file_version(table.path)
    store.forget_failed()
    facts = examine_table(table, store, format_, command.id_column)
    with open_pool(job, folder) as pool:
        columns = AnswerColumns(
            _questions(command, pool), job.spec, command.wide, command.prefix, format_.is_nested
        )
        work = _Work(command, table, version, facts, store, columns, format_)
        _refuse_unwritable(work)
        _announce(work, log)
        if pool.remote is not None:
            _announce_cost(pool.remote, work, log)
        tasks = [name for name, _ in work.questions]
        _ask(work, ask_function(job, pool, command.query_form, tasks, work.n_open_rows), pool.remote)
        cost = None if pool.remote is None else pool.remote.spent()
    if (failed := store.failure_reasons()) and not store.has_readings:
        kinds = Counter(map(failure_kind, failed))
        raise MentallamaError(
            f"predict: no question was answered ({describe_failures(kinds)}); check the model, the URL and the options "
            "of the request; the same command asks again"
        )
    summary = _write(work)
    summary.cost = cost
    return summary


# Before any work


def _refuse_foreign_output(out: Path | None, store: AnswerStore) -> None:
    """Refuse to replace a file unless it was written from this store and not changed since, or a symbolic link."""
    if out is None or not os.path.lexists(out):
        return
    if out.is_symlink() or store.output != digest_file(out, out.name):
        raise foreign_output_error(out)


def _open_table(command: TableCommand, folder: Path) -> InputTable:
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


def _questions(command: TableCommand, pool: AnalystPool) -> tuple[QuestionKey, ...]:
    """The questions to ask: the named ones, else those of the model's only task."""
    supported, spec = pool.supported_questions, command.job.spec
    tasks = list(dict.fromkeys(name for name, _ in supported or ()))
    if len(tasks) > 1 and not command.questions and not command.all_questions:
        raise UsageError(
            f"{spec} answers the questions of {', '.join(tasks)}; name those to ask with --task, such as --task "
            f"{tasks[0]}, or ask all with --all"
        )
    return select_questions(command.questions, supported, command.job.tasks, spec)


def _refuse_unwritable(work: _Work) -> None:
    """Raise `UsageError` if the columns of the answers clash with the table's own, or a sheet is too small."""
    work.columns.refuse_clash(list(work.facts.columns), work.table.name)
    if work.format.name != "xlsx":
        return
    n_rows = work.facts.rows * work.columns.rows_per_post
    n_columns = len(work.facts.columns) + len(work.columns.kinds)
    for count, most, what in (
        (n_rows, MAX_SHEET_ROWS - 1, "rows below its header"),
        (n_columns, MAX_SHEET_COLUMNS, "columns"),
    ):
        if count > most:
            raise UsageError(
                f"the output would have {count:,} {what}, and a sheet has at most {most:,}; write another format, "
                "such as .csv or .parquet"
            )


def _announce(work: _Work, log: LogFn) -> None:
    """Say what the user may not expect: rows that cannot be asked about, and that posts leave this machine."""
    command, facts = work.command, work.facts
    log(f"note: {NOTICE}")
    for (count, first), what in (
        (facts.unreadable, "cannot be read and are skipped"),
        (facts.repeated_ids, f"repeat the {command.id_column} of an earlier row"),
    ):
        if count:
            log(f"note: predict: {count:,} of {facts.rows:,} rows {what}; the first is row {first:,}")
    if command.job.is_remote:
        host = urlsplit(parse_remote_spec(command.job.spec)[1]).hostname
        log(f"note: predict: the posts of {work.table.name} leave this machine: they are sent to {host}")


def _announce_cost(analyst: PaidAnalyst, work: _Work, log: LogFn) -> None:
    """Say before any call what the open questions will probably cost; a sample of the rows is looked at."""
    rows = (row for row in work.table.rows() if row.problem is None)
    asked = ((row.text, work.open_questions(row)) for row in rows)
    remaining = ((text, questions) for text, questions in asked if questions)
    sample = [
        example_of_text(post.text, key, work.command.query_form)
        for text, questions in islice(remaining, 0, None, sampling_step(max(work.n_open_rows, 1)))
        if (post := clean_post(text)).problem is None
        for key in questions
    ]
    for line in analyst.describe_cost(sample, work.n_answers - work.n_answered):
        log(f"predict: {line}")


# The work


@dataclass
class _Waiting:
    """A text that is being asked about: the rows that have it, and the questions that are still open."""

    rows: int
    questions: int


def _ask(work: _Work, ask: AskFn, paid: PaidAnalyst | None) -> None:
    """Ask the questions that have no answer in the store, each text's once."""
    waiting: dict[bytes, _Waiting] = {}
    counted_before = work.n_answered
    with progress_bar("predict: answer", work.n_answers, counted_before, unit="answers") as advance:

        def texts() -> Iterator[TextQuestions]:
            nonlocal counted_before
            for row in work.table.rows():
                key, remaining = text_hash(row.text), work.open_questions(row)
                if row.problem is None and key in waiting:
                    waiting[key].rows += 1
                    continue
                n_done = len(work.questions) - len(remaining)
                n_before = min(n_done, counted_before) if row.problem is None else 0
                counted_before -= n_before
                advance(n_done - n_before)
                if remaining:
                    waiting[key] = _Waiting(1, len(remaining))
                    yield row.text, remaining

        for answer in ask(texts()):
            work.store.add(answer)
            post = waiting[answer.text]
            post.questions -= 1
            spent = None if paid is None else paid.spent()
            advance(post.rows, "" if spent is None else f"cost {spent:.4g}")
            if not post.questions:
                del waiting[answer.text]


def _write(work: _Work) -> TableSummary:
    """Write the rows with their answers, in order."""
    summary, table, format_ = TableSummary(), work.table, work.format
    own = column_kinds(work.facts.columns, work.facts.columns)
    types = arrow_types(table.path) if format_.has_types and table_format(table.path) == "parquet" else {}
    with (
        _open_output(work.command.output_path, work.store) as file,
        table_writer(file, format_, OutputColumns(own | work.columns.kinds, types)) as write,
        progress_bar("predict: write", work.facts.rows, unit="rows") as advance,
    ):
        for row in table.rows():
            answers = _row_answers(row, work)
            for cells in work.columns.rows(answers):
                write({**row.values, **cells})
            summary.count([answers[question] for question in work.questions])
            advance(1)
        if _file_version(table.path) != work.version:  # before the output gets its name
            raise DataError(CHANGED, table.name)
    return summary


def _row_answers(row: PostRow, work: _Work) -> Mapping[QuestionKey, StoredAnswer]:
    if row.problem is not None:
        return {key: unreadable_answer(key, row.problem) for key in work.questions}
    answers = work.store.answers(text_hash(row.text))
    if not answers.keys() >= set(work.questions):
        raise DataError(CHANGED, work.table.name, row.number)
    return answers


def _file_version(path: Path) -> tuple[int, int]:
    """Size and time of the last change, by which a changed file is recognised: a table is read several times."""
    status = path.stat()
    return status.st_size, status.st_mtime_ns


@contextmanager
def _open_output(out: Path | None, store: AnswerStore) -> Iterator[IO[bytes]]:
    """The file to write to, which appears under its name when it is complete, or standard output."""
    if out is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    with atomic_write(out) as partial:
        with partial.open("wb") as file:
            yield file
        _refuse_foreign_output(out, store)  # again: it may have appeared since
        store.output = digest_file(partial, out.name)


def _report(command: TableCommand, summary: TableSummary, seconds: float, log: LogFn) -> None:
    """Say what was done; raises `TooManyRejectsError` if too many calls failed."""
    for line in (
        *unlabelled_notes(summary.answers, "; the table says why"),
        f"predict: {counted(summary.rows, 'row')} answered in {seconds:.1f} s",
        *cost_notes(summary.cost),
    ):
        log(line)
    share = command.job.settings.max_failed_share
    verdict = too_many_failed("predict", summary.failed, summary.answers.total(), share, Path(command.out))
    if verdict is not None:
        raise TooManyRejectsError(verdict)
