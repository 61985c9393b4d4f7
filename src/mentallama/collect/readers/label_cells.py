"""Labels in the cells of a table: in one cell, or in a column for each label or item."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mentallama.tasks import Source, Task, normalize_code
from mentallama.tasks.answer_kinds import ABSENT, NONE, PRESENT
from mentallama.tasks.answer_values import TypedQuotation, levels_value, value_quotations

LabelColumns = str | Mapping[str, str]
"""A column, or the columns of the parts of an answer by the name of the part."""

_PRESENCE = {"1": PRESENT, "0": ABSENT, "yes": PRESENT, "no": ABSENT, PRESENT: PRESENT, ABSENT: ABSENT}
_TYPE_KEYS = ("type", "label", "labels")
_TEXT_KEYS = ("text", "quotation", "quote")
_DOCCANO_SPAN = 3
"""Members of a span as doccano exports it: start, end, type."""


@dataclass(frozen=True)
class LabelCells:
    """Reads the labels in the rows of one table.

    All methods raise `ValueError` for a cell that is no answer of the task. The message names the column, and shows of
    the cell at most one short word, since it may hold a post.
    """

    source: Source
    task: Task

    def label(self, cells: Mapping[str, str], columns: LabelColumns) -> str:
        """The canonical text of a row's answer; not for the kind spans."""
        if isinstance(columns, str):
            cell = cells[columns].strip()
            if not self.task.is_composite:
                return self._name(cell, columns)
            if self._is_none(cell):
                return NONE
            if self.task.kind == "multi" and not cell.startswith("{"):
                return self._label_list(cell, columns)
            given = {name: (level, columns) for name, level in self._named_cells(cell, columns)}
        else:
            given = {name: (cells[column], column) for name, column in columns.items()}
            if self.task.kind == "scale" and not any(cell.strip() for cell, _ in given.values()):
                raise ValueError(
                    "no item of the scale is filled; a row without an answer is no labelled post"
                )
        levels = {name: self._level(cell, column) for name, (cell, column) in given.items()}
        return levels_value(self.task, {name: level for name, level in levels.items() if level})

    def quotations(self, cells: Mapping[str, str], columns: LabelColumns) -> tuple[TypedQuotation, ...]:
        """The quotations of a row's answer of the kind spans, as the table has them."""
        if not isinstance(columns, str):
            return tuple(
                TypedQuotation(name, text)
                for name, column in columns.items()
                for text in self._texts(cells[column].strip(), column)
            )
        cell = cells[columns].strip()
        if self._is_none(cell):
            return ()
        if not cell.startswith("["):
            try:
                return value_quotations(self.task, cell)
            except ValueError:
                raise self._fault(cell, columns, 'a list of quotations, such as type: "quotation"') from None
        text = self._only_text(cells)
        return tuple(self._quotation(item, text, columns) for item in _decode(cell, columns))

    def _is_none(self, cell: str) -> bool:
        return self._coded(cell) == NONE or cell in {NONE, "[]"}

    def _label_list(self, cell: str, column: str) -> str:
        names = _decode(cell, column) if cell.startswith("[") else self._members(cell)
        try:
            labels = [self._name(str(name).strip(), column) for name in names]
        except ValueError as error:
            separator = self.source.separator or ";"
            raise ValueError(
                f"{error}; several labels are separated by {separator!r}, and none stands for no label"
            ) from None
        return levels_value(self.task, dict.fromkeys(labels, PRESENT))

    def _members(self, cell: str) -> list[str]:
        """The parts of a cell between separators: the declared one, else semicolons or bars."""
        separator = self.source.separator or ("|" if "|" in cell and ";" not in cell else ";")
        return [member.strip() for member in cell.split(separator)]

    def _named_cells(self, cell: str, column: str) -> Iterator[tuple[str, str]]:
        """Names and cells of a JSON object, or of a text such as `sleep: 2; energy: 0`; each name once."""
        members = (
            _decode(cell, column)
            if cell.startswith("{")
            else [member.partition(":")[::2] for member in self._members(cell)]
        )
        parts, seen = [part.name for part in self.task.parts], set[str]()
        for key, level in members:
            name = key.strip()
            if name not in parts or name in seen or level == "":
                raise self._fault(cell, column, f"a level for each of {', '.join(parts)}")
            seen.add(name)
            yield name, _cell_text(level)

    def _level(self, cell: str, column: str) -> str:
        """The level of a part; "" for an item of a scale that is not filled."""
        cell = cell.strip()
        if self.task.kind == "multi":
            level = self._coded(cell) or _PRESENCE.get(normalize_code(cell).lower(), "")
            if level not in {ABSENT, PRESENT}:
                raise self._fault(cell, column, "a mark of presence; write 1 or 0")
            return level
        return "" if not cell or self._coded(cell) == NONE else self._name(cell, column)

    def _coded(self, cell: str) -> str | None:
        """The label that a cell stands for by `codes`."""
        return self.source.codes.get(cell) or self.source.labels_by_code.get(normalize_code(cell))

    def _name(self, cell: str, column: str) -> str:
        """The label or level that a cell names, by itself, by a code or by its score."""
        cell, code = cell.strip(), normalize_code(cell)
        scores = {str(score): level for level, score in self.task.level_scores.items()}
        labels, codes = self.task.labels, self.source.codes
        found = self._coded(cell) or next((name for name in (cell, code) if name in labels), scores.get(code))
        if found not in labels:
            known = ", ".join([*codes, *(name for name in labels if name not in codes)])
            raise self._fault(cell, column, f"a label; the labels are {known}")
        return found

    def _texts(self, cell: str, column: str) -> list[str]:
        if not cell or self._is_none(cell):
            return []
        texts = _decode(cell, column) if cell.startswith("[") else self._members(cell)
        if not all(isinstance(text, str) and text.strip() for text in texts):
            raise self._fault(cell, column, "a list of quotations")
        return [text.strip() for text in texts]

    def _only_text(self, cells: Mapping[str, str]) -> str | None:
        """The text that offsets count in; None if it is joined from several columns."""
        columns = self.source.columns.text_columns
        return cells[columns[0]] if len(columns) == 1 else None

    def _quotation(self, item: Any, text: str | None, column: str) -> TypedQuotation:
        """A quotation of a JSON list: an object with a type and a text or offsets, or [start, end, type]."""
        if isinstance(item, list) and len(item) == _DOCCANO_SPAN:
            item = dict(zip(("start", "end", "type"), item, strict=True))
        if not isinstance(item, dict):
            raise ValueError(f"a quotation in column {column!r} is not an object with type and text")
        kind, quote = _first(item, _TYPE_KEYS), _first(item, _TEXT_KEYS)
        if isinstance(kind, list) and len(kind) == 1:
            kind = kind[0]
        if kind is None:
            raise ValueError(f"a quotation in column {column!r} has no type")
        name = self._name(_cell_text(kind), column)
        passage = _passage(item, text)
        if passage is not None and quote is not None and passage.strip() != str(quote).strip():
            raise ValueError(f"the offsets of a quotation in column {column!r} are those of other words")
        quote = passage if quote is None else quote
        if not isinstance(quote, str) or not quote.strip():
            raise ValueError(
                f"a quotation in column {column!r} has neither a text nor offsets within the post"
            )
        return TypedQuotation(name, quote.strip())

    def _fault(self, cell: str, column: str, wanted: str) -> ValueError:
        return ValueError(f"{_describe_cell(cell)} in column {column!r} is not {wanted}")


def _decode(cell: str, column: str) -> Any:
    """The members of a JSON list, or the pairs of a JSON object."""
    try:
        return json.loads(cell, object_pairs_hook=None if cell.startswith("[") else list)
    except (ValueError, RecursionError):
        raise ValueError(f"the cell in column {column!r} begins like JSON and is not JSON") from None


def _cell_text(value: Any) -> str:
    """A value of JSON as the text of a cell; "" for null."""
    if value is None:
        return ""
    return value.strip() if isinstance(value, str) else json.dumps(value)


def _first(item: Mapping[str, Any], keys: Collection[str]) -> Any:
    return next((item[key] for key in keys if item.get(key) is not None), None)


def _passage(item: Mapping[str, Any], text: str | None) -> str | None:
    """The characters between the offsets of a quotation; None if it has no offsets within the text."""
    start, end = item.get("start"), item.get("end")
    if not (isinstance(start, int) and isinstance(end, int) and text is not None):
        return None
    return text[start:end] if 0 <= start < end <= len(text) else None


def _describe_cell(cell: str) -> str:
    """Describe a cell that is not a label, for an error message; a long one may be a post and is not shown."""
    cell = cell.strip()
    if len(cell.split()) == 1 and len(cell) <= 20:
        return repr(cell)
    return f"a text of {len(cell)} characters" if cell else "an empty cell"
