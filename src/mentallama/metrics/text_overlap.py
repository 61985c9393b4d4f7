"""Overlap of an explanation with a reference text: ROUGE and BLEU on the tokens of text.tokenize, and chrF.

Common n-grams are counted for many pairs of texts at once: an n-gram is packed into the bits of one integer, so that
after one sort the equal n-grams of all orders are neighbours. BLEU and chrF equal those of sacrebleu.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mentallama.text.tokenize import word_tokens

OverlapMetric = Callable[[Sequence[str], Sequence[str]], list[float]]
"""Function from hypotheses, and one reference for each, to one score for each."""

CHRF_ORDER, CHRF_BETA = 6, 2
"""Longest n-grams of characters, and how much more recall counts than precision: the defaults of sacrebleu."""
BLEU_ORDER = 4
PAIRS_AT_ONCE = 256
"""Pairs that share the tokens of their texts between metrics, where all metrics are computed for them in turn."""

_Ints = NDArray[np.int64]
_Floats = NDArray[np.float64]
_BATCH_SIZE = 1 << 15
"""Elements of the texts of a batch; it keeps the arrays of a batch in the processor's cache."""
_KEY_BITS = 63


class NgramCounts(NamedTuple):
    """Numbers of n-grams by pair and order, each of shape (pairs, orders).

    `common` counts an n-gram as often as it stands in both texts.
    """

    first: _Ints
    second: _Ints
    common: _Ints


def count_ngrams(first: Sequence[_Ints], second: Sequence[_Ints], orders: int) -> NgramCounts:
    """Count the n-grams of 1 to `orders` elements in each pair of texts, given as arrays of ids from 0."""
    lengths = np.array([[len(text) for text in first], [len(text) for text in second]], dtype=np.int64)
    totals = np.maximum(lengths[..., None] - np.arange(orders), 0)
    common = np.zeros((len(first), orders), dtype=np.int64)
    for batch in _batches(lengths.sum(axis=0)):
        common[batch] = _common_ngrams(first[batch], second[batch], orders)
    return NgramCounts(totals[0], totals[1], common)


def _batches(lengths: _Ints) -> Iterator[slice]:
    """Consecutive pairs of `_BATCH_SIZE` elements or fewer; a longer pair is alone."""
    start = size = 0
    for index, length in enumerate(lengths.tolist()):
        if size and size + length > _BATCH_SIZE:
            yield slice(start, index)
            start, size = index, 0
        size += length
    if start < len(lengths):
        yield slice(start, len(lengths))


def _common_ngrams(first: Sequence[_Ints], second: Sequence[_Ints], orders: int) -> _Ints:
    """Number of common n-grams, shape (pairs, orders).

    Behind each text stand `orders` fillers, other ones in first and second texts, so that an n-gram that reaches
    beyond its text is common to none.
    """
    fillers = np.zeros(orders, dtype=np.int64), np.ones(orders, dtype=np.int64)
    pieces = [
        piece
        for one, other in zip(first, second, strict=True)
        for piece in (one + 2, fillers[0], other + 2, fillers[1])
    ]
    ids = _dense_ids(np.concatenate(pieces))
    bits, pair_bits = int(ids.max(initial=1)).bit_length(), (len(first) - 1).bit_length()
    if orders * bits + pair_bits + 1 > _KEY_BITS:
        if len(first) == 1:
            return np.array([_common_by_counter(first[0], second[0], orders)], dtype=np.int64)
        middle = len(first) // 2
        halves = slice(middle), slice(middle, None)
        return np.concatenate([_common_ngrams(first[half], second[half], orders) for half in halves])
    sizes = [len(text) + orders for pair in zip(first, second, strict=True) for text in pair]
    text_number = np.repeat(np.arange(len(sizes)), sizes)
    keys = text_number >> 1
    following = np.concatenate([ids, fillers[1]])
    for offset in range(orders):
        keys = keys << bits | following[offset : offset + len(ids)]
    keys = np.sort(keys << 1 | text_number & 1)
    return _common_prefixes(keys, len(first), orders, bits)


def _dense_ids(ids: _Ints) -> _Ints:
    """The ids numbered anew in their order, without gaps; 0 and 1 stay."""
    used = np.zeros(max(2, int(ids.max(initial=0)) + 1), dtype=np.int64)
    used[:2] = 1
    used[ids] = 1
    return (np.cumsum(used) - 1)[ids]


def _common_prefixes(keys: _Ints, pairs: int, orders: int, bits: int) -> _Ints:
    """Number of common n-grams by pair and order.

    `keys` are sorted; the bits of each are its pair, `orders` elements of `bits` bits, and whether it is of the second
    text. The n-gram of a lower order is a prefix of them.
    """
    is_second = keys & 1
    common = np.zeros((pairs, orders), dtype=np.int64)
    for order in range(1, orders + 1):
        prefixes = keys >> 1 + bits * (orders - order)
        starts = np.flatnonzero(np.concatenate([[True], prefixes[1:] != prefixes[:-1]]))
        in_second = np.add.reduceat(is_second, starts)
        in_both = np.minimum(in_second, np.diff(starts, append=len(keys)) - in_second)
        common[:, order - 1] = np.bincount(prefixes[starts] >> bits * order, weights=in_both, minlength=pairs)
    return common


def _common_by_counter(first: _Ints, second: _Ints, orders: int) -> list[int]:
    """Number of common n-grams by order, of a pair with too many different elements to pack into a key."""
    one, other = first.tolist(), second.tolist()
    return [(_ngrams(one, n) & _ngrams(other, n)).total() for n in range(1, orders + 1)]


def _ngrams(elements: list[int], n: int) -> Counter[tuple[int, ...]]:
    return Counter(tuple(elements[i : i + n]) for i in range(len(elements) - n + 1))


def chrf(hypotheses: Sequence[str], references: Sequence[str]) -> list[float]:
    """ChrF of each pair as sacrebleu has it by default (Popović 2015), 0-100.

    The F-score (beta 2) of precision and recall of character n-grams without white space, each averaged over the
    orders 1 to 6 of which both texts have n-grams.
    """
    counts = count_ngrams(list(map(_characters, hypotheses)), list(map(_characters, references)), CHRF_ORDER)
    defined = (counts.first > 0) & (counts.second > 0)
    orders = np.maximum(defined.sum(axis=1), 1)
    precision = np.where(defined, counts.common / np.maximum(counts.first, 1), 0.0).sum(axis=1) / orders
    recall = np.where(defined, counts.common / np.maximum(counts.second, 1), 0.0).sum(axis=1) / orders
    weighted = CHRF_BETA**2 * precision + recall
    scores = np.divide(
        100 * (1 + CHRF_BETA**2) * precision * recall,
        weighted,
        out=np.zeros(len(weighted)),
        where=weighted > 0,
    )
    return [float(score) for score in scores]


def _characters(text: str) -> _Ints:
    """Code points of a text without its white space."""
    encoded = "".join(text.split()).encode("utf-32-le", "surrogatepass")
    return np.frombuffer(encoded, dtype="<u4").astype(np.int64)


def bleu(hypotheses: Sequence[str], references: Sequence[str]) -> list[float]:
    """Sentence BLEU of each pair as sacrebleu has it (Papineni et al. 2002), 0-100, on the tokens of text.tokenize.

    With sacrebleu's exponential smoothing, and the effective order: a text shorter than four tokens is scored by the
    n-grams that it has. Two texts without tokens score 100.
    """
    counts = _count_word_ngrams(tuple(hypotheses), tuple(references))
    log_precisions, smoothing = np.zeros(len(hypotheses)), np.ones(len(hypotheses))
    for total, common in zip(counts.first.T, counts.common.T, strict=True):
        smoothing = np.where((total > 0) & (common == 0), 2 * smoothing, smoothing)
        matched = np.where(common > 0, common, 1 / smoothing)
        log_precisions += np.where(total > 0, np.log(matched / np.maximum(total, 1)), 0.0)
    orders = np.maximum((counts.first > 0).sum(axis=1), 1)
    length, reference_length = counts.first[:, 0], counts.second[:, 0]
    brevity = np.minimum(0.0, 1 - reference_length / np.maximum(length, 1))
    scores = np.where(counts.common[:, 0] > 0, 100 * np.exp(brevity + log_precisions / orders), 0.0)
    return [float(score) for score in np.where(length + reference_length > 0, scores, 100.0)]


@lru_cache(maxsize=1)
def _count_word_ngrams(hypotheses: tuple[str, ...], references: tuple[str, ...]) -> NgramCounts:
    """The n-grams of the tokens of each pair, up to those of BLEU; kept for the next measure of the same pairs."""
    numbers: dict[str, int] = {}

    def token_ids(text: str) -> _Ints:
        return np.array([numbers.setdefault(token, len(numbers)) for token in _tokens(text)], dtype=np.int64)

    return count_ngrams(list(map(token_ids, hypotheses)), list(map(token_ids, references)), BLEU_ORDER)


@lru_cache(maxsize=2 * PAIRS_AT_ONCE)
def _tokens(text: str) -> tuple[str, ...]:
    return tuple(word_tokens(text))


def rouge1(hypotheses: Sequence[str], references: Sequence[str]) -> list[float]:
    """ROUGE-1 of each pair, 0-100: F1 (Lin 2004; precision and recall weighted equally, no stemming)."""
    return _rouge_n(hypotheses, references, 1)


def rouge2(hypotheses: Sequence[str], references: Sequence[str]) -> list[float]:
    """ROUGE-2, 0-100, of each pair. Where neither text has two tokens, it is 100 if their tokens are equal, else 0."""
    return _rouge_n(hypotheses, references, 2)


def rouge_l(hypotheses: Sequence[str], references: Sequence[str]) -> list[float]:
    """ROUGE-L, 0-100, of each pair."""
    return [
        100 * _lcs_f1(_tokens(hypothesis), _tokens(reference))
        for hypothesis, reference in zip(hypotheses, references, strict=True)
    ]


def _rouge_n(hypotheses: Sequence[str], references: Sequence[str], n: int) -> list[float]:
    counts = _count_word_ngrams(tuple(hypotheses), tuple(references))
    numbers = zip(hypotheses, references, *(part[:, n - 1].tolist() for part in counts), strict=True)
    return [
        100 * (_f1(common, first, second) if first or second else float(_tokens(one) == _tokens(other)))
        for one, other, first, second, common in numbers
    ]


def _f1(common: int, first: int, second: int) -> float:
    """2·common / (first + second): the harmonic mean of common/first and common/second."""
    return 2 * common / (first + second)


def _lcs_f1(first: Sequence[str], second: Sequence[str]) -> float:
    return _f1(_lcs_length(first, second), len(first), len(second)) if first or second else 1.0


def _lcs_length(first: Sequence[str], second: Sequence[str]) -> int:
    """Length of the longest common subsequence, by bit vectors (Hyyrö 2004): one step per token of `second`."""
    positions: dict[str, int] = {}
    for i, token in enumerate(first):
        positions[token] = positions.get(token, 0) | 1 << i
    full = (1 << len(first)) - 1
    free = full
    for token in second:
        matched = free & positions.get(token, 0)
        free = ((free + matched) | (free - matched)) & full
    return len(first) - free.bit_count()
