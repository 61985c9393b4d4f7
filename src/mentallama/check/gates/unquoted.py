"""An explanation without the quotations in it: what the explanation itself says."""

from __future__ import annotations

import re

from mentallama.check.response_row import ResponseRow

_OPENING_MARKS = r"[\"'“”„‟‘’‚«»‹›「『＂]"
_CLOSING_MARKS = r"[\"'“”‟‘’«»‹›」』＂]"
_PUNCTUATION = r"[\s,.;:!?…。，、；：！？\\–—-]*"
"""What `read_quotes` takes off a quotation's ends."""


def replace_quotes(row: ResponseRow, placeholder: str = "“”") -> str:
    """The explanation with `instead` for each of `row.quotes` that stands in quotation marks."""
    text = row.reading.explanation
    for quote in sorted(row.quotes, key=len, reverse=True):
        if quote in text:
            marked = f"{_OPENING_MARKS}+{_PUNCTUATION}{re.escape(quote)}{_PUNCTUATION}{_CLOSING_MARKS}+"
            text = re.sub(marked, lambda _: placeholder, text)
    return text
