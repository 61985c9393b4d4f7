"""Find a quotation in a post, by kinds of match from the most reliable to the least.

Exact; normalised (ignoring case, spacing and punctuation); gapped (in order, with parts left out); spliced (assembled
from several passages); fuzzy (with small changes). Each `match_*` function takes the post's text and the quotation and
returns the matching spans, () if there are none. `find_quote` is a simpler search for evidence marked by annotators.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise, takewhile

from mentallama.records import Span
from mentallama.text.tokenize import UNBORDERED_LETTER, UNSPACED, UNSPACED_LETTER

Spans = tuple[Span, ...]

FUZZY_QUOTE_RATIO = 85.0
"""Minimum rapidfuzz partial ratio (0-100) for a fuzzy match; set on hand-checked Irf and loneliness training rows,
where lower values began to match paraphrases."""

MIN_SPLICE_WORDS, MIN_SPLICE_CHARACTERS = 3, 5
"""Minimum words (characters in scripts without spaces) per part of a spliced quotation: almost any sentence can be
assembled from shorter parts."""
MAX_SPLICE_PARTS = 4
"""Maximum number of parts of a splice."""
MAX_SKIPPED_WORDS = 3
"""Maximum number of words skipped between two spans that count as contiguous."""
MIN_STEM_LETTERS = 4
"""Minimum common prefix of two forms of one word ("worried", "worrying"), in letters."""

_WORD_PART = re.compile(rf"[{UNSPACED}]|[^\W{UNSPACED}]+")
_WORD = re.compile(rf"[{UNSPACED}]|[^\W{UNSPACED}]+(?:['’][^\W{UNSPACED}]+)*")
"""A word with its apostrophes, or one letter of a script without spaces; `_WORD_PART` is without apostrophes."""
_SEPARATOR = re.compile(r"[\W_]+")
_PLAIN = re.compile("[\x00-\x7f\xa0‘’“”–—…]*")
"""Text in which letters and digits are ASCII, and which has no other character that casefolds or decomposes to them."""
_PLAIN_LETTER = re.compile("[A-Za-z0-9]")
_ELLIPSIS = re.compile(r"\s*(?:\.{2,}|…+|\[[^\]\n]{0,40}\]|\(\.\.\.\))\s*")
_NEGATION = re.compile(
    r"\b(?:not?|never|cannot|nobody|nothing|nowhere|none|without|nunca|jamás|nadie|nada|sin|ne|pas|jamais|rien|sans|"
    r"nicht|nie|kein\w*|ohne|não|ninguém|sem|değil\w*|yok|asla)\b|n['’]t\b|"
    r"\b(?:do|does|did|ca|wo|is|was|are|were|could|would|should|have|has|had)nt\b|[不没沒]|(?<!\w)[안못] ?|없",
    re.IGNORECASE,
)
_PERSON_WORD = re.compile(
    r"i|me|my|mine|myself|you|yours?|yourself|he|him|his|himself|she|hers?|herself|they|them|theirs?|themsel(?:ves|f)|"
    r"its?|we|us|ours?|am|are|is|was|were|be|been|have|has|had|do|does|did|"
    r"i'(?:m|ve|d|ll)|you'(?:re|ve)|s?he's|they'(?:re|ve|d)|it's"
)
"""Words that change when a quotation is put into another person or tense."""


def find_quote(text: str, quote: str, fuzzy: bool = True) -> Span | None:
    """Find a quotation: exactly, else ignoring case, white space and punctuation, else (`fuzzy`) approximately."""
    start = text.find(quote)
    if start >= 0:
        return Span(start=start, end=start + len(quote))
    normalized_text, offsets = _normalized_with_offsets(text)
    normalized_quote, _ = _normalized_with_offsets(quote)
    if not normalized_quote:
        return None
    start = normalized_text.find(normalized_quote)
    if start >= 0:
        return Span(start=offsets[start], end=offsets[start + len(normalized_quote) - 1] + 1)
    if not fuzzy or len(normalized_quote) < 8:  # a few letters are similar to almost anything
        return None
    from rapidfuzz import fuzz  # not at import: harnesses that score exported tasks do without it

    match = fuzz.partial_ratio_alignment(normalized_quote, normalized_text, score_cutoff=FUZZY_QUOTE_RATIO)
    if match is None or match.dest_end == match.dest_start:
        return None
    return _expand_to_words(text, offsets[match.dest_start], offsets[match.dest_end - 1] + 1)


@lru_cache(maxsize=64)
def _normalized_with_offsets(text: str) -> tuple[str, tuple[int, ...]]:
    """Letters and digits without case and accents, and the offset in `text` of each."""
    if _PLAIN.fullmatch(text):  # the same result, without a look at single characters
        letters = [(match[0], match.start()) for match in _PLAIN_LETTER.finditer(text)]
        return "".join(letter for letter, _ in letters).lower(), tuple(offset for _, offset in letters)
    characters, offsets = [], []
    for offset, character in enumerate(text):
        for part in unicodedata.normalize("NFKD", character).casefold():
            if part.isalnum():
                characters.append(part)
                offsets.append(offset)
    return "".join(characters), tuple(offsets)


def _expand_to_words(text: str, start: int, end: int) -> Span:
    """Extend a span to word boundaries, as a fuzzy match may begin or end inside a word."""
    while start > 0 and re.match(r"\w\w", text[start - 1 : start + 1]):
        start -= 1
    while end < len(text) and re.match(r"\w\w", text[end - 1 : end + 1]):
        end += 1
    return Span(start=start, end=end)


def match_exact(text: str, quote: str) -> Spans:
    """Match exactly, at word boundaries where the script has spaces."""
    start = text.find(quote)
    while start >= 0:
        if _has_word_borders(text, start, start + len(quote), quote):
            return (Span(start=start, end=start + len(quote)),)
        start = text.find(quote, start + 1)
    return ()


def match_normalized(text: str, quote: str) -> Spans:
    """Match ignoring case, spacing and punctuation, and in quotations of four or more letters also accents and word
    boundaries."""
    words = _WORD_PART.findall(quote)
    span = _match_words(text, quote, words) if words else None
    if span is None and sum(map(len, words)) >= MIN_STEM_LETTERS:
        span = find_quote(text, quote, fuzzy=False)
    return (span,) if span else ()


def _match_words(text: str, quote: str, words: Sequence[str]) -> Span | None:
    """Match the words of a quotation whatever their case and what stands between them."""
    if quote.isascii() and "_" not in quote and _PLAIN.fullmatch(text):
        return _match_plain_words(text, quote, words)
    separator = r"[\W_]*" if UNBORDERED_LETTER.search(quote) else r"[\W_]+"
    match = re.search(_with_word_borders(separator.join(map(re.escape, words)), quote), text, re.IGNORECASE)
    return Span(start=match.start(), end=match.end()) if match else None


def _match_plain_words(text: str, quote: str, words: Sequence[str]) -> Span | None:
    """The match of `_match_words` in plain text, without a pattern: to compile one takes longer than all the rest."""
    normalized, offsets = _normalized_with_offsets(text)
    letters = "".join(words).lower()
    position = normalized.find(letters)
    while position >= 0:
        start, end = offsets[position], offsets[position + len(letters) - 1] + 1
        same_words = _SEPARATOR.split(text[start:end].lower()) == [word.lower() for word in words]
        if same_words and _has_word_borders(text, start, end, quote):
            return Span(start=start, end=end)
        position = normalized.find(letters, position + 1)
    return None


def match_gapped(text: str, quote: str) -> Spans:
    """Match the parts between ellipses or brackets, all of which must occur in the post in this order."""
    parts = [part for part in _ELLIPSIS.split(quote) if _WORD.search(part)]
    if len(parts) < 2 and not (parts and _ELLIPSIS.search(quote)):
        return ()
    spans: list[Span] = []
    for part in parts:
        start = spans[-1].end if spans else 0
        match = _match_part(text[start:], part)
        if match is None:
            return ()
        spans.append(Span(start=start + match.start, end=start + match.end))
    return tuple(spans)


def _match_part(text: str, part: str) -> Span | None:
    return next(iter(match_exact(text, part) or match_normalized(text, part)), None)


def match_spliced(text: str, quote: str) -> Spans:
    """Match the fewest parts of the post (see MIN_SPLICE_WORDS) that make up the quotation word by word."""
    words, offsets = _words_with_spans(text)
    quoted, _ = _words_with_spans(quote)
    min_length = MIN_SPLICE_CHARACTERS if UNSPACED_LETTER.search(quote) else MIN_SPLICE_WORDS
    if len(quoted) < 2 * min_length:
        return ()
    post = _space_joined_words(words)
    # splices[n]: the shortest list of parts, as word ranges of the post, that make up the first n quoted words
    splices: list[list[tuple[int, int]] | None] = [[], *[None] * len(quoted)]
    for start in range(len(quoted)):
        splice = splices[start]
        if splice is None or len(splice) == MAX_SPLICE_PARTS:
            continue
        for end in range(start + min_length, len(quoted) + 1):
            position = post.find(_space_joined_words(quoted[start:end]))
            if position < 0:
                break
            if (known := splices[end]) is None or len(known) > len(splice) + 1:
                first = post.count(" ", 0, position)
                splices[end] = [*splice, (first, first + end - start)]
    return tuple(Span(start=offsets[a][0], end=offsets[b - 1][1]) for a, b in splices[-1] or ())


def is_contiguous(text: str, spans: Spans) -> bool:
    """Whether spans follow each other with at most MAX_SKIPPED_WORDS words between them."""
    return all(
        left.end <= right.start and len(_WORD.findall(text[left.end : right.start])) <= MAX_SKIPPED_WORDS
        for left, right in pairwise(spans)
    )


def match_fuzzy(text: str, quote: str) -> Spans:
    """Match with small changes that preserve negation: "I want to live" does not match "I don't want to live"."""
    span = find_quote(text, quote) if len(_WORD.findall(quote)) > 1 else None
    if span and _count_negations(quote) == _count_negations(text[span.start : span.end]):
        return (span,)
    return _match_inflected(text, quote)


def _match_inflected(text: str, quote: str) -> Spans:
    """Match word by word up to inflection and person: "worrying about her mom" for "I worry about my mom"."""
    words, offsets = _words_with_spans(text)
    quoted, _ = _words_with_spans(quote)
    anchor = max((word for word in quoted if not _PERSON_WORD.fullmatch(word)), key=len, default="")
    if len(anchor) < MIN_STEM_LETTERS + 1 or UNBORDERED_LETTER.search(quote):
        return ()
    anchor_index = quoted.index(anchor)
    for index, word in enumerate(words):
        first = index - anchor_index
        if first < 0 or not _same_stem(word, anchor):
            continue
        candidate = words[first : first + len(quoted)]
        if len(candidate) == len(quoted) and all(map(_same_word, candidate, quoted)):
            return (Span(start=offsets[first][0], end=offsets[first + len(quoted) - 1][1]),)
    return ()


def _same_word(a: str, b: str) -> bool:
    """Whether two words are equal up to inflection or person."""
    both_person_words = _PERSON_WORD.fullmatch(a) and _PERSON_WORD.fullmatch(b)
    return a == b or bool(both_person_words) or _same_stem(a, b)


def _same_stem(a: str, b: str) -> bool:
    """Whether two words share a prefix and differ only in endings of at most three letters."""
    common = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(a, b, strict=False)))
    return common >= MIN_STEM_LETTERS and max(len(a), len(b)) - common <= 3


def _count_negations(text: str) -> int:
    return len(_NEGATION.findall(text))


def _with_word_borders(pattern: str, quote: str) -> str:
    """The pattern with word boundaries at its ends, except where the script has none."""
    head = r"(?<!\w)" if _is_bordered(quote[:1]) else ""
    tail = r"(?!\w)" if _is_bordered(quote[-1:]) else ""
    return f"{head}(?:{pattern}){tail}"


def _has_word_borders(text: str, start: int, end: int, quote: str) -> bool:
    """Whether a passage that matches the quotation has the borders of `_with_word_borders`."""
    before, after = text[start - 1 : start] if start else "", text[end : end + 1]
    return not (_is_bordered(quote[:1]) and _is_word_character(before)) and not (
        _is_bordered(quote[-1:]) and _is_word_character(after)
    )


def _is_bordered(character: str) -> bool:
    """Whether a word that begins or ends with this character has a border there."""
    return character.isalnum() and UNBORDERED_LETTER.match(character) is None


def _is_word_character(character: str) -> bool:
    r"""Whether `\w` matches it."""
    return character.isalnum() or character == "_"


def _space_joined_words(words: list[str]) -> str:
    return f" {' '.join(words)} "


@lru_cache(maxsize=64)
def _words_with_spans(text: str) -> tuple[list[str], list[tuple[int, int]]]:
    """Words of a text in lower case, and start and end of each; single letters in scripts without spaces."""
    matches = list(_WORD.finditer(text))
    words = [match[0].casefold().replace("’", "'") for match in matches]
    return words, [match.span() for match in matches]
