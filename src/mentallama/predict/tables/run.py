"""A table in, a table out: answers to questions about the posts in a user's own table.

    mentallama predict --model SPEC --data posts.csv --text body --task dreaddit --out labelled.csv

Every row comes back, in order, with its own columns and those of the answers. The table is read three times: to find
out what is in it before any work, to ask about the texts that have no answer yet, and to write. Answers are stored on
disk as they come, in the folder `labelled.csv.part` beside the output, so that memory stays flat and the same command
resumes; the folder is deleted once everything is answered and written.
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO

from mentallama.analysts.registry import analyst_kind
from mentallama.errors import DataError, MentallamaError, TooManyRejectsError, UsageError, counted
from mentallama.files.atomic import atomic_write
from mentallama.files.manifest import digest_file
from mentallama.files.tables import table_format
from mentallama.files.tables.column_kinds import column_kinds
from mentallama.files.tables.parquet import arrow_types
from mentallama.files.tables.writers import (
    OutputColumns,
    OutputFormat,
    table_writer,
)
from mentallama.llm_api.limits.failure_watch import describe_failures, too_many_failed
from mentallama.llm_api.types import failure_kind
from mentallama.predict.analyst_pool import AnalystPool, PaidAnalyst
from mentallama.predict.notes import cost_notes, unlabelled_notes
from mentallama.predict.stage import (
    answers_identity,
    open_pool,
    refuse_agreements_of_examples,
    settings_problems,
)
from mentallama.predict.tables.answer_store import STORE_FILE, AnswerStore, StoredAnswer, text_hash
from mentallama.predict.tables.asking import AskFn, TextQuestions, ask_function
from mentallama.predict.tables.command import TableCommand, open_command_table
from mentallama.predict.tables.examination import examine_table
from mentallama.predict.tables.input_table import (
    PostRow,
)
from mentallama.predict.tables.output_table import AnswerColumns, unreadable_answer
from mentallama.predict.tables.part_folder import foreign_output_error, part_folder
from mentallama.predict.tables.table_work import TableWork, announce, announce_cost, refuse_unwritable
from mentallama.progress import LogFn, progress_bar
from mentallama.tasks import QuestionKey, select_questions

CHANGED = "the table was changed while it was being answered; the same command goes on"


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
    for problem in settings_problems(job.spec, job.settings):
        raise UsageError(problem)
    if job.settings.max_rows_per_set is not None:
        raise UsageError("--max-rows-per-set is for posts of a run or of the release; a table has --limit")
    job, _ = job.with_examples((), log)
    command = replace(command, job=job)
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


def _answer(
    command: TableCommand, format_: OutputFormat, store: AnswerStore, folder: Path, log: LogFn
) -> TableSummary:
    """Examine the table, ask, and write."""
    job, table = command.job, open_command_table(command, folder)
    version = _file_version(table.path)
    store.forget_failed()
    facts = examine_table(table, store, format_, command.id_column)
    with open_pool(job, folder) as pool:
        columns = AnswerColumns(
            _questions(command, pool), job.spec, command.wide, command.prefix, format_.is_nested, job.tasks
        )
        work = TableWork(command, table, version, facts, store, columns, format_)
        refuse_unwritable(work)
        refuse_agreements_of_examples(job, work.questions)
        pool.prepare(work.questions)
        announce(work, log)
        if pool.remote is not None:
            announce_cost(pool.remote, work, log)
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


# The work


@dataclass
class _Waiting:
    """A text that is being asked about: the rows that have it, and the questions that are still open."""

    rows: int
    questions: int


def _ask(work: TableWork, ask: AskFn, paid: PaidAnalyst | None) -> None:
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


def _write(work: TableWork) -> TableSummary:
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


def _row_answers(row: PostRow, work: TableWork) -> Mapping[QuestionKey, StoredAnswer]:
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
