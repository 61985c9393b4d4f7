"""Word tokens of any script, and the table of scripts without spaces between words that they rest on.

The table is the only one of its kind: tokens, the length of an explanation, features of the linear model, and where a
quotation may begin and end are all derived from it. Its ranges are those of Unicode 15, letters and vowel signs only:
digits and punctuation of these scripts behave as in others. The strings are contents of a regular expression's [...].

Scripts with spaces, Korean among them, give words; others give single characters with their combining marks. So a
Chinese or Urdu explanation has a ROUGE score like an English one; tokenizers made for English leave it no tokens.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

KANA = (
    "\u3005-\u3007\u3041-\u3096\u3099-\u309a\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9f"
)
HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
UNSPACED = (
    f"{KANA}{HAN}"
    "\u0e01-\u0e3a\u0e40-\u0e4e\u0e81-\u0ebd\u0ec0-\u0ece\u0edc-\u0edf"  # Thai, Lao
    "\u1780-\u17b3\u17b6-\u17d3\u17d7\u17dc"  # Khmer
    "\u1000-\u103f\u104c-\u108f\u109a-\u109f\uaa60-\uaa7f"  # Burmese
)
"""A word is one or more of these characters; nothing marks where it ends."""

HANGUL = "\u1100-\u11ff\u3130-\u318f\uac00-\ud7af"
FULL_WIDTH = "\uff10-\uff19\uff21-\uff3a\uff41-\uff5a"
"""Latin letters and digits as set in Chinese and Japanese text."""

DENSE = KANA + HAN + HANGUL
"""Syllables and words in one character: a text of these is about half as long, in characters, as in English letters."""

UNBORDERED = UNSPACED + HANGUL + FULL_WIDTH
"""Characters beside which a word or quotation may begin or end without a space.

Korean has spaces, but particles follow a quotation without one.
"""

DENSE_LETTER = re.compile(f"[{DENSE}]")
UNSPACED_LETTER = re.compile(f"[{UNSPACED}]")
UNBORDERED_LETTER = re.compile(f"[{UNBORDERED}]")
_ASCII_TOKEN = re.compile(r"[a-z0-9]+")
_TYPOGRAPHY = re.compile("[‘’“”–—…\u00a0]")
"""Marks that separate words; without them most English texts are ASCII."""


@cache
def combining_marks() -> str:
    r"""All combining marks (categories Mn, Mc, Me) as a class `[...]`.

    Most scripts of India and South-East Asia, Arabic and Hebrew write vowels with them, and `\w` lacks them.
    """
    marks = "".join(char for char in map(chr, range(0x300, 0x20000)) if unicodedata.category(char)[0] == "M")
    return f"[{re.escape(marks)}]"


@cache
def _token_pattern() -> re.Pattern[str]:
    # Zero-width joiners occur inside words of Persian, Urdu and the Indian scripts.
    combining = f"(?:{combining_marks()}|[\u200c\u200d])"
    return re.compile(rf"[{UNSPACED}]{combining}*|(?:(?![{UNSPACED}])[^\W_]{combining}*)+")


def word_spans(text: str) -> list[tuple[int, int]]:
    """Start and end of each word in the text as it is; single characters of scripts without spaces.

    >>> word_spans("So tired, 我")
    [(0, 2), (3, 8), (10, 11)]
    """
    return [match.span() for match in _token_pattern().finditer(text)]


def word_tokens(text: str) -> list[str]:
    """Words in lower case; single characters of scripts without spaces. Punctuation is dropped.

    >>> word_tokens("She can't sleep, 3 nights!")
    ['she', 'can', 't', 'sleep', '3', 'nights']
    >>> word_tokens("我睡不着 today")
    ['我', '睡', '不', '着', 'today']
    """
    if not text.isascii():
        text = _TYPOGRAPHY.sub(" ", text)
    if text.isascii():
        return _ASCII_TOKEN.findall(text.lower())  # the same result, ten times as fast
    return _token_pattern().findall(unicodedata.normalize("NFKC", text).lower())
