"""A table that is being answered, and what is said or refused about it before any question is asked."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from urllib.parse import urlsplit

from mentallama.analysts.answer import example_of_text
from mentallama.config.endpoint import parse_remote_spec
from mentallama.errors import UsageError
from mentallama.files.tables.writers import MAX_SHEET_COLUMNS, MAX_SHEET_ROWS, OutputFormat
from mentallama.llm_api.cost_estimate import sampling_step
from mentallama.predict.analyst_pool import PaidAnalyst
from mentallama.predict.tables.answer_store import AnswerStore, text_hash
from mentallama.predict.tables.command import TableCommand
from mentallama.predict.tables.examination import TableFacts
from mentallama.predict.tables.input_table import InputTable, PostRow
from mentallama.predict.tables.output_table import AnswerColumns
from mentallama.progress import LogFn
from mentallama.safety import NOTICE
from mentallama.tasks import QuestionKey
from mentallama.text.clean_post import clean_post


@dataclass(frozen=True)
class TableWork:
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


def refuse_unwritable(work: TableWork) -> None:
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


def announce(work: TableWork, log: LogFn) -> None:
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


def announce_cost(analyst: PaidAnalyst, work: TableWork, log: LogFn) -> None:
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
