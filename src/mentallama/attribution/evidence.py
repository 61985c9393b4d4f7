"""Evidence spans of an attribution: what a person would quote of the post."""

from __future__ import annotations

from bisect import bisect_left

import numpy as np

from mentallama.analysts.evidence_phrases import choose_spans
from mentallama.analysts.linear.features import split_words
from mentallama.attribution.base import Attribution
from mentallama.attribution.log_odds import FloatArray
from mentallama.records import Span


def evidence_spans(text: str, attribution: Attribution) -> tuple[Span, ...]:
    """The phrases of a text that support and oppose its label most clearly, as `choose_spans` picks them.

    The weight of a clause or sentence is divided evenly among its words.

    Returns
    -------
    The supporting spans from strongest to weakest, then the opposing ones. A span's weight is the sum of its words'
    contributions to the log-odds of the label.
    """
    words = split_words(text)
    return choose_spans(words, word_contributions(words.starts.tolist(), attribution))


def word_contributions(word_starts: list[int], attribution: Attribution) -> FloatArray:
    """The contribution of each word of a text, from those of the units that they are in; 0 outside all units.

    Parameters
    ----------
    word_starts
        Offset of each word, ascending.
    attribution
        Of the same text.
    """
    contributions = np.zeros(len(word_starts))
    for (start, end), weight in zip(attribution.units, attribution.weights, strict=True):
        first, stop = bisect_left(word_starts, start), bisect_left(word_starts, end)
        if stop > first:
            contributions[first:stop] = weight / (stop - first)
    return contributions
