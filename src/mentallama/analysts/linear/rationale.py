"""Evidence: the stretches of a post that a decision rests on, and the reason written from them.

The input is one contribution a word, in log-odds; their sum and the intercept are the decision. So
what is quoted is what decided, not a guess made afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mentallama.analysts.linear.features import Floats, Words
from mentallama.records import Span
from mentallama.tasks import Reason

LONGEST_QUOTE = 6
"""Words in one quotation: more is no longer read at a glance."""

LONGEST_PASSAGE = 14
"""Words in a passage that is quoted to be understood by itself; a clause is mostly shorter."""

MOST_FOR, MOST_AGAINST = 4, 2
"""Quotations on either side; the reasons in the published release name two to four."""

FAINT = 0.02
"""Log-odds below which a stretch moves a probability by less than half a percent."""

MINOR = 0.25
"""Share of the strongest stretch's weight below which a stretch is not worth a quotation."""

NEAR_USUAL = 0.05
"""A probability this close to the label's usual share says little more than the share did."""

Stretch = tuple[int, int]
"""First word and number of words."""


def choose_spans(words: Words, contributions: Floats) -> tuple[Span, ...]:
    """Pick the stretches that speak most clearly for and against a decision.

    Parameters
    ----------
    words
        The words of the post.
    contributions
        Each word's part in the decision, in log-odds; positive speaks for it.

    Returns
    -------
    Spans on word boundaries that do not overlap: at most `MOST_FOR` of positive weight, then at most
    `MOST_AGAINST` of negative weight, each group from strongest to weakest. A span's weight is the
    sum of its words' contributions.
    """
    if not words.forms:
        return ()
    sums, quotable = _stretches(words, contributions)
    floor = max(FAINT, MINOR * float(np.abs(sums[quotable]).max(initial=0)))
    # A word joins a stretch only where it adds more than half an average word does: short is clear.
    price = np.abs(contributions).mean() / 2 * np.arange(LONGEST_QUOTE)[:, None]
    chosen = _pick(np.where(quotable & (sums >= floor), sums - price, -np.inf), MOST_FOR)
    against = np.where(quotable & (sums <= -floor), -sums - price, -np.inf)
    for stretch in chosen:
        _cross_out(against, stretch)
    chosen += _pick(against, MOST_AGAINST)
    spans = [_span(words, sums, stretch) for stretch in chosen]
    return tuple(sorted(spans, key=_strongest_first))


def choose_passage(words: Words, contributions: Floats, without: Stretch = (0, 0)) -> Stretch | None:
    """Find the passage that speaks most for a decision.

    Parameters
    ----------
    words, contributions
        As for `choose_spans`.
    without
        Words that the passage may not share.

    Returns
    -------
    A whole clause, or as much of a longer one as `LONGEST_PASSAGE` allows; of equals the first. None where nothing
    can be quoted.
    """
    before = np.concatenate([[0.0], np.cumsum(contributions)])
    best, most = None, -np.inf
    for start, end in _clauses(words):
        for at in range(start, max(start, end - LONGEST_PASSAGE) + 1):
            behind = min(end, at + LONGEST_PASSAGE)
            weight = before[behind] - before[at]
            if weight > most and (behind <= without[0] or at >= sum(without)):
                best, most = (at, behind - at), weight
    return best


def _clauses(words: Words) -> list[tuple[int, int]]:
    """First word and the one behind the last, of each clause but placeholders, which stand for themselves."""
    borders = [0, *(np.flatnonzero(np.diff(words.clauses)) + 1).tolist(), len(words.forms)]
    return [(start, end) for start, end in pairwise(borders) if start < end and not words.scrubbed[start]]


def _span(words: Words, sums: Floats, stretch: Stretch) -> Span:
    at, length = stretch
    last = at + length - 1
    return Span(start=int(words.starts[at]), end=int(words.ends[last]), weight=float(sums[length - 1, at]))


def _strongest_first(span: Span) -> tuple[bool, float]:
    weight = span.weight or 0.0
    return weight < 0, -abs(weight)


def _stretches(words: Words, contributions: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Rate all stretches of words that are short enough.

    Returns
    -------
    Two arrays of shape (LONGEST_QUOTE, words); [n, i] is about the n + 1 words from word i on. The
    first has the sum of their contributions, the second whether they can be quoted: all stand in one
    clause, and none is a placeholder.
    """
    count = len(words.forms)
    first = np.arange(count)
    beyond = first + np.arange(1, LONGEST_QUOTE + 1)[:, None]
    inside = np.minimum(beyond, count)
    before = np.concatenate([[0.0], np.cumsum(contributions)])
    quotable = (beyond <= count) & (words.clauses[inside - 1] == words.clauses) & ~words.scrubbed
    return before[inside] - before[:count], quotable


def _pick(scores: Floats, most: int) -> list[Stretch]:
    """Take the best stretches one after the other, none sharing a word with another; changes `scores`."""
    chosen: list[Stretch] = []
    while len(chosen) < most:
        length, at = divmod(int(scores.argmax()), scores.shape[1])
        if not scores[length, at] > 0:
            break
        chosen.append((at, length + 1))
        _cross_out(scores, chosen[-1])
    return chosen


def _cross_out(scores: Floats, stretch: Stretch) -> None:
    """Bar every stretch that shares a word with this one."""
    at, taken = stretch
    for length in range(1, len(scores) + 1):
        scores[length - 1, max(0, at - length + 1) : at + taken] = -np.inf


def write_reason(reason: Reason, text: str, spans: Sequence[Span], because: str, telling: bool) -> str:
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
        sentences.append(reason.against.format(quotes=quotes_against, because=because))
    elif quotes_for and telling:
        sentences.append(reason.nothing_against)
    if not (quotes_for and telling):
        sentences.append(reason.little)
    return " ".join(sentences)


def _quotes(reason: Reason, text: str, spans: Sequence[Span]) -> str:
    """Quote each wording once."""
    opening, closing = reason.quote
    wordings: dict[str, str] = {}
    for span in spans:
        wording = text[span.start : span.end]
        wordings.setdefault(wording.lower(), wording)
    return reason.joiner.join(f"{opening}{wording}{closing}" for wording in wordings.values())
