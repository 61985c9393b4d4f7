"""Fingerprints that identify a post: a key that survives case, punctuation and mis-decoding, and its hashes."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from importlib.resources import files

from mentallama.text.pii import PLACEHOLDER

_NOT_ASCII_ALNUM = re.compile(r"[^a-z0-9]+")
_WORD = re.compile(r"[a-z0-9]+")
MIN_IDENTIFYING_LETTERS = 20
"""Length of the shortest key that identifies one post: several people may have written the same shorter text."""
SHINGLE_SIZE = 2
"""Words (characters in scripts other than Latin) per shingle of a near-duplicate comparison."""


def text_key(text: str) -> str:
    """Letters and digits of a cleaned text: only ASCII ones where they are the majority, else all, without accents.

    Mis-decoded punctuation is never ASCII, so posts in Latin script keep their key whether or not they could be
    repaired; a text in another script needs its own letters. Placeholders are ignored, since another copy of the post
    may have been masked differently.

    >>> text_key("Don't — STOP, @me") == text_key("don‚Äôt stop me")
    True
    >>> text_key("我今天很累")
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
    """64-bit hash of a key, the same in every process."""
    return int.from_bytes(
        hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little"
    )


def is_identifying(key: str) -> bool:
    """Whether a key is long enough to identify one post."""
    return len(key) >= MIN_IDENTIFYING_LETTERS


def identifying_hash(text: str) -> int | None:
    """Hash of a text's key; None if the key is too short to identify one post."""
    key = text_key(text)
    return key_hash(key) if is_identifying(key) else None


def shingles(text: str) -> list[str]:
    """Word pairs of a text in Latin script, character pairs in other scripts; near-duplicates share most of them."""
    key = text_key(text)
    if key.isascii():
        words = _WORD.findall(PLACEHOLDER.sub("", text).lower())
        return [" ".join(words[n : n + SHINGLE_SIZE]) for n in range(max(1, len(words) - SHINGLE_SIZE + 1))]
    return [key[n : n + SHINGLE_SIZE] for n in range(max(1, len(key) - SHINGLE_SIZE + 1))]


def synthetic_post_hashes() -> frozenset[int]:
    """Key hashes of the synthetic posts, which were written for this project."""
    text = files("mentallama.text").joinpath("synthetic_posts.txt").read_text(encoding="ascii")
    return frozenset(int(line, 16) for line in text.split() if not line.startswith("#"))
