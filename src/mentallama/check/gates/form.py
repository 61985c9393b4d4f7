"""Form: how long an explanation is, and whether it holds personal data."""

from __future__ import annotations

import re

from mentallama.check.response_row import ResponseRow
from mentallama.records import Verdict
from mentallama.text.pii import PII_KINDS, PLACEHOLDER, scrub
from mentallama.text.scripts import UNSPACED_LETTER
from mentallama.text.tokenize import word_tokens

CHARACTERS_PER_WORD = 1.6
"""Letters of a Chinese or Japanese word, on average: so many are counted as one word where words are not spaced."""

_WORD = re.compile(r"\w+")
_IDENTIFYING_WORD = re.compile(r"(?=\w{4})(?:[^\W\d_a-z]|\w*[\d_])")
"""A word of four letters or more that can give away somebody by itself."""


def check_length(row: ResponseRow, bounds: tuple[int, int]) -> Verdict:
    """Pass an explanation of so many words; the score is their number."""
    count = count_words(row.reading.explanation)
    least, most = bounds
    if count == 0:
        return row.verdict("length", "no explanation", 0)
    if count < least:
        return row.verdict("length", f"{count} words, fewer than {least}", count)
    return row.verdict("length", f"{count} words, more than {most}" if count > most else None, count)


def count_words(text: str) -> int:
    """Words of a text; where a script has no spaces between words, about as many as a reader would count.

    >>> count_words("The writer can't sleep."), count_words("她今天非常累，也睡不着")
    (4, 6)
    """
    found = word_tokens(text.replace("'", "").replace("’", ""))
    unspaced = sum(1 for token in found if UNSPACED_LETTER.match(token))
    return len(found) - unspaced + round(unspaced / CHARACTERS_PER_WORD)


def check_personal_data(row: ResponseRow) -> Verdict:
    """Pass an explanation without handles, links, mail, phone numbers and names, and without the author's id.

    Quotations count too. Where the post's first wording is kept, a word that was masked in the post and stands in
    the explanation again is found as well, be it a name that no rule would know by itself.
    """
    explanation = row.reading.explanation
    found = scrub(explanation)[1]
    parts = [f"{found[kind]} {kind}" for kind in PII_KINDS if kind in found]
    if row.post.author and row.post.author in explanation:
        parts.append("the author's id")
    if not parts and _masked_words(row) & set(_WORD.findall(explanation)):
        parts.append("what was masked in the post")
    return row.verdict("personal_data", f"holds {', '.join(parts)}" if parts else None, len(parts))


def _masked_words(row: ResponseRow) -> set[str]:
    """Names and the like that cleaning took out of the post: with a capital, a digit or an underscore in them.

    Other words may be parts of a link, as "help" in one to a page on depression.
    """
    original = row.post.provenance.original
    if original is None or not PLACEHOLDER.search(row.post.text):
        return set()
    kept = {word.casefold() for word in _WORD.findall(row.post.text)}
    taken = set(_WORD.findall(original)) - set(_WORD.findall(scrub(original)[0]))
    return {word for word in taken if _IDENTIFYING_WORD.search(word) and word.casefold() not in kept}
