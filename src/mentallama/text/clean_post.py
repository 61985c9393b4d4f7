"""Clean a post before a model reads it, and find places of the cleaned text again in the text that came in."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate

from mentallama.text.pii import scrub
from mentallama.text.repair import NUL_STAND_IN, is_blank, repair

MAX_POST_CHARS = 100_000
"""Reddit's own limit is 40,000; a longer text means a damaged file, not a post."""

EMPTY_TEXT = "the text is empty"

_TOKEN = re.compile(r"[A-Za-z0-9]+|.", re.DOTALL)
"""Words of ASCII letters, and single characters: every script can be aligned, and every character is in a token."""


@dataclass(frozen=True)
class CleanPost:
    """A post as it came in (`original`) and as models read it (`text`): repaired, with personal data masked.

    `problem` says why the text cannot be a post; None if it can.
    """

    original: str
    text: str
    problem: str | None = None

    def locate(self, start: int, end: int) -> tuple[int, int]:
        """The characters of `original` that characters `start` to `end` of `text` were made from.

        The ends of a changed word cannot be told apart, so a place in one is the whole word.

        >>> post = clean_post("ask @maple_7, I am so tired")
        >>> post.text
        'ask [handle], I am so tired'
        >>> post.original[slice(*post.locate(14, 27))]
        'I am so tired'
        """
        if self.text == self.original:
            return start, end
        touched = [piece for piece in self._pieces if piece.start < end and start < piece.end]
        return touched[0].to_original(start, is_end=False), touched[-1].to_original(end, is_end=True)

    @cached_property
    def _pieces(self) -> list[_Piece]:
        return _align(self.text, self.original)


@dataclass(frozen=True)
class _Piece:
    """Characters `start` to `end` of the cleaned text, which were `original_start` to `original_end`."""

    start: int
    end: int
    original_start: int
    original_end: int
    is_equal: bool

    def to_original(self, offset: int, is_end: bool) -> int:
        if not self.is_equal:
            return self.original_end if is_end else self.original_start
        return self.original_start + min(max(offset - self.start, 0), self.end - self.start)


def clean_post(text: str) -> CleanPost:
    """Repair a text and mask personal data in it, as `collect` does. Never fails: see `CleanPost.problem`."""
    if (problem := post_problem(text)) is not None:
        return CleanPost(text, "", problem)
    repaired = repair(text)
    if is_blank(repaired):
        return CleanPost(text, "", EMPTY_TEXT)
    return CleanPost(text, scrub(repaired)[0])


def post_problem(text: str) -> str | None:
    """The reason why a text as written cannot be a post; None if it can."""
    if NUL_STAND_IN in text or "\0" in text:
        return "the text contains NUL bytes; the file is damaged or binary"
    if len(text) > MAX_POST_CHARS:
        return f"the text has {len(text):,} characters; posts have at most {MAX_POST_CHARS:,}"
    return None if text.strip() else EMPTY_TEXT


def _align(text: str, original: str) -> list[_Piece]:
    """Pieces of both texts that correspond, in order, from an alignment of their tokens with the fewest edits."""
    from rapidfuzz.distance import Levenshtein

    tokens, original_tokens = _TOKEN.findall(text), _TOKEN.findall(original)
    ends, original_ends = _ends(tokens), _ends(original_tokens)
    pieces: list[_Piece] = []
    for code in Levenshtein.opcodes(tokens, original_tokens):
        places = ends[code.src_end], original_ends[code.dest_end]
        is_equal = code.tag == "equal"
        if pieces and not is_equal and not pieces[-1].is_equal:  # one change: a mask or a repair
            pieces[-1] = replace(pieces[-1], end=places[0], original_end=places[1])
        else:
            starts = ends[code.src_start], original_ends[code.dest_start]
            pieces.append(_Piece(starts[0], places[0], starts[1], places[1], is_equal))
    return pieces


def _ends(tokens: Sequence[str]) -> list[int]:
    """Where each number of tokens ends in the text: 0 for none of them."""
    return [0, *accumulate(map(len, tokens))]
