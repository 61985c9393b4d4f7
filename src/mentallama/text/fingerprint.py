"""What makes two texts the same post: a key that survives case, punctuation and mis-decoding."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from importlib.resources import files

from mentallama.text.pii import PLACEHOLDER

_NOT_ASCII_ALNUM = re.compile(r"[^a-z0-9]+")
_WORD = re.compile(r"[a-z0-9]+")
MIN_IDENTIFYING_LETTERS = 20
"""Letters of the shortest made-up post that is known by its key: a real person may have written a shorter one."""
SHINGLE_SIZE = 2
"""Words (or characters where a script has no spaces) in a row that make one feature of a near-duplicate."""


def text_key(text: str) -> str:
    """A cleaned text's letters and digits: ASCII ones where they are most of it, else all, without accents.

    Mis-decoded marks are never ASCII, so posts in Latin script keep their key whether or not they could be
    repaired; a text in another script needs its own letters. Placeholders do not count: one copy of a post
    may have been masked elsewhere.

    >>> key_of("Don't — STOP, @me") == key_of("don‚Äôt stop me")
    True
    >>> key_of("我今天很累")
    '我今天很累'
    """
    bare = PLACEHOLDER.sub("", text)
    ascii_key = _NOT_ASCII_ALNUM.sub("", bare.lower())
    if bare.isascii():
        return ascii_key
    letters = sum(map(str.isalnum, bare))
    if 2 * len(ascii_key) >= letters:
        return ascii_key
    return "".join(c for c in unicodedata.normalize("NFKD", bare).casefold() if c.isalnum())


def key_hash(key: str) -> int:
    """A 64-bit hash of a key, the same in every process."""
    return int.from_bytes(
        hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little"
    )


def shingles(text: str) -> list[str]:
    """Word pairs of a text in Latin script, character pairs of others: the features near-duplicates share."""
    key = text_key(text)
    if key.isascii():
        words = _WORD.findall(PLACEHOLDER.sub("", text).lower())
        return [" ".join(words[n : n + SHINGLE_SIZE]) for n in range(max(1, len(words) - SHINGLE_SIZE + 1))]
    return [key[n : n + SHINGLE_SIZE] for n in range(max(1, len(key) - SHINGLE_SIZE + 1))]


def synthetic_post_hashes() -> frozenset[int]:
    """Key hashes of the posts that were written for this project."""
    text = files("mentallama.text").joinpath("synthetic_posts.txt").read_text(encoding="ascii")
    return frozenset(int(line, 16) for line in text.split() if not line.startswith("#"))
