"""Fingerprints that identify a post: a key that survives case, punctuation and mis-decoding, and its hashes."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from mentallama.text.pii import PLACEHOLDER
from mentallama.text.repair import MISREAD_MARK
from mentallama.text.tokenize import DENSE_LETTER, combining_marks

_NOT_ASCII_ALNUM = re.compile(r"[^a-z0-9]+")
_ASCII_WORD = re.compile(r"[a-z0-9]+")
_NOT_TYPOGRAPHIC = re.compile("[^\x00-\x7f‘’“”–—…•\xa0]")
_EMOJI_RANGES = "\u2600-\u27bf\U0001f000-\U0001faff"
_EMOJI = re.compile(f"[{_EMOJI_RANGES}]")
_SILENT = re.compile("[\u02b9-\u02c1\u0640\ufe00-\ufe0f\U000e0100-\U000e01ef]+")
"""Letters and marks that say nothing: apostrophes, the stroke that lengthens Arabic words, variation selectors."""
MIN_IDENTIFYING_LETTERS = 20
"""Least information in a key that identifies one post: several people may have written the same shorter text."""
MIN_NEAR_KEY_LETTERS = 30
"""Least information in the keys of near-duplicates: one changed word makes a shorter post a different one."""
SHINGLE_SIZE = 2
"""Words (characters in scripts other than Latin) per shingle of a near-duplicate comparison."""


def text_key(text: str) -> str:
    """Letters and digits of a cleaned text, with their accents and vowel signs; "" if it has none.

    The letters of every script count, so two different posts have two keys. A text that says little has its emoji in
    the key too. Placeholders are ignored, since another copy of the post may have been masked differently, and so are
    quotation marks that were read in the wrong encoding.

    >>> text_key("Don't — STOP, @me") == text_key("don‚Äôt stop me")
    True
    >>> text_key("我今天很累"), text_key("tired #오늘"), text_key("fine 🎉")
    ('我今天很累', 'tired오늘', 'fine🎉')
    """
    plain = _plain(text)
    if plain.isascii():
        return _NOT_ASCII_ALNUM.sub("", plain)
    key = "".join(_word_pattern().findall(plain))
    if 0 < information(key) < MIN_IDENTIFYING_LETTERS and _EMOJI.search(plain):
        return "".join(_word_pattern(_EMOJI_RANGES).findall(plain))
    return key


def _plain(text: str) -> str:
    """The text without placeholders, in lower case; characters that look the same are the same."""
    bare = PLACEHOLDER.sub("", text)
    if bare.isascii():
        return bare.lower()
    if not _NOT_TYPOGRAPHIC.search(bare):
        return bare.encode("ascii", "replace").decode().lower()
    bare = unicodedata.normalize("NFKC", MISREAD_MARK.sub("’", bare))
    return _SILENT.sub("", unicodedata.normalize("NFKC", bare.casefold()))


@cache
def _word_pattern(others: str = "_") -> re.Pattern[str]:
    """Matches a run of letters, digits, combining marks and characters of `others`."""
    return re.compile(rf"(?:[^\W_]|{combining_marks()}|(?!_)[{others}])+")


def information(key: str) -> int:
    """Amount of text in a key, in letters of English.

    >>> information("tired"), information("我今天很累"), information("피곤해")
    (5, 10, 6)
    """
    return len(key) + len(DENSE_LETTER.findall(key))


def weighted(key: str) -> str:
    """The key with each dense character doubled, so that its length is `information` and a similarity ratio counts
    every character by what it says."""
    return key if key.isascii() else DENSE_LETTER.sub(r"\g<0>\g<0>", key)


def key_hash(key: str) -> int:
    """64-bit hash of a key, the same in every process."""
    return int.from_bytes(
        hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little"
    )


def is_identifying(key: str) -> bool:
    """Whether a key is long enough to identify one post."""
    return information(key) >= MIN_IDENTIFYING_LETTERS


def identifying_hash(text: str) -> int | None:
    """Hash of a text's key; None if the key is too short to identify one post."""
    key = text_key(text)
    return key_hash(key) if is_identifying(key) else None


def is_certainly_real(text: str, synthetic: bool) -> bool:
    """Whether a post is not a synthetic one for certain: one that is too short to identify a post may be either."""
    return not synthetic and is_identifying(text_key(text))


def shingles(text: str) -> list[str]:
    """Word pairs of a text in Latin script, character pairs in other scripts; near-duplicates share most of them."""
    plain = _plain(text)
    words: Sequence[str] = (_ASCII_WORD if plain.isascii() else _word_pattern()).findall(plain)
    if not plain.isascii() and 2 * sum(map(len, _ASCII_WORD.findall(plain))) < sum(map(len, words)):
        key = "".join(words)
        return [key[n : n + SHINGLE_SIZE] for n in range(max(1, len(key) - SHINGLE_SIZE + 1))]
    return [" ".join(words[n : n + SHINGLE_SIZE]) for n in range(max(1, len(words) - SHINGLE_SIZE + 1))]


def synthetic_post_hashes() -> frozenset[int]:
    """Key hashes of the synthetic posts, which were written for this project."""
    text = files("mentallama.text").joinpath("synthetic_posts.txt").read_text(encoding="ascii")
    return frozenset(int(line, 16) for line in text.split() if not line.startswith("#"))
