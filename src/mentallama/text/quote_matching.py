"""Find a quotation in a post: as written, else apart from case and spacing, else nearly."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from rapidfuzz import fuzz

from mentallama.records import Span

FUZZY_QUOTE_RATIO = 85.0
"""Least rapidfuzz partial ratio (0-100) at which evidence counts as standing in the post; set on
hand-checked Irf and loneliness training rows, where lower values began to place paraphrases."""

_PUNCTUATION_MAP = str.maketrans(
    {"’": "'", "‘": "'", "´": "'", "`": "'", "“": '"', "”": '"', "–": "-", "—": "-"}
)


def find_quote(text: str, quote: str, fuzzy: bool = True) -> Span | None:
    """Find one quote: as written, else apart from case, white space and quotation marks, else nearly."""
    start = text.find(quote)
    if start >= 0:
        return Span(start=start, end=start + len(quote))
    folded, places = _normalised_with_offsets(text)
    wanted = _normalised_with_offsets(quote)[0]
    if not wanted:
        return None
    start = folded.find(wanted)
    if start >= 0:
        return Span(start=places[start], end=places[start + len(wanted) - 1] + 1)
    if not fuzzy or len(wanted) < 8:  # a few letters are near almost anything
        return None
    match = fuzz.partial_ratio_alignment(wanted, folded, score_cutoff=FUZZY_QUOTE_RATIO)
    if match is None or match.dest_end == match.dest_start:
        return None
    return _expand_to_words(text, places[match.dest_start], places[match.dest_end - 1] + 1)


@lru_cache(maxsize=64)
def _normalised_with_offsets(text: str) -> tuple[str, tuple[int, ...]]:
    """Letters and digits without case and accents, and the offset in `text` that each came from."""
    characters, places = [], []
    for offset, character in enumerate(text.translate(_PUNCTUATION_MAP)):
        for part in unicodedata.normalize("NFKD", character).casefold():
            if part.isalnum():
                characters.append(part)
                places.append(offset)
    return "".join(characters), tuple(places)


def _expand_to_words(text: str, start: int, end: int) -> Span:
    """Widen to word borders: a near match may begin or end inside a word."""
    while start > 0 and re.match(r"\w\w", text[start - 1 : start + 1]):
        start -= 1
    while end < len(text) and re.match(r"\w\w", text[end - 1 : end + 1]):
        end += 1
    return Span(start=start, end=end)
