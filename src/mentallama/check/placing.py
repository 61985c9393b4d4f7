"""Where a quotation stands in a post, in the order of how sure the finding is.

As written; apart from case, spacing and marks; in order with something left out between; put together from several
places; with small changes. Each is a function of the post's text and the quotation that gives the spans, or none.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise, takewhile

from mentallama.records import Span
from mentallama.text.quote_matching import find_quote

Spans = tuple[Span, ...]

MIN_SPLICE_WORDS, MIN_SPLICE_CHARACTERS = 3, 5
"""Words, or letters where words are not spaced, of the shortest stretch that a quotation may be spliced from: of
shorter ones most sentences can be made up."""
MAX_SPLICE_PARTS = 4
"""Most stretches of a splice."""
MAX_SKIPPED_WORDS = 3
"""Words that may be missing between two stretches for them still to be one place of the post."""
MIN_STEM_LETTERS = 4
"""Letters at the beginning that two forms of one word share ("worried", "worrying")."""

_UNSPACED_RANGES = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff"
_WORD_PART = re.compile(rf"[{_UNSPACED_RANGES}]|[^\W{_UNSPACED_RANGES}]+")
_WORD = re.compile(rf"[{_UNSPACED_RANGES}]|[^\W{_UNSPACED_RANGES}]+(?:['’][^\W{_UNSPACED_RANGES}]+)*")
"""A word with its apostrophes, or a letter of a script that puts no spaces between words; its parts hold neither."""
_ELLIPSIS = re.compile(r"\s*(?:\.{2,}|…+|\[[^\]\n]{0,40}\]|\(\.\.\.\))\s*")
_NO_WORD_BORDERS = re.compile(f"[{_UNSPACED_RANGES}\uac00-\ud7af]")
"""Scripts in which a quotation may begin or end inside a run of letters: words are not spaced, or take endings."""
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
"""Words that change with the person and the time a quotation is put into."""


def match_exact(text: str, quote: str) -> Spans:
    """As written, as whole words where the script has spaces."""
    found = re.search(_with_word_borders(re.escape(quote), quote), text)
    return (Span(start=found.start(), end=found.end()),) if found else ()


def match_normalised(text: str, quote: str) -> Spans:
    """Apart from case, spacing and punctuation; from four letters on also from accents, ligatures and word borders."""
    words = _WORD_PART.findall(quote)
    joined = r"[\W_]*" if _NO_WORD_BORDERS.search(quote) else r"[\W_]+"
    found = re.search(_with_word_borders(joined.join(map(re.escape, words)), quote), text, re.IGNORECASE)
    if found and words:
        return (Span(start=found.start(), end=found.end()),)
    span = find_quote(text, quote, fuzzy=False) if sum(map(len, words)) >= MIN_STEM_LETTERS else None
    return (span,) if span else ()


def match_gapped(text: str, quote: str) -> Spans:
    """Stretches joined by an ellipsis or a bracket, all of them in the post and in its order."""
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
    """The fewest stretches of the post, PIECE words or more each, that make up the quotation word by word."""
    words, places = _words_with_spans(text)
    wanted = _words_with_spans(quote)[0]
    least = MIN_SPLICE_CHARACTERS if re.search(f"[{_UNSPACED_RANGES}]", quote) else MIN_SPLICE_WORDS
    if len(wanted) < 2 * least:
        return ()
    post = _space_joined_words(words)
    ways: list[list[tuple[int, int]] | None] = [[], *[None] * len(wanted)]
    for begin in range(len(wanted)):
        way = ways[begin]
        if way is None or len(way) == MAX_SPLICE_PARTS:
            continue
        for end in range(begin + least, len(wanted) + 1):
            at = post.find(_space_joined_words(wanted[begin:end]))
            if at < 0:
                break
            if (known := ways[end]) is None or len(known) > len(way) + 1:
                first = post.count(" ", 0, at)
                ways[end] = [*way, (first, first + end - begin)]
    return tuple(Span(start=places[a][0], end=places[b - 1][1]) for a, b in ways[-1] or ())


def is_contiguous(text: str, spans: Spans) -> bool:
    """Whether stretches follow each other with hardly a word between."""
    return all(
        left.end <= right.start and len(_WORD.findall(text[left.end : right.start])) <= MAX_SKIPPED_WORDS
        for left, right in pairwise(spans)
    )


def match_fuzzy(text: str, quote: str) -> Spans:
    """With small changes that leave negations as they are; "I want to live" is not near "I don't want to live"."""
    span = find_quote(text, quote) if len(_WORD.findall(quote)) > 1 else None
    if span and _count_negations(quote) == _count_negations(text[span.start : span.end]):
        return (span,)
    return _match_inflected(text, quote)


def _match_inflected(text: str, quote: str) -> Spans:
    """Word by word the same but for endings and persons: "worrying about her mom" for "I worry about my mom"."""
    words, places = _words_with_spans(text)
    wanted = _words_with_spans(quote)[0]
    anchor = max((word for word in wanted if not _PERSON_WORD.fullmatch(word)), key=len, default="")
    if len(anchor) < MIN_STEM_LETTERS + 1 or _NO_WORD_BORDERS.search(quote):
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
    """Whether two words begin alike and differ in an ending of at most three letters each."""
    common = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(ours, theirs, strict=False)))
    return common >= MIN_STEM_LETTERS and max(len(ours), len(theirs)) - common <= 3


def _count_negations(text: str) -> int:
    return len(_NEGATION.findall(text))


def _with_word_borders(pattern: str, quote: str) -> str:
    """The pattern, not inside a word; scripts without spaces have no such borders."""
    head = r"(?<!\w)" if quote[:1].isalnum() and not _NO_WORD_BORDERS.match(quote) else ""
    tail = r"(?!\w)" if quote[-1:].isalnum() and not _NO_WORD_BORDERS.match(quote[-1:]) else ""
    return f"{head}(?:{pattern}){tail}"


def _space_joined_words(words: list[str]) -> str:
    return f" {' '.join(words)} "


@lru_cache(maxsize=64)
def _words_with_spans(text: str) -> tuple[list[str], list[tuple[int, int]]]:
    """The post's words in lower case and where each begins and ends; a letter is a word where words are not spaced."""
    found = [(part[0].casefold().replace("’", "'"), part.span()) for part in _WORD.finditer(text)]
    return [word for word, _ in found], [place for _, place in found]
