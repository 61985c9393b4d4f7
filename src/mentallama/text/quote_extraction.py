"""Extract the quotations of an answer: text in quotation marks, and the evidence list of a structured answer.

Marks are paired within a paragraph, each style separately, and the outermost pair counts: a quotation within a
quotation is part of it. Apostrophes are distinguished from straight quotation marks by the characters beside them.
If the end of a quotation is ambiguous, the shorter reading is taken, as it is in the post whenever the longer one is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mentallama.answers.parse import answer_body, first_json_object
from mentallama.text.scripts import UNBORDERED_LETTER

_PARAGRAPH = re.compile(r"\n[^\S\n]*\n")
_TRAILING = " \t\n\r\u00a0\u3000.,;:!?…。，、；：！？-–—\\"
_LEADING = " \t\n\r\u00a0\u3000.…\\"
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
    """The marks may be apostrophes: inside or at the end of a word they neither open nor close."""

    def pattern(self) -> re.Pattern[str]:
        """Matches a mark; repeated marks (as doubled in CSV) and backslashes before it belong to it."""
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
_MARK_PATTERNS = {kind: kind.pattern() for kind in (*_DOUBLE_STYLES, *_SINGLE_STYLES)}

_QuotedSpan = tuple[int, int, int, int]
"""Start and end of a quotation with its marks, then without them."""


def extract_quotes(text: str, explanation: str) -> tuple[str, ...]:
    """Extract the quotations of an answer, in order and without duplicates.

    Parameters
    ----------
    text
        The whole answer; if it is a JSON object, the items of its `evidence` are quotations too.
    explanation
        The explanation, as `read_answer` parsed it.

    Returns
    -------
    tuple of str
        Without marks around them or punctuation at their ends; only those with a letter or digit.

    Examples
    --------
    >>> extract_quotes("", "The writer says “I can't sleep,” and later «rien ne va».")
    ("I can't sleep", 'rien ne va')
    >>> extract_quotes('{"label": "yes", "evidence": ["so tired"]}', "It's “so tired” again.")
    ('so tired',)
    """
    found = [*_quoted_texts(explanation), *_evidence_items(text, explanation)]
    stripped = (quote.rstrip(_TRAILING).lstrip(_LEADING) for quote in found)
    return tuple(dict.fromkeys(quote for quote in stripped if any(map(str.isalnum, quote))))


def _evidence_items(text: str, explanation: str) -> list[str]:
    """Items of a structured answer's evidence, without marks around them."""
    listed = (first_json_object(answer_body(text)) or {}).get("evidence")
    if isinstance(listed, str):  # one quotation, unless it is all the explanation there is
        listed = [] if listed.strip() == explanation.strip() else [listed]
    items = [item for item in listed if isinstance(item, str)] if isinstance(listed, list) else []
    return [_without_outer_marks(item.strip()) for item in items]


def _without_outer_marks(item: str) -> str:
    """The item without marks that enclose all of it."""
    for kind in (*_DOUBLE_STYLES, *_SINGLE_STYLES):
        for begin, end, first, last in _pairs(item, kind):
            if begin == 0 and not item[end:].strip(_TRAILING):
                return item[first:last]
    return item


def _quoted_texts(explanation: str) -> Iterator[str]:
    for paragraph in _PARAGRAPH.split(explanation):
        for _, _, first, last in _quoted_spans(paragraph):
            yield paragraph[first:last]


def _quoted_spans(paragraph: str) -> list[_QuotedSpan]:
    """Quotations in double marks, outermost; between them those in single ones."""
    double = _outermost([pair for kind in _DOUBLE_STYLES for pair in _pairs(paragraph, kind)])
    inside = _masked(paragraph, double)
    single = _outermost([pair for kind in _SINGLE_STYLES for pair in _pairs(inside, kind)])
    return sorted([*double, *single])


def _outermost(pairs: list[_QuotedSpan]) -> list[_QuotedSpan]:
    kept: list[_QuotedSpan] = []
    for pair in sorted(pairs, key=lambda pair: (pair[0], -pair[1])):
        if not kept or pair[0] >= kept[-1][1]:
            kept.append(pair)
    return kept


def _masked(paragraph: str, spans: list[_QuotedSpan]) -> str:
    """The paragraph with the given spans replaced by as many barriers."""
    pieces, end = [], 0
    for begin, after, *_ in spans:
        pieces += [paragraph[end:begin], _BARRIER * (after - begin)]
        end = after
    return "".join([*pieces, paragraph[end:]])


def _pairs(paragraph: str, kind: _QuoteStyle) -> Iterator[_QuotedSpan]:
    """Pair marks of one style from left to right; a second opening mark replaces the first."""
    opened: re.Match[str] | None = None
    for mark in _MARK_PATTERNS[kind].finditer(paragraph):
        if mark[1] == _BARRIER:
            opened = None
        elif opened is not None and _closes(paragraph, mark, opened[1], kind):
            yield opened.start(), mark.end(), opened.end(), mark.start()
            opened = None
        elif _opens(paragraph, mark, kind):
            opened = mark


def _opens(text: str, mark: re.Match[str], kind: _QuoteStyle) -> bool:
    if mark[1] in kind.left and not kind.may_be_apostrophe:
        return True
    before, after = _neighbours(text, mark)
    if not after or after.isspace() or after in _AFTER_CLOSING or _is_spaced_letter(before):
        return False
    if kind.may_be_apostrophe:
        return mark[1] not in kind.right and not _ELISIONS.match(text, mark.end())
    return True


def _closes(text: str, mark: re.Match[str], opener: str, kind: _QuoteStyle) -> bool:
    before, after = _neighbours(text, mark)
    if kind.may_be_apostrophe:
        turned = mark[1] in kind.left and opener != "‚"  # ‚so‘ closes with what opens elsewhere
        return not turned and not before.isspace() and not _is_spaced_letter(after)
    if mark[1] in kind.either:
        return bool(before) and not before.isspace() and not (before in _BEFORE_OPENING and after.isalnum())
    if mark[1] in kind.right and opener in kind.left:
        return True
    if mark[1] in kind.left and mark[1] != opener and (opener == "„" or opener in kind.right):
        return True
    # The same mark at both ends: ”so”, »so», and “so“ where it is mistyped.
    return not before.isspace() and not after.isalnum()


def _neighbours(text: str, mark: re.Match[str]) -> tuple[str, str]:
    """The characters before and after a mark; empty at either end of the text."""
    return text[max(0, mark.start() - 1) : mark.start()], text[mark.end() : mark.end() + 1]


def _is_spaced_letter(character: str) -> bool:
    """Whether this is a letter or digit beside which a mark is an apostrophe rather than a quotation mark.

    In Chinese, Japanese, Thai and Korean, words are written right beside quotation marks.
    """
    return character.isalnum() and UNBORDERED_LETTER.match(character) is None


_OPENING_MARKS = r"[\"'“”„‟‘’‚«»‹›「『＂]"
_CLOSING_MARKS = r"[\"'“”‟‘’«»‹›」』＂]"
_STRIPPED_PUNCTUATION = r"[\s,.;:!?…。，、；：！？\\–—-]*"
"""Punctuation that `extract_quotes` removes at the ends of a quotation."""


def replace_quotes(explanation: str, quotes: Iterable[str], placeholder: str = "“”") -> str:
    """An explanation's own words: each of `quotes` that stands in quotation marks becomes `placeholder`.

    >>> replace_quotes('The writer says "so tired," twice.', ["so tired"])
    'The writer says “” twice.'
    """
    for quote in sorted(quotes, key=len, reverse=True):
        if quote in explanation:
            quoted = f"{_STRIPPED_PUNCTUATION}{re.escape(quote)}{_STRIPPED_PUNCTUATION}"
            marked = f"{_OPENING_MARKS}+{quoted}{_CLOSING_MARKS}+"
            explanation = re.sub(marked, lambda _: placeholder, explanation)
    return explanation
