"""Gate: the explanation is neither too short nor too long."""

from __future__ import annotations

from mentallama.check.response_rows import ResponseRow
from mentallama.records import Verdict
from mentallama.text.tokenize import UNSPACED_LETTER, word_tokens

CHARACTERS_PER_WORD = 1.6
"""Average number of characters in a Chinese or Japanese word; as many count as one word in scripts without spaces."""


def check_length(row: ResponseRow, bounds: tuple[int, int]) -> Verdict:
    """Pass an explanation whose number of words lies within `bounds` (inclusive). The score is the number of words."""
    count = count_words(row.reading.explanation)
    minimum, maximum = bounds
    if count == 0:
        return row.verdict("length", "no explanation", 0)
    if count < minimum:
        return row.verdict("length", f"{count} words, fewer than {minimum}", count)
    return row.verdict("length", f"{count} words, more than {maximum}" if count > maximum else None, count)


def count_words(text: str) -> int:
    """Count words; for scripts without spaces, estimate the number that a reader would count.

    >>> count_words("The writer can't sleep."), count_words("她今天非常累，也睡不着")
    (4, 6)
    """
    tokens = word_tokens(text.replace("'", "").replace("’", ""))
    unspaced = sum(1 for token in tokens if UNSPACED_LETTER.match(token))
    return len(tokens) - unspaced + round(unspaced / CHARACTERS_PER_WORD)
