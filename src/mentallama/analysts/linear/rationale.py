"""Evidence: the stretches of a post that a decision rests on, and the reason written from them.

The input is one contribution a word, in log-odds; their sum and the intercept are the decision. So
what is quoted is what decided, not a guess made afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mentallama.analysts.linear.features import FloatArray, WordSequence
from mentallama.records import Span
from mentallama.tasks import ExplanationTemplate

MAX_QUOTE_WORDS = 6
"""Words in one quotation: more is no longer read at a glance."""

MAX_PASSAGE_WORDS = 14
"""Words in a passage that is quoted to be understood by itself; a clause is mostly shorter."""

MAX_SUPPORTING_QUOTES, MAX_OPPOSING_QUOTES = 4, 2
"""Quotations on either side; the reasons in the published release name two to four."""

MIN_LOG_ODDS = 0.02
"""Log-odds below which a stretch moves a probability by less than half a percent."""

MIN_RELATIVE_WEIGHT = 0.25
"""Share of the strongest stretch's weight below which a stretch is not worth a quotation."""

NEAR_PRIOR = 0.05
"""A probability this close to the label's usual share says little more than the share did."""

WordRange = tuple[int, int]
"""First word and number of words."""


def choose_spans(words: WordSequence, contributions: FloatArray) -> tuple[Span, ...]:
    """Pick the stretches that speak most clearly for and against a decision.

    Parameters
    ----------
    words
        The words of the post.
    contributions
        Each word's part in the decision, in log-odds; positive speaks for it.

    Returns
    -------
    Spans on word boundaries that do not overlap: at most `MAX_SUPPORTING_QUOTES` of positive weight, then at most
    `MAX_OPPOSING_QUOTES` of negative weight, each group from strongest to weakest. A span's weight is the
    sum of its words' contributions.
    """
    if not words.forms:
        return ()
    sums, quotable = _score_ranges(words, contributions)
    floor = max(MIN_LOG_ODDS, MIN_RELATIVE_WEIGHT * float(np.abs(sums[quotable]).max(initial=0)))
    # A word joins a stretch only where it adds more than half an average word does: short is clear.
    price = np.abs(contributions).mean() / 2 * np.arange(MAX_QUOTE_WORDS)[:, None]
    chosen = _pick_best(np.where(quotable & (sums >= floor), sums - price, -np.inf), MAX_SUPPORTING_QUOTES)
    against = np.where(quotable & (sums <= -floor), -sums - price, -np.inf)
    for stretch in chosen:
        _mask_overlapping(against, stretch)
    chosen += _pick_best(against, MAX_OPPOSING_QUOTES)
    spans = [_span(words, sums, stretch) for stretch in chosen]
    return tuple(sorted(spans, key=_strongest_first))


def choose_passage(
    words: WordSequence, contributions: FloatArray, exclude: WordRange = (0, 0)
) -> WordRange | None:
    """Find the passage that speaks most for a decision.

    Parameters
    ----------
    words, contributions
        As for `choose_spans`.
    without
        Words that the passage may not share.

    Returns
    -------
    A whole clause, or as much of a longer one as `MAX_PASSAGE_WORDS` allows; of equals the first. None where nothing
    can be quoted.
    """
    before = np.concatenate([[0.0], np.cumsum(contributions)])
    best, most = None, -np.inf
    for start, end in _clauses(words):
        for at in range(start, max(start, end - MAX_PASSAGE_WORDS) + 1):
            behind = min(end, at + MAX_PASSAGE_WORDS)
            weight = before[behind] - before[at]
            if weight > most and (behind <= exclude[0] or at >= sum(exclude)):
                best, most = (at, behind - at), weight
    return best


def _clauses(words: WordSequence) -> list[tuple[int, int]]:
    """First word and the one behind the last, of each clause but placeholders, which stand for themselves."""
    borders = [0, *(np.flatnonzero(np.diff(words.clauses)) + 1).tolist(), len(words.forms)]
    return [
        (start, end) for start, end in pairwise(borders) if start < end and not words.is_placeholder[start]
    ]


def _span(words: WordSequence, sums: FloatArray, stretch: WordRange) -> Span:
    at, length = stretch
    last = at + length - 1
    return Span(start=int(words.starts[at]), end=int(words.ends[last]), weight=float(sums[length - 1, at]))


def _strongest_first(span: Span) -> tuple[bool, float]:
    weight = span.weight or 0.0
    return weight < 0, -abs(weight)


def _score_ranges(words: WordSequence, contributions: FloatArray) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Rate all stretches of words that are short enough.

    Returns
    -------
    Two arrays of shape (LONGEST_QUOTE, words); [n, i] is about the n + 1 words from word i on. The
    first has the sum of their contributions, the second whether they can be quoted: all stand in one
    clause, and none is a placeholder.
    """
    count = len(words.forms)
    first = np.arange(count)
    beyond = first + np.arange(1, MAX_QUOTE_WORDS + 1)[:, None]
    inside = np.minimum(beyond, count)
    before = np.concatenate([[0.0], np.cumsum(contributions)])
    quotable = (beyond <= count) & (words.clauses[inside - 1] == words.clauses) & ~words.is_placeholder
    return before[inside] - before[:count], quotable


def _pick_best(scores: FloatArray, most: int) -> list[WordRange]:
    """Take the best stretches one after the other, none sharing a word with another; changes `scores`."""
    chosen: list[WordRange] = []
    while len(chosen) < most:
        length, at = divmod(int(scores.argmax()), scores.shape[1])
        if not scores[length, at] > 0:
            break
        chosen.append((at, length + 1))
        _mask_overlapping(scores, chosen[-1])
    return chosen


def _mask_overlapping(scores: FloatArray, stretch: WordRange) -> None:
    """Bar every stretch that shares a word with this one."""
    at, taken = stretch
    for length in range(1, len(scores) + 1):
        scores[length - 1, max(0, at - length + 1) : at + taken] = -np.inf


def write_rationale(
    reason: ExplanationTemplate, text: str, spans: Sequence[Span], because: str, informative: bool
) -> str:
    """Write an explanation that quotes only what stands in the post.

    Parameters
    ----------
    reason
        The task's own sentences.
    text
        The post.
    spans
        Evidence as `choose_spans` gives it.
    because
        The label's words for what such wording goes with.
    telling
        False where the decision is hardly more than what is usual; the explanation then says so.
    """
    quotes_for = _quotes(reason, text, [span for span in spans if (span.weight or 0) > 0])
    quotes_against = _quotes(reason, text, [span for span in spans if (span.weight or 0) < 0])
    sentences = []
    if quotes_for:
        sentences.append(reason.evidence.format(quotes=quotes_for, because=because))
    if quotes_against:
        sentences.append(reason.counter_evidence.format(quotes=quotes_against, because=because))
    elif quotes_for and informative:
        sentences.append(reason.no_counter_evidence)
    if not (quotes_for and informative):
        sentences.append(reason.inconclusive)
    return " ".join(sentences)


def _quotes(reason: ExplanationTemplate, text: str, spans: Sequence[Span]) -> str:
    """Quote each wording once."""
    opening, closing = reason.quote_marks
    wordings: dict[str, str] = {}
    for span in spans:
        wording = text[span.start : span.end]
        wordings.setdefault(wording.lower(), wording)
    return reason.quote_separator.join(f"{opening}{wording}{closing}" for wording in wordings.values())
