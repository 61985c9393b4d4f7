"""Answers with evidence, for reasons that are bound to it."""

from __future__ import annotations

from collections.abc import Sequence

from mentallama.explain.answers import ExplainedAnswer
from mentallama.explain.reasons.run import EvidencedAnswer
from mentallama.records import Span, example_of
from tests.factories.linear_cases import make_post

TEXT = "I cannot get out of bed, and I cry all day long. My sister cooks for me and nobody else calls."


def evidence(
    number: int = 0, passages: Sequence[str] = ("I cry all day long", "I cannot get out of bed")
) -> EvidencedAnswer:
    """An answer to the question of DR about `TEXT`; `number` tells posts apart."""
    post = make_post("DR", "test", f"{TEXT} Day {number}.", {"depression": "yes"})
    spans = tuple(
        Span(start=(start := post.text.index(passage)), end=start + len(passage), weight=2.0 - rank)
        for rank, passage in enumerate(passages)
    )
    return EvidencedAnswer(
        ExplainedAnswer(example_of(post, "depression", "instruction"), "yes", ()), "exact", spans
    )
