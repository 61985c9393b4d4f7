"""Find quotations by their marks, of any style and language.

Marks are paired within a paragraph, each style separately, and the outermost pair counts: a quotation within a
quotation is part of it. Apostrophes are distinguished from straight quotation marks by the characters beside them.
If the end of a quotation is ambiguous, the shorter reading is taken, as it is in the post whenever the longer one is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from mentallama.text.tokenize import UNBORDERED_LETTER

_PARAGRAPH = re.compile(r"\n(?:[^\S\n]*\n)+")
_BEFORE_OPENING = "([{<（【-–—/"
_AFTER_CLOSING = ")]}）】,;"
_BARRIER = "\ufdd1"
"""Replaces text that is quoted already, and ends any quotation; a noncharacter, so never part of a text."""
_ELISIONS = re.compile(r"(?:n|em|cause|cuz|coz|til|till|tis|twas|bout|round|kay|\d+s?)(?!\w)", re.IGNORECASE)


@dataclass(frozen=True)
class _QuoteStyle:
    """Marks that pair with each other: `left` usually open, `right` usually close, `either` do both."""

    left: str = ""
    right: str = ""
    either: str = ""
    may_be_apostrophe: bool = False
    """Whether the marks may also be apostrophes: inside or at the end of a word they neither open nor close."""

    def pattern(self) -> re.Pattern[str]:
        """Pattern of a mark with its repetitions (as doubled in CSV) and the backslashes before it."""
        return re.compile(rf"(?<!\\)\\*([{re.escape(self.left + self.right + self.either)}{_BARRIER}])\1*")


_DOUBLE_STYLES = (
    _QuoteStyle(left="“„‟", right="”"),
    _QuoteStyle(either='"'),
    _QuoteStyle(either="＂"),
    _QuoteStyle(left="«", right="»"),
    _QuoteStyle(left="‹", right="›"),
    _QuoteStyle(left="「", right="」"),
    _QuoteStyle(left="『", right="』"),
)
_SINGLE_STYLES = (
    _QuoteStyle(left="‘‚‛", right="’", may_be_apostrophe=True),
    _QuoteStyle(either="'", may_be_apostrophe=True),
)
_ANY_MARK = re.compile(
    f"[{''.join(s.left + s.right + s.either for s in (*_DOUBLE_STYLES, *_SINGLE_STYLES))}]"
)
_MARK_PATTERNS = {style: style.pattern() for style in (*_DOUBLE_STYLES, *_SINGLE_STYLES)}


class QuotedSpan(NamedTuple):
    """Start and end of a quotation with its marks, then without them."""

    start: int
    end: int
    inner_start: int
    inner_end: int


def quoted_spans(text: str) -> Iterator[QuotedSpan]:
    """Outermost quotations of a text, in order."""
    position = 0
    for end in (*(match.span() for match in _PARAGRAPH.finditer(text)), (len(text), len(text))):
        for span in _paragraph_spans(text[position : end[0]]):
            yield QuotedSpan(*(offset + position for offset in span))
        position = end[1]


def without_outer_marks(item: str, trailing: str) -> str:
    """Remove quotation marks that enclose the whole item, apart from `trailing` characters."""
    for style in (*_DOUBLE_STYLES, *_SINGLE_STYLES):
        for start, end, inner_start, inner_end in _pairs(item, style):
            if start == 0 and not item[end:].strip(trailing):
                return item[inner_start:inner_end]
    return item


def _paragraph_spans(paragraph: str) -> list[QuotedSpan]:
    """Outermost quotations in double marks, and between them those in single marks."""
    if _ANY_MARK.search(paragraph) is None:
        return []
    double = _outermost([pair for style in _DOUBLE_STYLES for pair in _pairs(paragraph, style)])
    masked = _mask(paragraph, double)
    single = _outermost([pair for style in _SINGLE_STYLES for pair in _pairs(masked, style)])
    return sorted([*double, *single])


def _outermost(pairs: list[QuotedSpan]) -> list[QuotedSpan]:
    outermost: list[QuotedSpan] = []
    for pair in sorted(pairs, key=lambda pair: (pair[0], -pair[1])):
        if not outermost or pair[0] >= outermost[-1][1]:
            outermost.append(pair)
    return outermost


def _mask(paragraph: str, spans: list[QuotedSpan]) -> str:
    """Replace each character of the given spans by a barrier."""
    pieces, position = [], 0
    for start, end, *_ in spans:
        pieces += [paragraph[position:start], _BARRIER * (end - start)]
        position = end
    return "".join([*pieces, paragraph[position:]])


def _pairs(paragraph: str, style: _QuoteStyle) -> Iterator[QuotedSpan]:
    """Pair marks of one style from left to right; a second opening mark replaces the first."""
    if not any(mark in paragraph for mark in style.left + style.right + style.either):
        return
    opened: re.Match[str] | None = None
    for mark in _MARK_PATTERNS[style].finditer(paragraph):
        if mark[1] == _BARRIER:
            opened = None
        elif opened is not None and _closes(paragraph, mark, opened[1], style):
            yield QuotedSpan(opened.start(), mark.end(), opened.end(), mark.start())
            opened = None
        elif _opens(paragraph, mark, style):
            opened = mark


def _opens(text: str, mark: re.Match[str], style: _QuoteStyle) -> bool:
    if mark[1] in style.left and not style.may_be_apostrophe:
        return True
    before, after = _neighbours(text, mark)
    if not after or after.isspace() or after in _AFTER_CLOSING or _is_spaced_letter(before):
        return False
    if style.may_be_apostrophe:
        return mark[1] not in style.right and not _ELISIONS.match(text, mark.end())
    return True


def _closes(text: str, mark: re.Match[str], opener: str, style: _QuoteStyle) -> bool:
    before, after = _neighbours(text, mark)
    if style.may_be_apostrophe:
        only_opens = (
            mark[1] in style.left and opener != "‚"
        )  # German ‚so‘ closes with the English opening mark
        return not only_opens and not before.isspace() and not _is_spaced_letter(after)
    if mark[1] in style.either:
        return bool(before) and not before.isspace() and not (before in _BEFORE_OPENING and after.isalnum())
    if mark[1] in style.right and opener in style.left:
        return True
    if mark[1] in style.left and mark[1] != opener and (opener == "„" or opener in style.right):
        return True
    # The same mark at both ends: ”so”, »so», and the typing error “so“.
    return not before.isspace() and not after.isalnum()


def _neighbours(text: str, mark: re.Match[str]) -> tuple[str, str]:
    """The characters before and after a mark; empty at either end of the text."""
    return text[max(0, mark.start() - 1) : mark.start()], text[mark.end() : mark.end() + 1]


def _is_spaced_letter(character: str) -> bool:
    """Whether a mark next to this character is an apostrophe rather than a quotation mark.

    True for letters and digits except in Chinese, Japanese, Thai and Korean, where words directly follow quotation
    marks.
    """
    return character.isalnum() and UNBORDERED_LETTER.match(character) is None
