"""Plausibility: agreement of evidence with what annotators marked (DeYoung et al. 2020, ERASER, section 4.1)."""

from __future__ import annotations

from collections.abc import Sequence

from mentallama.attribution.base import CharRange
from mentallama.explain.results import Plausibility
from mentallama.explain.word_ranking import FloatArray
from mentallama.metrics.span_overlap import partial_match_f1, ranking_auprc, token_overlap, touched_tokens
from mentallama.records import Span


def plausibility(
    words: Sequence[CharRange], weights: FloatArray, spans: Sequence[Span], annotated: Sequence[Span]
) -> Plausibility | None:
    """Compare evidence with the annotators' passages; None if these hold no word.

    Parameters
    ----------
    words, weights
        The post's words and the weight of each.
    spans
        The passages that would be quoted; those against the label do not count.
    annotated
        Passages that annotators marked for the label.
    """
    gold = [(span.start, span.end) for span in annotated]
    if not touched_tokens(words, gold):
        return None
    quoted = [(span.start, span.end) for span in spans if span.weight is None or span.weight > 0]
    return Plausibility(
        token_f1=token_overlap(words, quoted, gold).f1,
        iou_f1=partial_match_f1(words, quoted, gold),
        auprc=ranking_auprc(words, weights.tolist(), gold),
    )
