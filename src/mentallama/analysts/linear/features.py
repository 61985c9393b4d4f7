"""Hashed n-gram features of a post, each attributed to its words.

A feature is a word, a pair of neighbouring words, or a character n-gram inside one word. Features are stored only as
32-bit hashes, so a model file contains no words of the posts it was trained on. Every occurrence of a feature belongs
to one word (a pair to both, by half), so a decision can be divided exactly among the words: see
`TfidfVector.attribute_to_words`.
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

from mentallama.analysts.linear.mention_features import mention_keys
from mentallama.text.tokenize import UNSPACED, combining_marks

FloatArray = NDArray[np.float64]
IndexArray = NDArray[np.int64]
HashArray = NDArray[np.uint32]

WORD_CACHE_SIZE = 1 << 16
"""Distinct words in the cache; one entry takes about 300 bytes."""

MAX_WORD_CHARS = 40
"""Characters used of a word; anything longer is a pasted code rather than a word."""

_WITHIN_CLAUSE = re.compile(r"(?<=\d)[.,:](?=\d)|[\t/&-]*")
"""Characters between two words that no space separates, in one clause: those of a compound, or of a number."""

_BEFORE_SPACE = re.compile(r"[\t/&]*")
"""Characters behind a word, or between spaces, that end no clause."""

_HASH_MULTIPLIER = np.uint32(2654435769)
"""2**32 over the golden ratio, odd: distinguishes the pair (a, b) from (b, a) (Knuth, TAOCP 3, 6.4)."""


class NgramConfig(BaseModel):
    """Features besides words: pairs of words, and character n-grams of `min_chars` to `max_chars`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    word_bigrams: bool = True
    min_chars: int = Field(default=2, ge=1)
    max_chars: int = Field(default=5, ge=1, le=10)
    symptoms: bool = Field(default=False, exclude_if=lambda symptoms: not symptoms)
    """Whether mentions of symptoms are features, too (`mention_features.py`)."""


@dataclass(frozen=True, slots=True)
class WordSequence:
    """The words of a post in order; every array has one entry per word.

    `starts` and `ends` are code-point offsets. Words with the same number in `clauses` are separated only by
    spaces and hyphens. `is_placeholder` marks placeholders such as "[link]", which nobody wrote.
    """

    forms: list[str]
    starts: IndexArray
    ends: IndexArray
    clauses: IndexArray
    is_placeholder: NDArray[np.bool_]


class _WordChunk(NamedTuple):
    """The words in a piece of text without spaces.

    `word_table` has shape (words, 4): start, end, whether a clause begins here, whether it is a placeholder.
    `ends_clause`: whether the characters after the last word end a clause.
    """

    forms: tuple[str, ...]
    word_table: IndexArray
    ends_clause: bool


@cache
def _word_pattern() -> re.Pattern[str]:
    """A placeholder, a character of a script written without spaces, a word, or an emoji.

    `\\w` lacks the combining marks with which Indic, Arabic and other scripts write vowels.
    """
    marks, letters = combining_marks(), f"[^\\W_{UNSPACED}]+"
    emoji = "[\u2190-\u21ff\u2300-\u27bf\u2b00-\u2bff\U0001f000-\U0001faff]"
    modifiers = rf"(?:{marks}|[\U0001f3fb-\U0001f3ff])"
    return re.compile(
        rf"\[[a-z]+\]"
        rf"|{letters}(?:{marks}+(?:{letters})?|['’\u200c\u200d]{letters})*"
        rf"|[{UNSPACED}]{marks}*"
        rf"|{emoji}{modifiers}*(?:\u200d{emoji}{modifiers}*)*"
    )


def split_words(text: str) -> WordSequence:
    """Split a text in any script into words.

    >>> split_words("I can't sleep, 眠れ 😢").forms
    ['I', "can't", 'sleep', '眠', 'れ', '😢']
    """
    pieces = text.split(" ")
    chunks = (
        _split_chunk_cached(piece) if len(piece) <= MAX_WORD_CHARS else _split_chunk(piece)
        for piece in pieces
    )
    forms, tables, clause_ends = zip(*chunks, strict=True)
    counts = np.fromiter(map(len, forms), np.int64, len(pieces))
    lengths = np.fromiter(map(len, pieces), np.int64, len(pieces)) + 1
    ended = np.fromiter(clause_ends, np.int64, len(pieces))
    offsets = np.repeat(np.cumsum(lengths) - lengths, counts)
    start, end, begins_clause, is_placeholder = np.concatenate(tables).T
    clauses = np.cumsum(begins_clause) + np.repeat(np.cumsum(ended) - ended, counts)
    return WordSequence(
        list(chain.from_iterable(forms)), start + offsets, end + offsets, clauses, is_placeholder > 0
    )


def _split_chunk(chunk: str) -> _WordChunk:
    forms, table, end, is_placeholder = [], [], 0, False
    for word in _word_pattern().finditer(chunk):
        begins_clause = is_placeholder or not _is_compound(chunk, end, word.start())
        is_placeholder, end = word[0].startswith("["), word.end()
        forms.append(word[0])
        table.append((word.start(), end, begins_clause or is_placeholder, is_placeholder))
    ends_clause = is_placeholder or not _BEFORE_SPACE.fullmatch(chunk, end)
    return _WordChunk(tuple(forms), np.array(table, np.int64).reshape(-1, 4), ends_clause)


def _is_compound(chunk: str, end: int, start: int) -> bool:
    """Whether a word that begins at `start` belongs to the clause of the word, if any, that ends at `end`."""
    found = _WITHIN_CLAUSE.match(chunk, end)
    return found is not None and found.end() == start


_split_chunk_cached = lru_cache(WORD_CACHE_SIZE)(_split_chunk)


def _normalize(form: str) -> str:
    """One spelling for all variants of a word: case, width, fonts, apostrophes."""
    return unicodedata.normalize("NFKC", form).lower().replace("’", "'")[:MAX_WORD_CHARS]


def hash_word(form: str, ngrams: NgramConfig) -> tuple[int, HashArray]:
    """Hash of a word, and of the features inside it: the word itself and its character n-grams.

    The word is padded with a space on both sides, as in scikit-learn's `char_wb`, so that n-grams at its start and end
    are distinct features.
    """
    word = _normalize(form)
    word_hash = crc32(b"word " + word.encode("utf-8", "surrogatepass"))
    padded = f" {word} "
    keys = [word_hash]
    for size in range(ngrams.min_chars, min(ngrams.max_chars, len(padded)) + 1):
        for start in range(len(padded) - size + 1):
            keys.append(crc32(padded[start : start + size].encode("utf-8", "surrogatepass")))
    return word_hash, np.array(keys, np.uint32)


def hash_bigrams(word_hashes: HashArray) -> HashArray:
    """Hashes of pairs of neighbouring words, from the hashes of the words; one fewer than there are words."""
    return word_hashes[:-1] * _HASH_MULTIPLIER + word_hashes[1:]


@dataclass(frozen=True, slots=True)
class TfidfVector:
    """A post as occurrences of known features.

    `values[i]` is the share of occurrence `i` in its feature's value; the shares of a feature are equal and add up to
    its L2-normalised, sublinear tf-idf. Occurrences inside words come first (`word_index` is their word), then those of
    pairs (`bigram_index` is the first word of the pair).
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
            One weight per occurrence, in the order of `columns`.

        Returns
        -------
        One number per word. They add up to the whole product, up to rounding.
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
        Hashes of the known features, at least one. If the most frequent come first, the numbers that most posts need
        are adjacent in memory, which makes featurizing a post a fifth faster.
    idf
        Inverse document frequency of each, in the same order.
    ngrams
        Which n-grams were features when the vocabulary was built.
    """

    def __init__(self, keys: HashArray, idf: FloatArray, ngrams: NgramConfig) -> None:
        self.idf, self.ngrams = idf, ngrams
        self._order = np.argsort(keys)
        self._sorted = keys[self._order]
        self._word_columns_cached = lru_cache(WORD_CACHE_SIZE)(self._word_columns)

    def _lookup(self, keys: HashArray) -> tuple[IndexArray, NDArray[np.bool_]]:
        """Columns of the keys, and which keys are known; the column of an unknown key is arbitrary."""
        positions = np.searchsorted(self._sorted, keys)
        positions[positions == len(self._sorted)] = 0
        return self._order[positions], self._sorted[positions] == keys

    def _word_columns(self, form: str) -> tuple[int, IndexArray]:
        word_hash, keys = hash_word(form, self.ngrams)
        columns, known = self._lookup(keys)
        return word_hash, columns[known]

    def transform(self, text: str) -> TfidfVector:
        """Featurize a text; features that are not in the vocabulary are dropped."""
        words = split_words(text)
        hashed = [self._word_columns_cached(form) for form in words.forms]
        parts = [columns for _, columns in hashed]
        word_index = np.repeat(np.arange(len(hashed)), np.fromiter(map(len, parts), np.int64, len(hashed)))
        if self.ngrams.symptoms:
            mentioned, keys = mention_keys(text, words.starts, words.ends)
            mention_columns, known = self._lookup(keys)
            parts.append(mention_columns[known])
            word_index = np.concatenate([word_index, mentioned[known]])
        bigram_index = np.empty(0, np.int64)
        if self.ngrams.word_bigrams and len(hashed) > 1:
            word_hashes = np.array([word_hash for word_hash, _ in hashed], np.uint32)
            bigram_columns, known = self._lookup(hash_bigrams(word_hashes))
            bigram_index = np.flatnonzero(known)
            parts.append(bigram_columns[bigram_index])
        columns = np.concatenate(parts) if parts else np.empty(0, np.int64)
        return TfidfVector(words, columns, self._tfidf_shares(columns), word_index, bigram_index)

    def _tfidf_shares(self, columns: IndexArray) -> FloatArray:
        """Share of each occurrence: (1 + ln tf) idf / tf, divided by the L2 norm of the tf-idf vector.

        The weighting is scikit-learn's `TfidfTransformer(sublinear_tf=True)`.
        """
        counts = np.zeros(len(self.idf), np.int32)
        np.add.at(counts, columns, np.int32(1))
        tf = counts[columns].astype(np.float64)
        shares = (1 + np.log(tf)) * self.idf[columns] / tf
        norm = np.sqrt(np.sum(shares * shares * tf))
        return shares / norm if norm else shares
