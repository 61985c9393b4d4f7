"""Agreement of evidence with that of annotators, counted in tokens of the post (ERASER: DeYoung et al. 2020)."""

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


def partial_match_f1(
    tokens: Sequence[Offsets],
    predicted: Sequence[Offsets],
    annotated: Sequence[Offsets],
    min_iou: float = 0.5,
) -> float:
    """F1 of whole passages, 0-1: two passages match if their tokens have at least this intersection over union.

    Precision is the share of the predicted passages that match an annotated one, recall that of the annotated passages
    that match a predicted one. 0 where nothing is predicted.

    Raises
    ------
    ValueError
        The annotated passages touch no token.

    Examples
    --------
    >>> tokens = [(0, 2), (3, 5), (6, 8), (9, 11)]
    >>> partial_match_f1(tokens, [(0, 2), (6, 8)], [(0, 5)])
    0.6666666666666666
    """
    gold = [found for passage in annotated if (found := touched_tokens(tokens, [passage]))]
    if not gold:
        raise ValueError("the annotated passages touch no token")
    guesses = [found for passage in predicted if (found := touched_tokens(tokens, [passage]))]
    matches = [[len(guess & true) >= min_iou * len(guess | true) for true in gold] for guess in guesses]
    precise = sum(any(row) for row in matches)
    recalled = sum(any(column) for column in zip(*matches, strict=True))
    if not precise:
        return 0.0
    precision, recall = precise / len(guesses), recalled / len(gold)
    return 2 * precision * recall / (precision + recall)


def ranking_auprc(tokens: Sequence[Offsets], weights: Sequence[float], annotated: Sequence[Offsets]) -> float:
    """Area under the precision-recall curve of annotated tokens ranked by weight, 0-1, as average precision.

    A random ranking has the share of annotated tokens, on average.

    Parameters
    ----------
    weights
        Of each token; the largest first.

    Raises
    ------
    ValueError
        The annotated passages touch no token.
    """
    from sklearn.metrics import average_precision_score

    gold = touched_tokens(tokens, annotated)
    if not gold:
        raise ValueError("the annotated passages touch no token")
    return float(average_precision_score([index in gold for index in range(len(tokens))], weights))
