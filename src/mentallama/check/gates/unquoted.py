"""An explanation without the quotations in it: what the explanation itself says."""

from __future__ import annotations

import re

from mentallama.check.response_row import Row

_OPEN = r"[\"'“”„‟‘’‚«»‹›「『＂]"
_CLOSE = r"[\"'“”‟‘’«»‹›」』＂]"
_PUNCTUATION = r"[\s,.;:!?…。，、；：！？\\–—-]*"
"""What `read_quotes` takes off a quotation's ends."""


def unquoted(row: Row, instead: str = "“”") -> str:
    """The explanation with `instead` for each of `row.quotes` that stands in quotation marks."""
    text = row.reading.explanation
    for quote in sorted(row.quotes, key=len, reverse=True):
        if quote in text:
            marked = f"{_OPEN}+{_PUNCTUATION}{re.escape(quote)}{_PUNCTUATION}{_CLOSE}+"
            text = re.sub(marked, lambda _: instead, text)
    return text
