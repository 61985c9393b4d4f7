"""From the margins of tokens to the passages of a text that are quoted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from mentallama.records import Span
from mentallama.text.tokenize import word_spans


def quoted_passages(
    text: str, offsets: Sequence[tuple[int, int]], margins: NDArray[np.float32]
) -> tuple[Span, ...]:
    """Passages of whole words, each of which has a token that is more likely quoted than not.

    Parameters
    ----------
    offsets
        The characters of each token of the text; (0, 0) for tokens that stand for none.
    margins
        Log-odds of each token that it is part of a quotation, shape (tokens,).

    Returns
    -------
    Spans in the order of the text, each with the highest log-odds of its words as weight.
    """
    words = [(start, end, _word_margin(start, end, offsets, margins)) for start, end in word_spans(text)]
    return tuple(_passages(words))


def _word_margin(
    start: int, end: int, offsets: Sequence[tuple[int, int]], margins: NDArray[np.float32]
) -> float:
    """The highest margin of a word's tokens; -inf for a word that was truncated away."""
    of_word = (
        float(margin)
        for (first, last), margin in zip(offsets, margins, strict=True)
        if first < end and last > start
    )
    return max(of_word, default=-np.inf)


def _passages(words: Sequence[tuple[int, int, float]]) -> Iterator[Span]:
    for quoted, group in groupby(words, key=lambda word: word[2] > 0):
        passage = list(group)
        if quoted:
            weight = max(margin for _, _, margin in passage)
            yield Span(start=passage[0][0], end=passage[-1][1], weight=weight)
