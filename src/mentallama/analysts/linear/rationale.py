"""Evidence spans of a linear decision, and the explanation written from them.

The input is one contribution per word, in log-odds; with the prior they add up to the decision. So the quotes are
what the decision rests on, not a post-hoc approximation.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mentallama.analysts.linear.features import FloatArray, WordSequence
from mentallama.records import Span
from mentallama.tasks import ExplanationTemplate

MAX_QUOTE_WORDS = 6
"""Words in one quotation; longer ones cannot be taken in at a glance."""

MAX_PASSAGE_WORDS = 14
"""Words in a passage that is quoted on its own; most clauses are shorter."""

MAX_SUPPORTING_QUOTES, MAX_OPPOSING_QUOTES = 4, 2
"""Quotations for and against; explanations in the published release have two to four."""

MIN_LOG_ODDS = 0.02
"""Log-odds below which a span changes a probability by less than half a percent."""

MIN_RELATIVE_WEIGHT = 0.25
"""Fraction of the strongest span's weight below which a span is not quoted."""

NEAR_PRIOR = 0.05
"""A probability this close to the label's prior is hardly more informative than the prior."""

Support = Literal["clear", "weak", "none"]
"""How far a post speaks for the label that it was given: "none" if the label is no likelier than it usually is, "weak"
if it is hardly likelier (`NEAR_PRIOR`)."""

WordRange = tuple[int, int]
"""First word and number of words."""


def choose_spans(words: WordSequence, contributions: FloatArray) -> tuple[Span, ...]:
    """Pick the spans that support and oppose a decision most clearly.

    Parameters
    ----------
    words
        The words of the post.
    contributions
        Each word's contribution to the decision, in log-odds; positive supports it.

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
    # A span grows by a word only if that adds more than half the average contribution of a word: short spans are
    # clearer.
    price = np.abs(contributions).mean() / 2 * np.arange(MAX_QUOTE_WORDS)[:, None]
    chosen = _pick_best(np.where(quotable & (sums >= floor), sums - price, -np.inf), MAX_SUPPORTING_QUOTES)
    against = np.where(quotable & (sums <= -floor), -sums - price, -np.inf)
    for word_range in chosen:
        _mask_overlapping(against, word_range)
    chosen += _pick_best(against, MAX_OPPOSING_QUOTES)
    spans = [_span(words, sums, word_range) for word_range in chosen]
    return tuple(sorted(spans, key=_strongest_first))


def choose_passage(
    words: WordSequence, contributions: FloatArray, exclude: WordRange = (0, 0)
) -> WordRange | None:
    """Find the passage that supports a decision most.

    Parameters
    ----------
    words, contributions
        As for `choose_spans`.
    exclude
        Words that the passage must not contain.

    Returns
    -------
    A whole clause, or the best `MAX_PASSAGE_WORDS` words of a longer one; the first in case of a tie. None if nothing
    can be quoted.
    """
    before = np.concatenate([[0.0], np.cumsum(contributions)])
    best, most = None, -np.inf
    for start, end in _clauses(words):
        for first in range(start, max(start, end - MAX_PASSAGE_WORDS) + 1):
            stop = min(end, first + MAX_PASSAGE_WORDS)
            weight = before[stop] - before[first]
            if weight > most and (stop <= exclude[0] or first >= sum(exclude)):
                best, most = (first, stop - first), weight
    return best


def _clauses(words: WordSequence) -> list[tuple[int, int]]:
    """Start and end (exclusive) of each clause, as word indices; placeholders, which are clauses of their own, are left
    out."""
    borders = [0, *(np.flatnonzero(np.diff(words.clauses)) + 1).tolist(), len(words.forms)]
    return [
        (start, end) for start, end in pairwise(borders) if start < end and not words.is_placeholder[start]
    ]


def _span(words: WordSequence, sums: FloatArray, word_range: WordRange) -> Span:
    first, length = word_range
    last = first + length - 1
    weight = float(sums[length - 1, first])
    return Span(start=int(words.starts[first]), end=int(words.ends[last]), weight=weight)


def _strongest_first(span: Span) -> tuple[bool, float]:
    weight = span.weight or 0.0
    return weight < 0, -abs(weight)


def _score_ranges(words: WordSequence, contributions: FloatArray) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Score all ranges of at most `MAX_QUOTE_WORDS` words.

    Returns
    -------
    Two arrays, shape (MAX_QUOTE_WORDS, words); [n, i] is about the n + 1 words from word i on. The first is the sum of
    their contributions, the second whether they can be quoted: all are in one clause, and none is a placeholder.
    """
    count = len(words.forms)
    first = np.arange(count)
    stop = first + np.arange(1, MAX_QUOTE_WORDS + 1)[:, None]
    inside = np.minimum(stop, count)
    before = np.concatenate([[0.0], np.cumsum(contributions)])
    quotable = (stop <= count) & (words.clauses[inside - 1] == words.clauses) & ~words.is_placeholder
    return before[inside] - before[:count], quotable


def _pick_best(scores: FloatArray, most: int) -> list[WordRange]:
    """Pick the best ranges greedily, without overlaps; modifies `scores`."""
    chosen: list[WordRange] = []
    while len(chosen) < most:
        row, first = divmod(int(scores.argmax()), scores.shape[1])
        if not scores[row, first] > 0:
            break
        chosen.append((first, row + 1))
        _mask_overlapping(scores, chosen[-1])
    return chosen


def _mask_overlapping(scores: FloatArray, word_range: WordRange) -> None:
    """Exclude every range that shares a word with this one."""
    first, n_words = word_range
    for length in range(1, len(scores) + 1):
        scores[length - 1, max(0, first - length + 1) : first + n_words] = -np.inf


def outweighing_spans(spans: tuple[Span, ...], support: Support) -> tuple[Span, ...]:
    """Leave out the supporting spans if the opposing ones outweigh them, or if the post as a whole does not speak for
    the label: quotes must not seem to support an answer that does not rest on them."""
    if support != "none" and sum(span.weight or 0 for span in spans) > 0:
        return spans
    return tuple(span for span in spans if (span.weight or 0) < 0)


def write_rationale(
    template: ExplanationTemplate, text: str, spans: Sequence[Span], because: str, support: Support
) -> str:
    """Write an explanation whose quotes are verbatim from the post.

    Where little or nothing speaks for the label, it says so, and that the answer rests on what is usual.

    Parameters
    ----------
    template
        The task's explanation template.
    text
        The post.
    spans
        Evidence from `outweighing_spans`.
    because
        The label's phrase for what such wording indicates.
    support
        How far the whole post speaks for the label.
    """
    quotes_for = quote_spans(template, text, [span for span in spans if (span.weight or 0) > 0])
    quotes_against = quote_spans(template, text, [span for span in spans if (span.weight or 0) < 0])
    sentences = []
    if quotes_for:
        sentences.append(template.evidence.format(quotes=quotes_for, because=because))
    if quotes_against:
        sentences.append(template.counter_evidence.format(quotes=quotes_against, because=because))
    elif quotes_for and support == "clear":
        sentences.append(template.no_counter_evidence)
    if support == "none":
        sentences.append(template.unsupported or template.inconclusive)
    elif support == "weak" or not quotes_for:
        sentences.append(template.inconclusive)
    return " ".join(sentences)


def quote_spans(template: ExplanationTemplate, text: str, spans: Sequence[Span]) -> str:
    """The quoted spans, each wording once; "" without any."""
    opening, closing = template.quote_marks
    wordings: dict[str, str] = {}
    for span in spans:
        wording = text[span.start : span.end]
        wordings.setdefault(wording.lower(), wording)
    return template.quote_separator.join(f"{opening}{wording}{closing}" for wording in wordings.values())
