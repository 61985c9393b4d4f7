"""A table in, a table out: answers to questions about the posts in a user's own table.

    mentallama predict --model SPEC --data posts.csv --text body --task dreaddit --out labelled.csv

Every row comes back, in order, with its own columns and those of the answers. The table is read three times: to find
out what is in it before any work, to ask about the texts that have no answer yet, and to write. Answers are stored on
disk as they come, in the folder `labelled.csv.part` beside the output, so that memory stays flat and the same command
resumes; the folder is deleted once everything is answered and written.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from mentallama.analysts.checkpoints.metadata import model_query_form
from mentallama.analysts.registry import analyst_kind
from mentallama.config.endpoint import parse_remote_spec
from mentallama.errors import DataError, MentallamaError, TooManyRejectsError, UsageError
from mentallama.files.atomic import atomic_write
from mentallama.files.manifest import digest_file
from mentallama.files.tables import table_format
from mentallama.files.tables.column_kinds import ColumnKind, column_kinds, kind_of
from mentallama.files.tables.parquet import arrow_types
from mentallama.files.tables.writers import (
    MAX_SHEET_ROWS,
    OutputColumns,
    OutputFormat,
    cell_problem,
    table_writer,
)
from mentallama.llm_api.limits.failure_watch import describe_failures, too_many_failed
from mentallama.llm_api.types import failure_kind
from mentallama.predict.analyst_pool import AnalystPool
from mentallama.predict.stage import PredictJob, answers_identity, open_pool
from mentallama.predict.tables.answer_store import STORE_FILE, AnswerStore, StoredAnswer, text_hash
from mentallama.predict.tables.asking import AskFn, TextQuestions, ask_function
from mentallama.predict.tables.input_table import (
    InputTable,
    PostRow,
    find_column,
    open_input_table,
    require_column,
)
from mentallama.predict.tables.output_table import AnswerColumns, unreadable_answer
from mentallama.predict.tables.part_folder import SPOOL_FILE, foreign_output_error, part_folder
from mentallama.progress import LogFn, progress_bar
from mentallama.records import Form
from mentallama.safety import NOTICE
from mentallama.tasks import QuestionKey, select_questions

STANDARD_STREAM = "-"


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
    def query_form(self) -> Form:
        return self.form or model_query_form(self.job.spec)


@dataclass
class TableFacts:
    """What a first reading finds in a table: its rows, how many of their texts are answered already, and its columns.

    `unreadable` and `repeated_ids` are numbers of rows and the first of them, 0 if there is none.
    """

    rows: int = 0
    answered: int = 0
    columns: dict[str, set[ColumnKind]] = field(default_factory=dict)
    unreadable: tuple[int, int] = (0, 0)
    repeated_ids: tuple[int, int] = (0, 0)


@dataclass
class TableSummary:
    """Counts of a finished command: rows, answers by status, and failed calls by reason."""

    rows: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)


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
    start, format_, job = time.monotonic(), command.output_format, command.job
    analyst_kind(job.spec)  # unknown kinds and tasks are reported before anything is read
    select_questions(command.questions or tuple(job.tasks), None, job.tasks, job.spec)
    with part_folder(command.output_path) as part:
        identity = f"{answers_identity(job)} {command.query_form}"
        with AnswerStore(part.path / STORE_FILE, identity) as store:
            try:
                _refuse_foreign_output(command.output_path, store)
                table = _open_table(command, part.path)
                summary = _answer(command, table, store, format_, log)
            finally:
                part.keep = part.keep or store.has_answers
        if command.output_path is not None:
            part.keep = bool(summary.failed)
    _report(command, summary, time.monotonic() - start, log)
    return summary


def _answer(
    command: TableCommand, table: InputTable, store: AnswerStore, format_: OutputFormat, log: LogFn
) -> TableSummary:
    """Examine the table, ask, and write."""
    job = command.job
    store.forget_failed()
    facts = _examine(command, table, store, format_)
    with open_pool(job) as pool:
        columns = AnswerColumns(
            _questions(command, pool), job.spec, command.wide, command.prefix, format_.is_nested
        )
        columns.refuse_clash(list(facts.columns), table.name)
        _refuse_long_sheet(format_, facts.rows * columns.rows_per_post)
        _announce(command, table, facts, log)
        names = [name for name, _ in columns.questions]
        ask = ask_function(job, pool, command.query_form, names, facts.rows - facts.answered)
        _ask(table, store, columns.questions, ask, facts)
    if (failed := store.failure_reasons()) and not store.has_readings:
        kinds = Counter(map(failure_kind, failed))
        raise MentallamaError(
            f"predict: no question was answered ({describe_failures(kinds)}); check the model, the URL and the options "
            "of the request; the same command asks again"
        )
    return _write(command, table, store, columns, facts, format_)


# Before any work


def _refuse_foreign_output(out: Path | None, store: AnswerStore) -> None:
    """Refuse to replace a file unless it was written from this store and not changed since."""
    if out is not None and out.exists() and store.output != digest_file(out, out.name):
        raise foreign_output_error(out)


def _open_table(command: TableCommand, folder: Path) -> InputTable:
    path, name, format_ = Path(command.data), command.data, None
    if command.data == STANDARD_STREAM:
        path, name, format_ = folder / SPOOL_FILE, "standard input", command.stream_format
        if sys.stdin is None:
            raise UsageError("standard input is closed; name the table with --data")
        with path.open("wb") as spool:
            shutil.copyfileobj(sys.stdin.buffer, spool)
    return open_input_table(path, name, command.text_columns, format_, command.encoding, command.limit)


def _examine(
    command: TableCommand, table: InputTable, store: AnswerStore, format_: OutputFormat
) -> TableFacts:
    """Read the table once: every fault that can be found without the model ends the command before any work."""
    facts, has_answers = TableFacts(), store.has_answers
    id_column = command.id_column
    store.forget_identifiers()
    for row in table.rows():
        facts.rows += 1
        for name, value in row.values.items():
            kinds = facts.columns.setdefault(name, set())
            if format_.has_types and (kind := kind_of(value)) is not None:
                kinds.add(kind)
        if (problem := cell_problem(format_, row.values)) is not None:
            raise DataError(problem, table.name, row.number)
        if row.problem is not None:
            facts.unreadable = facts.unreadable[0] + 1, facts.unreadable[1] or row.number
        elif has_answers and store.answered(text_hash(row.text)):
            facts.answered += 1
        if id_column is not None and facts.rows == 1:
            id_column = find_column(id_column, list(facts.columns)) or id_column
        identifier = None if id_column is None else row.values.get(id_column)
        if identifier is not None and not store.is_first_identifier(str(identifier)):
            facts.repeated_ids = facts.repeated_ids[0] + 1, facts.repeated_ids[1] or row.number
    for option, column in [*(("--text", name) for name in table.text_columns), ("--id", id_column)]:
        if column is not None:
            require_column(table.name, option, column, facts.columns)
    return facts


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


def _refuse_long_sheet(format_: OutputFormat, n_rows: int) -> None:
    if format_.name == "xlsx" and n_rows >= MAX_SHEET_ROWS:
        raise UsageError(
            f"the output would have {n_rows:,} rows, and a sheet has at most {MAX_SHEET_ROWS - 1:,} below its header; "
            "write another format, such as .csv or .parquet"
        )


def _announce(command: TableCommand, table: InputTable, facts: TableFacts, log: LogFn) -> None:
    """Say what the user may not expect: rows that cannot be asked about, and that posts leave this machine."""
    log(f"note: {NOTICE}")
    for (count, first), what in (
        (facts.unreadable, "cannot be read and are skipped"),
        (facts.repeated_ids, f"repeat the {command.id_column} of an earlier row"),
    ):
        if count:
            log(f"note: predict: {count:,} of {facts.rows:,} rows {what}; the first is row {first:,}")
    if command.job.is_remote:
        host = urlsplit(parse_remote_spec(command.job.spec)[1]).hostname
        log(f"note: predict: the posts of {table.name} leave this machine: they are sent to {host}")


# The work


@dataclass
class _Waiting:
    """A text that is being asked about: the rows that have it, and the questions that are still open."""

    rows: int
    questions: int


def _ask(
    table: InputTable,
    store: AnswerStore,
    questions: tuple[QuestionKey, ...],
    ask: AskFn,
    facts: TableFacts,
) -> None:
    """Ask the questions that have no answer in the store, each text's once."""
    waiting: dict[bytes, _Waiting] = {}
    answered = facts.answered
    total, done = facts.rows * len(questions), answered * len(questions)
    with progress_bar("predict: answer", total, done, unit="answers") as advance:

        def open_questions() -> Iterator[TextQuestions]:
            nonlocal answered
            for row in table.rows():
                key = text_hash(row.text)
                known = set(questions) if row.problem is not None else store.answered(key)
                remaining = tuple(question for question in questions if question not in known)
                if key in waiting:
                    waiting[key].rows += 1
                elif remaining:
                    waiting[key] = _Waiting(1, len(remaining))
                    yield row.text, remaining
                elif answered and row.problem is None:
                    answered -= 1  # counted as done from the start
                else:
                    advance(len(questions))

        for answer in ask(open_questions()):
            store.add(answer)
            post = waiting[answer.text]
            post.questions -= 1
            advance(post.rows)
            if not post.questions:
                del waiting[answer.text]


def _write(
    command: TableCommand,
    table: InputTable,
    store: AnswerStore,
    columns: AnswerColumns,
    facts: TableFacts,
    format_: OutputFormat,
) -> TableSummary:
    """Write the rows with their answers, in order."""
    summary = TableSummary()
    own = column_kinds(facts.columns, facts.columns)
    types = arrow_types(table.path) if format_.has_types and table_format(table.path) == "parquet" else {}
    with (
        _open_output(command.output_path, store) as file,
        table_writer(file, format_, OutputColumns(own | columns.kinds, types)) as write,
        progress_bar("predict: write", facts.rows, unit="rows") as advance,
    ):
        for row in table.rows():
            answers = _row_answers(row, columns.questions, store, table)
            for cells in columns.rows(answers):
                write({**row.values, **cells})
            for question in columns.questions:
                answer = answers[question]
                summary.answers[answer.status] += 1
                if answer.status == "failed":
                    summary.failed[failure_kind(answer.reason or "")] += 1
            summary.rows += 1
            advance(1)
    return summary


def _row_answers(
    row: PostRow, questions: tuple[QuestionKey, ...], store: AnswerStore, table: InputTable
) -> Mapping[QuestionKey, StoredAnswer]:
    if row.problem is not None:
        return {key: unreadable_answer(key, row.problem) for key in questions}
    answers = store.answers(text_hash(row.text))
    if not answers.keys() >= set(questions):
        raise DataError(
            "the table was changed while it was being answered; the same command goes on",
            table.name,
            row.number,
        )
    return answers


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
        store.output = digest_file(partial, out.name)


def _report(command: TableCommand, summary: TableSummary, seconds: float, log: LogFn) -> None:
    """Say what was done; raises `TooManyRejectsError` if too many calls failed."""
    without = {status: count for status, count in sorted(summary.answers.items()) if status != "parsed"}
    total = sum(summary.answers.values())
    if without:
        counts = ", ".join(f"{count:,} {status}" for status, count in without.items())
        log(f"note: predict: {sum(without.values()):,} of {total:,} answers have no label ({counts})")
    log(f"predict: {summary.rows:,} rows answered in {seconds:.1f} s")
    share = command.job.settings.max_failed_share
    verdict = too_many_failed("predict", summary.failed, total, share, Path(command.out))
    if verdict is not None:
        raise TooManyRejectsError(verdict)
