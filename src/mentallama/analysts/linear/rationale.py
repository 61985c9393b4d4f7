"""The explanation that is written from the evidence of a linear decision, and passages for it.

The evidence is one contribution per word, in log-odds; with the prior they add up to the decision. So the quotes are
what the decision rests on, not a post-hoc approximation.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import numpy as np

from mentallama.analysts.linear.features import FloatArray, WordSequence
from mentallama.records import Span
from mentallama.tasks import ExplanationTemplate

MAX_PASSAGE_WORDS = 14
"""Words in a passage that is quoted on its own; most clauses are shorter."""

NEAR_PRIOR = 0.05
"""A probability this close to the label's prior is hardly more informative than the prior."""

WordRange = tuple[int, int]
"""First word and number of words."""

Support = Literal["clear", "weak", "none"]
"""How far a post speaks for the label that it was given: "none" if the label is no likelier than it usually is, "weak"
if it is hardly likelier (`NEAR_PRIOR`)."""


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
