"""The table that goes out: the columns of the user's own, then those of the answers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mentallama.analysts.answer import ANSWER_COLUMNS, SCALE_COLUMNS
from mentallama.errors import UsageError
from mentallama.files.tables.column_kinds import ColumnKind
from mentallama.predict.tables.answer_store import StoredAnswer
from mentallama.symptoms import score_answer
from mentallama.tasks import QuestionKey, Task
from mentallama.tasks.answer_values import value_levels

_JSON_COLUMNS = frozenset({"probabilities", "evidence"})
_IN_NAME = frozenset({"task", "question"})
"""Columns of a long table that are in the names of the columns of a wide one."""
_ONCE = frozenset({"model"})
"""Columns whose values are the same for all questions."""


@dataclass(frozen=True)
class AnswerColumns:
    """The columns that answers add to a row.

    Parameters
    ----------
    questions
        The questions, in order.
    model
        The model that answers.
    wide
        One row per post, with columns such as `dreaddit.stress.label`, or `label` if there is only one question;
        otherwise one row per post and question.
    prefix
        Stands before each name.
    nested
        Whether probabilities and evidence are objects and lists rather than JSON in a text.
    tasks
        Tasks by set name. If the answers to a question have several parts, a column for each part holds its level,
        such as `label.sleep`, and those of a scale also have the columns `total` and `band`: in a wide table, and in a
        long one in which all answers have the same parts.
    """

    questions: tuple[QuestionKey, ...]
    model: str
    wide: bool = False
    prefix: str = ""
    nested: bool = False
    tasks: Mapping[str, Task] = field(default_factory=dict)

    @property
    def rows_per_post(self) -> int:
        return 1 if self.wide else len(self.questions)

    @property
    def kinds(self) -> dict[str, ColumnKind]:
        """The names of the columns, in order, and the kind of their values."""
        return {
            name: "number" if column in {"probability", "total"} else "text" for name, column in self._columns
        }

    @property
    def _columns(self) -> Iterator[tuple[str, str]]:
        """The name of each column, and which column of an answer it holds."""
        if not self.wide:
            columns = [*ANSWER_COLUMNS, *self._part_columns(self.questions[0])]
            yield from ((self.prefix + column, column) for column in columns)
            return
        for key in self.questions:
            own = [column for column in ANSWER_COLUMNS if column not in _IN_NAME | _ONCE]
            yield from ((self._wide_name(key, column), column) for column in [*own, *self._part_columns(key)])
        yield from ((self.prefix + column, column) for column in ANSWER_COLUMNS if column in _ONCE)

    def _part_columns(self, key: QuestionKey) -> list[str]:
        """Columns with the levels of the parts of the answers to a question."""
        task = self.tasks.get(key[0])
        if task is None or not task.is_composite or not (self.wide or len(set(dict(self.questions))) == 1):
            return []
        totals = SCALE_COLUMNS if task.kind == "scale" else ()
        return [*(f"label.{part.name}" for part in task.parts), *totals]

    def _wide_name(self, key: QuestionKey, column: str) -> str:
        return self.prefix + (column if len(self.questions) == 1 else ".".join((*key, column)))

    def refuse_clash(self, own: Sequence[str], table_name: str) -> None:
        """Raise `UsageError` if the table has a column that would be added."""
        added = self.kinds
        clash = [name for name in own if name in added]
        if clash:
            names = ", ".join(map(repr, clash))
            raise UsageError(
                f"{table_name}: the table has columns that the answers would add ({names}); --prefix predicted_ puts "
                "predicted_ before the names of the added ones"
            )

    def rows(self, answers: Mapping[QuestionKey, StoredAnswer]) -> Iterator[dict[str, Any]]:
        """The cells that are added to the rows of a post, from its answers by question."""
        if self.wide:
            row = {
                self._wide_name(key, column): value
                for key in self.questions
                for column, value in self._values(answers[key]).items()
                if column not in _IN_NAME | _ONCE
            }
            yield row | {self.prefix + "model": self.model}
            return
        for key in self.questions:
            yield {self.prefix + column: value for column, value in self._values(answers[key]).items()}

    def _values(self, answer: StoredAnswer) -> dict[str, Any]:
        values = {column: getattr(answer, column, self.model) for column in ANSWER_COLUMNS}
        if self.nested:
            values |= {column: json.loads(values[column]) for column in _JSON_COLUMNS}
        key = (answer.task, answer.question)
        if columns := self._part_columns(key):
            task, label = self.tasks[answer.task], answer.label
            levels = {} if label is None else value_levels(task, label)
            values |= {column: levels.get(column.removeprefix("label.")) for column in columns}
            if task.kind == "scale" and label is not None:
                score = score_answer(task, label)
                values |= {"total": score.value, "band": score.band}
        return values


def unreadable_answer(key: QuestionKey, reason: str) -> StoredAnswer:
    """The answer in a row that has no text."""
    return StoredAnswer(b"", *key, None, None, "{}", "skipped", reason, "", "[]")
