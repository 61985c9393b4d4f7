"""Place the annotators' evidence, given as text, as character offsets into the cleaned post."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from rapidfuzz import fuzz

from mentallama.records import Span

NEAR = 85.0
"""Least rapidfuzz partial ratio (0-100) at which evidence counts as standing in the post; set on
hand-checked Irf and loneliness training rows, where lower values began to place paraphrases."""

_FOLD = str.maketrans({"’": "'", "‘": "'", "´": "'", "`": "'", "“": '"', "”": '"', "–": "-", "—": "-"})


def place_evidence(text: str, cell: str, separator: str | None) -> tuple[tuple[Span, ...], int]:
    """Find the spans a cell quotes.

    The whole cell is tried first, then its parts: a comma may separate spans or stand within one.

    Parameters
    ----------
    text
        The cleaned post.
    cell
        The annotators' text, repaired and scrubbed as the post was.
    separator
        What separates several spans in the cell; None where there is only one.

    Returns
    -------
    tuple
        Spans in order of their start, without repeats, and how many quotes could not be placed.
    """
    quotes = [cell.strip(" \n\"'")]
    if not quotes[0]:
        return (), 0
    whole = place(text, quotes[0], near=separator is None or separator not in cell)
    if whole is None and separator:
        quotes = [part for part in (piece.strip(" \n\"'") for piece in cell.split(separator)) if part]
    found = [whole] if whole else [place(text, quote) for quote in quotes]
    spans = {span for span in found if span}
    return tuple(sorted(spans, key=lambda span: (span.start, span.end))), sum(span is None for span in found)


def place(text: str, quote: str, near: bool = True) -> Span | None:
    """Find one quote: as written, else apart from case, white space and quotation marks, else nearly."""
    start = text.find(quote)
    if start >= 0:
        return Span(start=start, end=start + len(quote))
    folded, places = _folded(text)
    wanted = _folded(quote)[0]
    if not wanted:
        return None
    start = folded.find(wanted)
    if start >= 0:
        return Span(start=places[start], end=places[start + len(wanted) - 1] + 1)
    if not near or len(wanted) < 8:  # a few letters are near almost anything
        return None
    match = fuzz.partial_ratio_alignment(wanted, folded, score_cutoff=NEAR)
    if match is None or match.dest_end == match.dest_start:
        return None
    return _whole_words(text, places[match.dest_start], places[match.dest_end - 1] + 1)


@lru_cache(maxsize=64)
def _folded(text: str) -> tuple[str, tuple[int, ...]]:
    """Letters and digits without case and accents, and the offset in `text` that each came from."""
    characters, places = [], []
    for offset, character in enumerate(text.translate(_FOLD)):
        for part in unicodedata.normalize("NFKD", character).casefold():
            if part.isalnum():
                characters.append(part)
                places.append(offset)
    return "".join(characters), tuple(places)


def _whole_words(text: str, start: int, end: int) -> Span:
    """Widen to word borders: a near match may begin or end inside a word."""
    while start > 0 and re.match(r"\w\w", text[start - 1 : start + 1]):
        start -= 1
    while end < len(text) and re.match(r"\w\w", text[end - 1 : end + 1]):
        end += 1
    return Span(start=start, end=end)
