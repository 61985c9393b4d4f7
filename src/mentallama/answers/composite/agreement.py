"""Whether two answers say the same."""

from __future__ import annotations

from collections.abc import Iterable

from mentallama.tasks import Task
from mentallama.tasks.answer_values import TypedQuotation, value_quotations
from mentallama.text.quote_matching import find_quote


def answers_agree(task: Task, text: str, first: str, second: str) -> bool:
    """Whether two answers about a post are one, by their canonical texts.

    Two sets of quotations agree if each passage overlaps with one of the same type in the other set: annotators rarely
    begin and end a passage at the same word.
    """
    if first == second or task.kind != "spans":
        return first == second
    sides = [_places(text, value_quotations(task, value)) for value in (first, second)]
    return all(
        any(
            kind == other and start < other_end and other_start < end
            for other, other_start, other_end in side
        )
        for places, side in (sides, reversed(sides))
        for kind, start, end in places
    )


def _places(text: str, quotations: Iterable[TypedQuotation]) -> list[tuple[str, int, int]]:
    """Type and offsets of each quotation; one that is not in the post has an empty place, which overlaps with none."""
    found = ((kind, find_quote(text, quotation)) for kind, quotation in quotations)
    return [(kind, span.start, span.end) if span else (kind, 0, 0) for kind, span in found]
