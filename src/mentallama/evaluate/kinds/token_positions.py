"""Quotations as positions of tokens of their post, so that scored rows hold no text of posts.

The text of such an answer is `sleep: 3-5; low mood: 8-12`: by type, the first token and the one after the last, counted
from 0. A predicted quotation that does not stand in the post is `sleep: ?4`, with its number of tokens.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mentallama.metrics.kinds.typed_spans import TokenRange
from mentallama.metrics.span_overlap import touched_tokens
from mentallama.tasks import Task
from mentallama.tasks.answer_kinds import NONE
from mentallama.tasks.answer_values import TypedQuotation, value_quotations
from mentallama.text.quote_matching import find_quote
from mentallama.text.tokenize import word_spans

_SEPARATOR = "; "
_POSITION = re.compile(r"(?P<type>[^:;]+): (?:(?P<start>\d+)-(?P<end>\d+)|\?(?P<missing>\d+))")


@dataclass(frozen=True)
class QuotedTokens:
    """The quotations of one type: ranges of tokens, and the lengths, in tokens, of those that are not in the post."""

    ranges: tuple[TokenRange, ...] = ()
    missing: tuple[int, ...] = ()


def gold_positions(task: Task, text: str, value: str) -> str:
    """The positions of the quotations of a gold answer, which is a canonical text of the task.

    Raises
    ------
    ValueError
        A quotation has no word that stands in the post. The message does not repeat it.
    """
    tokens = word_spans(text)
    found: dict[str, QuotedTokens] = {}
    for quotation in value_quotations(task, value):
        places = list(_places(text, tokens, quotation.text))
        if not places:
            raise ValueError(
                f"a quotation of the gold answer, for {quotation.type}, does not stand in the post"
            )
        _add(found, quotation.type, places[0])
    return _as_text(task, found)


def predicted_positions(task: Task, text: str, value: str, gold: str) -> str:
    """The positions of the quotations of a prediction; `gold` are those of the gold answer.

    A passage that stands in the post several times is the one that has most tokens in common with the gold answer.
    """
    tokens = word_spans(text)
    right = parse_positions(task, gold)
    found: dict[str, QuotedTokens] = {}
    for quotation in value_quotations(task, value):
        places = list(_places(text, tokens, quotation.text))
        best = max(places, key=lambda place: _common(place, right[quotation.type].ranges), default=None)
        _add(found, quotation.type, _n_words(quotation) if best is None else best)
    return _as_text(task, found)


def parse_positions(task: Task, value: str) -> dict[str, QuotedTokens]:
    """The quotations of each type of the task.

    Raises
    ------
    ValueError
        The text is none that this module writes for the task.
    """
    found = {name: QuotedTokens() for name in task.labels}
    for member in [] if value == NONE else value.split(_SEPARATOR):
        match = _POSITION.fullmatch(member)
        if match is None or match["type"] not in found:
            raise ValueError(f"no positions of quotations of {task.set}")
        place = int(match["missing"]) if match["missing"] else (int(match["start"]), int(match["end"]))
        _add(found, match["type"], place)
    return found


def _places(text: str, tokens: Sequence[TokenRange], quotation: str) -> Iterator[TokenRange]:
    """Ranges of tokens that a quotation may stand for, in order; one at most if it is not there letter by letter."""
    starts = [match.start() for match in re.finditer(re.escape(quotation), text)] if quotation else []
    passages = [(start, start + len(quotation)) for start in starts]
    if not passages and (span := find_quote(text, quotation, fuzzy=False)):
        passages = [(span.start, span.end)]
    for passage in passages:
        touched = touched_tokens(tokens, [passage])
        if touched:
            yield min(touched), max(touched) + 1


def _common(place: TokenRange, ranges: Sequence[TokenRange]) -> int:
    """Number of tokens of a range that lie in any of the ranges."""
    return len(set(range(*place)) & {token for each in ranges for token in range(*each)})


def _n_words(quotation: TypedQuotation) -> int:
    return len(word_spans(quotation.text))


def _add(found: dict[str, QuotedTokens], name: str, place: TokenRange | int) -> None:
    one = found.get(name, QuotedTokens())
    if isinstance(place, int):
        found[name] = QuotedTokens(one.ranges, (*one.missing, place))
    elif place not in one.ranges:
        found[name] = QuotedTokens((*one.ranges, place), one.missing)


def _as_text(task: Task, found: dict[str, QuotedTokens]) -> str:
    members = [
        f"{name}: {member}"
        for name in task.labels
        if name in found
        for member in (
            *(f"{start}-{end}" for start, end in sorted(found[name].ranges)),
            *(f"?{length}" for length in sorted(found[name].missing)),
        )
    ]
    return _SEPARATOR.join(members) or NONE
