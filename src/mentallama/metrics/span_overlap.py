"""Overlap of a system's evidence with the annotators', counted in tokens of the post."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

Offsets = tuple[int, int]
"""Start (inclusive) and end (exclusive) of a passage, in characters."""


class TokenOverlap(NamedTuple):
    """Precision, recall, F1 and intersection over union of two sets of tokens, 0-1 (ERASER: DeYoung et al. 2020)."""

    precision: float
    recall: float
    f1: float
    iou: float


def token_overlap(
    tokens: Sequence[Offsets], predicted: Sequence[Offsets], annotated: Sequence[Offsets]
) -> TokenOverlap:
    """Compare the tokens that two lists of passages touch; a token that lies in two passages counts once.

    Where nothing is predicted, all four are 0, as in ERASER.

    Parameters
    ----------
    tokens
        The tokens of the text, in order and without overlaps.
    predicted, annotated
        Passages in any order; they may overlap.

    Raises
    ------
    ValueError
        The annotated passages touch no token, so there is nothing to compare with.

    Examples
    --------
    >>> token_overlap([(0, 2), (3, 5), (6, 8)], [(0, 5)], [(3, 8)])
    TokenOverlap(precision=0.5, recall=0.5, f1=0.5, iou=0.3333333333333333)
    """
    gold = touched_tokens(tokens, annotated)
    if not gold:
        raise ValueError("the annotated passages touch no token")
    found = touched_tokens(tokens, predicted)
    common = len(found & gold)
    return TokenOverlap(
        precision=common / len(found) if found else 0.0,
        recall=common / len(gold),
        f1=2 * common / (len(found) + len(gold)),
        iou=common / len(found | gold),
    )


def touched_tokens(tokens: Sequence[Offsets], passages: Sequence[Offsets]) -> frozenset[int]:
    """Indices of the tokens that share a character with a passage."""
    return frozenset(
        index
        for index, (start, end) in enumerate(tokens)
        if any(start < passage_end and passage_start < end for passage_start, passage_end in passages)
    )
