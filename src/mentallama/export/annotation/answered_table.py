"""A table of posts that predict answered, with a row for each post and question."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from pydantic import ValidationError

from mentallama.analysts.answer import ANSWER_COLUMNS, Answer
from mentallama.errors import DataError, UsageError
from mentallama.export.annotation.post_answers import AnsweredPost, PostAnswer
from mentallama.export.source import ExportSource
from mentallama.files.record_files import invalid_record
from mentallama.files.tables import NumberedValues, UnreadableRow, read_verbatim
from mentallama.files.tables.rows import format_cell
from mentallama.predict.tables.input_table import TEXT_COLUMNS, find_column
from mentallama.records import Span

TABLE_NOTE = (
    "The posts are those of a table of yours, as they stand in it: personal details were not replaced. `post_id` is "
    "the row of the table in a spreadsheet."
)


def posts_of_table(source: ExportSource) -> Iterator[AnsweredPost]:
    """The posts of a table with a row for each post and question; adjacent rows with one text are one post."""
    groups: list[tuple[int, list[Answer]]] = []
    for number, answer in _table_answers(source):
        key = answer.task, answer.question, answer.model
        same_post = groups and groups[-1][1][0].post == answer.post
        if same_post and key not in {(each.task, each.question, each.model) for each in groups[-1][1]}:
            groups[-1][1].append(answer)
        else:
            groups.append((number, [answer]))
    for number, answers in groups:
        for name in dict.fromkeys(answer.task for answer in answers):
            about = tuple(_table_answer(answer) for answer in answers if answer.task == name)
            yield AnsweredPost(str(number), None, answers[0].post, source.task(name), about)


def _table_answers(source: ExportSource) -> Iterator[tuple[int, Answer]]:
    path = source.path
    for number, values in _readable_rows(path):
        missing = [name for name in ANSWER_COLUMNS if name not in values]
        if missing:
            raise UsageError(
                f"{path}: the column {missing[0]!r} is missing; export a table that predict wrote with a row for each "
                "post and question (without --wide and --prefix)"
            )
        column = _text_column(source, values)
        if not isinstance(values[column], str) or not values[column].strip():
            continue
        text = format_cell(values[column])
        fields = {name: _field(name, values[name]) for name in ANSWER_COLUMNS}
        try:
            answer = Answer.model_validate({"post": text, **fields})
        except ValidationError as fault:
            raise DataError(invalid_record(Answer, fault, "the row"), path, number) from None
        if any(text[each.start : each.end] != each.text for each in answer.evidence):
            raise DataError(
                f"the evidence is not where it should be in the column {column!r}: the answers are about another text; "
                "name the column that predict read with --text (several joined ones cannot be exported)",
                path,
                number,
            )
        yield number, answer


def _readable_rows(path: Path) -> Iterator[NumberedValues]:
    """The rows of a table as they are stored; raises `DataError` for a row that cannot be read."""
    for row in read_verbatim(path):
        if isinstance(row, UnreadableRow):
            raise DataError(row.reason, path, row.row)
        yield row


def _text_column(source: ExportSource, names: Iterable[str]) -> str:
    """The column of the posts, found as predict finds it."""
    known = list(names)
    wanted = TEXT_COLUMNS if source.text_column is None else (source.text_column,)
    found = [column for name in wanted if (column := find_column(name, known)) is not None]
    if len(found) != 1:
        raise UsageError(
            f"{source.path}: name the column of the posts with --text; there are {', '.join(known)}"
        )
    return found[0]


def _field(name: str, value: object) -> object:
    """A value of a column as `Answer` takes it: tables of text hold JSON, and nothing for None."""
    if name in {"probabilities", "evidence"} and isinstance(value, str):
        try:
            return json.loads(value) if value else ({} if name == "probabilities" else [])
        except ValueError:
            return value  # not valid either, and named by the validation
    if isinstance(value, str):
        value = format_cell(value)
    return None if value == "" and name != "explanation" else value


def _table_answer(answer: Answer) -> PostAnswer:
    supporting = (quotation for quotation in answer.evidence if quotation.is_support)
    evidence = tuple(Span(start=quotation.start, end=quotation.end) for quotation in supporting)
    explanation = answer.explanation if answer.label is not None else ""
    return PostAnswer(answer.question, answer.label, explanation, evidence, answer.model, answer.probability)
