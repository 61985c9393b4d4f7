"""Gate: the explanation contains no personal data."""

from __future__ import annotations

import re

from mentallama.check.response_rows import ResponseRow
from mentallama.records import Verdict
from mentallama.text.pii import PII_KINDS, PLACEHOLDER, scrub

_WORD = re.compile(r"\w+")
_IDENTIFYING_WORD = re.compile(r"(?=\w{4})(?:[^\W\d_a-z]|\w*[\d_])")
"""A word of four or more letters that may identify a person by itself: capitalised, or with a digit or underscore."""


def check_personal_data(row: ResponseRow) -> Verdict:
    """Pass an explanation without handles, links, e-mail addresses, phone numbers, names or the author's id.

    Quotations are searched too. Where the record keeps the post's original text, a word that was masked in the post
    and reappears in the explanation is found as well, even if no rule recognises it as a name.
    """
    explanation = row.reading.explanation
    counts = scrub(explanation)[1]
    parts = [f"{counts[kind]} {kind}" for kind in PII_KINDS if kind in counts]
    if row.post.author and row.post.author in explanation:
        parts.append("the author's id")
    if not parts and _masked_words(row) & set(_WORD.findall(explanation)):
        parts.append("what was masked in the post")
    return row.verdict("personal_data", f"contains {', '.join(parts)}" if parts else None, len(parts))


def _masked_words(row: ResponseRow) -> set[str]:
    """Identifying words that scrubbing removed from the post.

    Other masked words may be parts of a link, such as "help" in the address of a page about depression.
    """
    original = row.post.provenance.original_text
    if original is None or not PLACEHOLDER.search(row.post.text):
        return set()
    remaining = {word.casefold() for word in _WORD.findall(row.post.text)}
    removed = set(_WORD.findall(original)) - set(_WORD.findall(scrub(original)[0]))
    return {word for word in removed if _IDENTIFYING_WORD.search(word) and word.casefold() not in remaining}
