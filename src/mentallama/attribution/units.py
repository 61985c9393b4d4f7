"""Words, clauses and sentences of a post as ranges of characters, and texts from which some are left out."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import pairwise

from mentallama.analysts.linear.features import split_words
from mentallama.attribution.base import CharRange

_SENTENCE_END = re.compile(r"[.!?…]+[\"'”’)\]]*(?=\s)|[。！？｡।۔؟]+[”’」』）)]*|\n+")
"""Ends of a sentence: marks before a space, marks of scripts that write none, and line breaks."""

_CLAUSE_END = re.compile(rf"{_SENTENCE_END.pattern}|[,;:](?=\s)|\s[-–—]+(?=\s)|—|[，、；：،؛]")
"""Ends of a clause: the end of its sentence, commas, semicolons, colons and dashes."""


def word_units(text: str) -> list[CharRange]:
    """Words, as the linear analyst splits them: any script, contractions whole, emoji and placeholders too.

    >>> word_units("I can't sleep.")
    [(0, 1), (2, 7), (8, 13)]
    """
    words = split_words(text)
    return list(zip(words.starts.tolist(), words.ends.tolist(), strict=True))


def clause_units(text: str) -> list[CharRange]:
    """Clauses with the marks that end them; pieces without a word belong to the clause before.

    >>> text = "The rent is due, and I can't sleep. So tired"
    >>> [text[start:end] for start, end in clause_units(text)]
    ['The rent is due,', "and I can't sleep.", 'So tired']
    """
    return _split(text, _CLAUSE_END)


def sentence_units(text: str) -> list[CharRange]:
    """Sentences with the marks that end them.

    >>> text = "The rent is due, and I can't sleep. So tired"
    >>> [text[start:end] for start, end in sentence_units(text)]
    ["The rent is due, and I can't sleep.", 'So tired']
    """
    return _split(text, _SENTENCE_END)


def _split(text: str, ending: re.Pattern[str]) -> list[CharRange]:
    """Pieces of the text that `ending` separates, without the space around them; each holds a word."""
    borders = [0, *(match.end() for match in ending.finditer(text)), len(text)]
    word_starts = [start for start, _ in word_units(text)]
    pieces: list[CharRange] = []
    for start, end in pairwise(borders):
        stripped = text[start:end].strip()
        if not stripped:
            continue
        first = text.index(stripped, start)
        has_word = bisect_left(word_starts, end) > bisect_left(word_starts, start)
        if has_word or not pieces:
            pieces.append((first, first + len(stripped)))
        else:
            pieces[-1] = (pieces[-1][0], first + len(stripped))
    return pieces


def without(text: str, left_out: Iterable[CharRange]) -> str:
    """The text without some disjoint ranges; the spaces around each become one.

    >>> without("So tired of this", [(3, 8)])
    'So of this'
    """
    kept, end = [], 0
    for start, stop in sorted(left_out):
        kept.append(text[end:start])
        end = stop
    return _join([*kept, text[end:]])


def only(text: str, kept: Sequence[CharRange]) -> str:
    """Some disjoint ranges of the text, in its order, with a space where something was left out.

    >>> only("So tired of this", [(0, 2), (9, 11)])
    'So of'
    """
    return _join([text[start:end] for start, end in sorted(kept)])


def _join(pieces: Iterable[str]) -> str:
    return " ".join(filter(None, (piece.strip() for piece in pieces)))
