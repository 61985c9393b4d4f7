"""A first reading of a table: what is in it, and whether it can be answered and written."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from mentallama.errors import DataError
from mentallama.files.tables.column_kinds import ColumnKind, kind_of
from mentallama.files.tables.writers import OutputFormat, cell_problem
from mentallama.predict.tables.answer_store import AnswerStore, text_hash
from mentallama.predict.tables.input_table import InputTable, find_column, require_column
from mentallama.tasks import QuestionKey


@dataclass
class TableFacts:
    """Findings of a first reading of a table: its rows and its columns.

    `answered` is the number of rows that have an answer to a question already. `unreadable` and `repeated_ids` are a
    number of rows and the first of them, 0 if there is none.
    """

    rows: int = 0
    answered: Counter[QuestionKey] = field(default_factory=Counter)
    columns: dict[str, set[ColumnKind]] = field(default_factory=dict)
    unreadable: tuple[int, int] = (0, 0)
    repeated_ids: tuple[int, int] = (0, 0)


def examine_table(
    table: InputTable, store: AnswerStore, format_: OutputFormat, id_column: str | None = None
) -> TableFacts:
    """Read the table once: every fault that can be found without the model ends the command before any work.

    Parameters
    ----------
    store
        Answers so far.
    format_
        The format of the output, in which every cell has to fit.
    id_column
        Column whose values should identify the rows; None: no such column.

    Raises
    ------
    UsageError
        There is no such column, or none of the texts.
    DataError
        The table cannot be read to its end, or a cell does not fit.
    """
    facts, has_answers = TableFacts(), store.has_answers
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
        elif has_answers:
            facts.answered.update(store.answered(text_hash(row.text)))
        if id_column is not None and facts.rows == 1:
            id_column = find_column(id_column, list(facts.columns)) or id_column
        identifier = None if id_column is None else row.values.get(id_column)
        if identifier is not None and not store.is_first_identifier(str(identifier)):
            facts.repeated_ids = facts.repeated_ids[0] + 1, facts.repeated_ids[1] or row.number
    for option, column in [*(("--text", name) for name in table.text_columns), ("--id", id_column)]:
        if column is not None:
            require_column(table.name, option, column, facts.columns)
    return facts
