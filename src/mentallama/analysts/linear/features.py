"""Words of a post, and the n-grams in them as hashes.

A feature is a word, a pair of neighbouring words, or a run of characters inside one word. Features
are known only by a 32-bit hash, so a model file holds no words of the posts it was trained on. Every
occurrence of a feature belongs to one word (of a pair, half to each), which makes a decision
divisible among the words exactly: see `TfidfVector.per_word`.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import chain
from typing import NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from mentallama.text.scripts import UNSPACED, combining_marks

FloatArray = NDArray[np.float64]
IndexArray = NDArray[np.int64]
HashArray = NDArray[np.uint32]

WORD_CACHE_SIZE = 1 << 16
"""Distinct words kept; posts repeat theirs, and one entry takes about 300 bytes."""

MAX_WORD_CHARS = 40
"""Characters of a word that are looked at: beyond it stand pasted codes, not words."""

_WITHIN_CLAUSE = re.compile(r"[\t,/&、，،-]*")
"""What may stand between the words of one clause, beside blanks."""

_HASH_MULTIPLIER = np.uint32(2654435769)
"""2**32 over the golden ratio, odd: tells the pair (a, b) from (b, a) (Knuth, TAOCP 3, 6.4)."""


class NgramConfig(BaseModel):
    """Which n-grams are features."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    word_bigrams: bool = True
    min_chars: int = Field(default=2, ge=1)
    max_chars: int = Field(default=5, ge=1, le=10)


@dataclass(frozen=True, slots=True)
class WordSequence:
    """The words of a post in order; every array has one entry a word.

    `starts` and `ends` are code-point offsets. Words of one `clause` have nothing but blanks, commas
    and hyphens between them. `scrubbed` marks placeholders as "[link]", which nobody wrote.
    """

    forms: list[str]
    starts: IndexArray
    ends: IndexArray
    clauses: IndexArray
    is_placeholder: NDArray[np.bool_]


class _WordChunk(NamedTuple):
    """The words in a stretch of text without blanks.

    `places` has shape (words, 4): start, end, whether a clause begins here, whether it is a placeholder.
    `ends_clause`: whether what follows the last word ends a clause.
    """

    forms: tuple[str, ...]
    word_table: IndexArray
    ends_clause: bool


@cache
def _word_pattern() -> re.Pattern[str]:
    """A placeholder, a character of a script written without spaces, a word, or an emoji.

    `\\w` lacks the combining marks that Indic, Arabic and other scripts write their vowels with.
    """
    marks, letters = combining_marks(), f"[^\\W_{UNSPACED}]+"
    emoji = "[\u2190-\u21ff\u2300-\u27bf\u2b00-\u2bff\U0001f000-\U0001faff]"
    after = rf"(?:{marks}|[\U0001f3fb-\U0001f3ff])"
    return re.compile(
        rf"\[[a-z]+\]"
        rf"|{letters}(?:{marks}+(?:{letters})?|['’\u200c\u200d]{letters})*"
        rf"|[{UNSPACED}]{marks}*"
        rf"|{emoji}{after}*(?:\u200d{emoji}{after}*)*"
    )


def split_words(text: str) -> WordSequence:
    """Find the words of a text in any script.

    >>> split_words("I can't sleep, 眠れ 😢").forms
    ['I', "can't", 'sleep', '眠', 'れ', '😢']
    """
    pieces = text.split(" ")
    runs = (
        _split_chunk_cached(piece) if len(piece) <= MAX_WORD_CHARS else _split_chunk(piece)
        for piece in pieces
    )
    forms, places, ends = zip(*runs, strict=True)
    counts = np.fromiter(map(len, forms), np.int64, len(pieces))
    lengths = np.fromiter(map(len, pieces), np.int64, len(pieces)) + 1
    ended = np.fromiter(ends, np.int64, len(pieces))
    offsets = np.repeat(np.cumsum(lengths) - lengths, counts)
    start, end, parted, scrubbed = np.concatenate(places).T
    clauses = np.cumsum(parted) + np.repeat(np.cumsum(ended) - ended, counts)
    return WordSequence(
        list(chain.from_iterable(forms)), start + offsets, end + offsets, clauses, scrubbed > 0
    )


def _split_chunk(run: str) -> _WordChunk:
    forms, places, last, scrubbed = [], [], 0, False
    for word in _word_pattern().finditer(run):
        parted = scrubbed or not _WITHIN_CLAUSE.fullmatch(run, last, word.start())
        scrubbed, last = word[0].startswith("["), word.end()
        forms.append(word[0])
        places.append((word.start(), last, parted or scrubbed, scrubbed))
    ends_clause = scrubbed or not _WITHIN_CLAUSE.fullmatch(run, last)
    return _WordChunk(tuple(forms), np.array(places, np.int64).reshape(-1, 4), ends_clause)


_split_chunk_cached = lru_cache(WORD_CACHE_SIZE)(_split_chunk)


def _normalise(form: str) -> str:
    """One spelling for all shapes of a word: case, width, font variants, apostrophes."""
    return unicodedata.normalize("NFKC", form).lower().replace("’", "'")[:MAX_WORD_CHARS]


def hash_word(form: str, grams: NgramConfig) -> tuple[int, HashArray]:
    """Hash of a word, and the features inside it: the word itself and the runs of its characters.

    The word is padded with a blank on both sides, as scikit-learn's `char_wb` does, so that
    beginnings and ends are features of their own.
    """
    word = _normalise(form)
    own = crc32(b"word " + word.encode("utf-8", "surrogatepass"))
    padded = f" {word} "
    keys = [own]
    for size in range(grams.min_chars, min(grams.max_chars, len(padded)) + 1):
        for at in range(len(padded) - size + 1):
            keys.append(crc32(padded[at : at + size].encode("utf-8", "surrogatepass")))
    return own, np.array(keys, np.uint32)


def hash_bigrams(words: HashArray) -> HashArray:
    """Hashes of neighbouring words, from the words' own hashes; one less than there are words."""
    return words[:-1] * _HASH_MULTIPLIER + words[1:]


@dataclass(frozen=True, slots=True)
class TfidfVector:
    """A post as occurrences of known features.

    `values[i]` is the share of occurrence `i` in its feature's value; shares of one feature are
    equal and add up to the L2-normalised, sublinear tf-idf. Occurrences inside words come first
    (`owner`: which word), then those of pairs (`left`: the pair's first word).
    """

    words: WordSequence
    columns: IndexArray
    values: FloatArray
    word_index: IndexArray
    bigram_index: IndexArray

    def attribute_to_words(self, weights: FloatArray) -> FloatArray:
        """Divide `sum(values * weights)` among the words.

        Parameters
        ----------
        weights
            One weight an occurrence, in the order of `columns`.

        Returns
        -------
        One number a word. Their sum is the whole product, up to rounding.
        """
        count, shares = len(self.words.forms), self.values * weights
        inside, pairs = shares[: len(self.word_index)], shares[len(self.word_index) :] / 2
        by_word = np.zeros(count)
        by_word += np.bincount(self.word_index, inside, count)
        by_word += np.bincount(self.bigram_index, pairs, count)
        by_word += np.bincount(self.bigram_index + 1, pairs, count)
        return by_word


class Featurizer:
    """Turn posts into vectors over one set's vocabulary.

    Parameters
    ----------
    keys
        Hashes of the known features, at least one. With the most frequent first, the numbers that most
        posts need lie side by side in memory, which makes reading a post a fifth faster.
    idf
        Inverse document frequency of each, in the same order.
    grams
        Which n-grams were features when the vocabulary was made.
    """

    def __init__(self, keys: HashArray, idf: FloatArray, grams: NgramConfig) -> None:
        self.idf, self.ngrams = idf, grams
        self._order = np.argsort(keys)
        self._sorted = keys[self._order]
        self._word_columns_cached = lru_cache(WORD_CACHE_SIZE)(self._word_columns)

    def _lookup(self, keys: HashArray) -> tuple[IndexArray, NDArray[np.bool_]]:
        """Columns of the keys, and which of them are known; the column of an unknown key is void."""
        at = np.searchsorted(self._sorted, keys)
        at[at == len(self._sorted)] = 0
        return self._order[at], self._sorted[at] == keys

    def _word_columns(self, form: str) -> tuple[int, IndexArray]:
        own, keys = hash_word(form, self.ngrams)
        columns, known = self._lookup(keys)
        return own, columns[known]

    def transform(self, text: str) -> TfidfVector:
        """Featurize a text; words and pairs that are not in the vocabulary leave no occurrence."""
        words = split_words(text)
        read = [self._word_columns_cached(form) for form in words.forms]
        inside = [columns for _, columns in read]
        owner = np.repeat(np.arange(len(read)), np.fromiter(map(len, inside), np.int64, len(read)))
        left = np.empty(0, np.int64)
        if self.ngrams.word_bigrams and len(read) > 1:
            pairs, known = self._lookup(hash_bigrams(np.array([own for own, _ in read], np.uint32)))
            left = np.flatnonzero(known)
            inside.append(pairs[left])
        columns = np.concatenate(inside) if inside else np.empty(0, np.int64)
        return TfidfVector(words, columns, self._tfidf_shares(columns), owner, left)

    def _tfidf_shares(self, columns: IndexArray) -> FloatArray:
        """Shares of each occurrence: (1 + ln tf) idf / tf, over the L2 norm of the whole features.

        The weighting is scikit-learn's `TfidfTransformer(sublinear_tf=True)`.
        """
        counts = np.zeros(len(self.idf), np.int32)
        np.add.at(counts, columns, np.int32(1))
        tf = counts[columns].astype(np.float64)
        shares = (1 + np.log(tf)) * self.idf[columns] / tf
        norm = np.sqrt(np.sum(shares * shares * tf))
        return shares / norm if norm else shares
