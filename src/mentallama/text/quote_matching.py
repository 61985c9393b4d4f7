"""Find a quotation in a post, from the surest kind of match to the least sure.

Exact; normalised (apart from case, spacing and marks); gapped (in order, with something left out); spliced (put
together from several places); fuzzy (with small changes). Each `match_*` takes the post's text and the quotation and
returns the spans, or none. `find_quote` is the short form for evidence marked by annotators.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from itertools import pairwise, takewhile

from rapidfuzz import fuzz

from mentallama.records import Span
from mentallama.text.scripts import UNBORDERED_LETTER, UNSPACED, UNSPACED_LETTER

Spans = tuple[Span, ...]

FUZZY_QUOTE_RATIO = 85.0
"""Minimum rapidfuzz partial ratio (0-100) for a fuzzy match; set on hand-checked Irf and loneliness training rows,
where lower values began to match paraphrases."""

MIN_SPLICE_WORDS, MIN_SPLICE_CHARACTERS = 3, 5
"""Minimum words (characters in scripts without spaces) per part of a spliced quotation: most sentences can be put
together from shorter parts."""
MAX_SPLICE_PARTS = 4
"""Maximum number of parts of a splice."""
MAX_SKIPPED_WORDS = 3
"""Maximum number of words skipped between two spans that count as contiguous."""
MIN_STEM_LETTERS = 4
"""Minimum common prefix of two forms of one word ("worried", "worrying"), in letters."""

_WORD_PART = re.compile(rf"[{UNSPACED}]|[^\W{UNSPACED}]+")
_WORD = re.compile(rf"[{UNSPACED}]|[^\W{UNSPACED}]+(?:['’][^\W{UNSPACED}]+)*")
"""A word with its apostrophes, or one letter of a script without spaces; `_WORD_PART` is without apostrophes."""
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
    folded, places = _normalised_with_offsets(text)
    wanted = _normalised_with_offsets(quote)[0]
    if not wanted:
        return None
    start = folded.find(wanted)
    if start >= 0:
        return Span(start=places[start], end=places[start + len(wanted) - 1] + 1)
    if not fuzzy or len(wanted) < 8:  # a few letters are similar to almost anything
        return None
    match = fuzz.partial_ratio_alignment(wanted, folded, score_cutoff=FUZZY_QUOTE_RATIO)
    if match is None or match.dest_end == match.dest_start:
        return None
    return _expand_to_words(text, places[match.dest_start], places[match.dest_end - 1] + 1)


@lru_cache(maxsize=64)
def _normalised_with_offsets(text: str) -> tuple[str, tuple[int, ...]]:
    """Letters and digits without case and accents, and the offset in `text` of each."""
    characters, places = [], []
    for offset, character in enumerate(text):
        for part in unicodedata.normalize("NFKD", character).casefold():
            if part.isalnum():
                characters.append(part)
                places.append(offset)
    return "".join(characters), tuple(places)


def _expand_to_words(text: str, start: int, end: int) -> Span:
    """Extend a span to word boundaries, as a fuzzy match may begin or end inside a word."""
    while start > 0 and re.match(r"\w\w", text[start - 1 : start + 1]):
        start -= 1
    while end < len(text) and re.match(r"\w\w", text[end - 1 : end + 1]):
        end += 1
    return Span(start=start, end=end)


def match_exact(text: str, quote: str) -> Spans:
    """Match exactly, at word boundaries where the script has spaces."""
    found = re.search(_with_word_borders(re.escape(quote), quote), text)
    return (Span(start=found.start(), end=found.end()),) if found else ()


def match_normalised(text: str, quote: str) -> Spans:
    """Match ignoring case, spacing and punctuation; from four letters on also accents and word boundaries."""
    words = _WORD_PART.findall(quote)
    joined = r"[\W_]*" if UNBORDERED_LETTER.search(quote) else r"[\W_]+"
    found = re.search(_with_word_borders(joined.join(map(re.escape, words)), quote), text, re.IGNORECASE)
    if found and words:
        return (Span(start=found.start(), end=found.end()),)
    span = find_quote(text, quote, fuzzy=False) if sum(map(len, words)) >= MIN_STEM_LETTERS else None
    return (span,) if span else ()


def match_gapped(text: str, quote: str) -> Spans:
    """Match the parts between ellipses or brackets, all of which must occur in the post in this order."""
    parts = [part for part in _ELLIPSIS.split(quote) if _WORD.search(part)]
    if len(parts) < 2 and not (parts and _ELLIPSIS.search(quote)):
        return ()
    spans: list[Span] = []
    for part in parts:
        begin = spans[-1].end if spans else 0
        found = _match_part(text[begin:], part)
        if found is None:
            return ()
        spans.append(Span(start=begin + found.start, end=begin + found.end))
    return tuple(spans)


def _match_part(text: str, part: str) -> Span | None:
    return next(iter(match_exact(text, part) or match_normalised(text, part)), None)


def match_spliced(text: str, quote: str) -> Spans:
    """Match the fewest parts of the post (see MIN_SPLICE_WORDS) that make up the quotation word by word."""
    words, places = _words_with_spans(text)
    wanted = _words_with_spans(quote)[0]
    least = MIN_SPLICE_CHARACTERS if UNSPACED_LETTER.search(quote) else MIN_SPLICE_WORDS
    if len(wanted) < 2 * least:
        return ()
    post = _space_joined_words(words)
    splices: list[list[tuple[int, int]] | None] = [[], *[None] * len(wanted)]
    for begin in range(len(wanted)):
        splice = splices[begin]
        if splice is None or len(splice) == MAX_SPLICE_PARTS:
            continue
        for end in range(begin + least, len(wanted) + 1):
            at = post.find(_space_joined_words(wanted[begin:end]))
            if at < 0:
                break
            if (known := splices[end]) is None or len(known) > len(splice) + 1:
                first = post.count(" ", 0, at)
                splices[end] = [*splice, (first, first + end - begin)]
    return tuple(Span(start=places[a][0], end=places[b - 1][1]) for a, b in splices[-1] or ())


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
    words, places = _words_with_spans(text)
    wanted = _words_with_spans(quote)[0]
    anchor = max((word for word in wanted if not _PERSON_WORD.fullmatch(word)), key=len, default="")
    if len(anchor) < MIN_STEM_LETTERS + 1 or UNBORDERED_LETTER.search(quote):
        return ()
    at = wanted.index(anchor)
    for number, word in enumerate(words):
        first = number - at
        if first < 0 or not _same_stem(word, anchor):
            continue
        theirs = words[first : first + len(wanted)]
        if len(theirs) == len(wanted) and all(map(_same_word, theirs, wanted)):
            return (Span(start=places[first][0], end=places[first + len(wanted) - 1][1]),)
    return ()


def _same_word(ours: str, theirs: str) -> bool:
    changed = _PERSON_WORD.fullmatch(ours) and _PERSON_WORD.fullmatch(theirs)
    return ours == theirs or bool(changed) or _same_stem(ours, theirs)


def _same_stem(ours: str, theirs: str) -> bool:
    """Whether two words share a prefix and differ only in endings of at most three letters."""
    common = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(ours, theirs, strict=False)))
    return common >= MIN_STEM_LETTERS and max(len(ours), len(theirs)) - common <= 3


def _count_negations(text: str) -> int:
    return len(_NEGATION.findall(text))


def _with_word_borders(pattern: str, quote: str) -> str:
    """The pattern with word boundaries at its ends, except where the script has none."""
    head = r"(?<!\w)" if quote[:1].isalnum() and not UNBORDERED_LETTER.match(quote) else ""
    tail = r"(?!\w)" if quote[-1:].isalnum() and not UNBORDERED_LETTER.match(quote[-1:]) else ""
    return f"{head}(?:{pattern}){tail}"


def _space_joined_words(words: list[str]) -> str:
    return f" {' '.join(words)} "


@lru_cache(maxsize=64)
def _words_with_spans(text: str) -> tuple[list[str], list[tuple[int, int]]]:
    """Words of a text in lower case, and start and end of each; single letters in scripts without spaces."""
    found = [(part[0].casefold().replace("’", "'"), part.span()) for part in _WORD.finditer(text)]
    return [word for word, _ in found], [place for _, place in found]
