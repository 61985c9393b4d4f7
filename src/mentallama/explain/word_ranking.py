"""Words of a post ranked by their weights, and random words in passages of the same lengths."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import ceil

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
WordIndices = tuple[int, ...]
"""Positions of words in their post, ascending."""


def top_words(weights: FloatArray, share: float) -> WordIndices:
    """The words that support the label most; at least one, and of equal ones the first.

    Parameters
    ----------
    weights
        Of each word, shape (words,).
    share
        Of all words, 0-1; a fraction of a word counts as a word.

    Examples
    --------
    >>> top_words(np.array([0.1, 0.9, -2.0, 0.5]), 0.5)
    (1, 3)
    """
    count = max(1, ceil(round(share * len(weights), 9)))
    order = np.argsort(-weights, kind="stable")[:count]
    return tuple(sorted(order.tolist()))


def run_lengths(words: Sequence[int]) -> list[int]:
    """Lengths of the passages that consecutive words form.

    >>> run_lengths((2, 3, 4, 7))
    [3, 1]
    """
    if not words:
        return []
    breaks = [index for index, (left, right) in enumerate(pairwise(words), 1) if right > left + 1]
    borders = [0, *breaks, len(words)]
    return [end - start for start, end in pairwise(borders)]


def random_words_in_runs(chosen: Sequence[int], n_words: int, rng: np.random.Generator) -> WordIndices:
    """As many words as `chosen`, in passages of the same lengths, at random places.

    Every order of the passages and of the words left over is equally likely. Passages may come to stand side by side.

    Parameters
    ----------
    chosen
        Positions of words, ascending.
    n_words
        Words of the post.
    """
    lengths = run_lengths(chosen)
    pieces = np.array([*lengths, *[0] * (n_words - len(chosen))], dtype=np.int64)
    found: list[int] = []
    position = 0
    for length in rng.permutation(pieces).tolist():
        found.extend(range(position, position + length))
        position += length or 1
    return tuple(found)
