"""Evidence and explanation of an answer of several parts: a sentence for each part that it names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from mentallama.analysts.evidence_phrases import choose_spans
from mentallama.analysts.linear.decision import Decision
from mentallama.analysts.linear.features import WordSequence
from mentallama.analysts.linear.rationale import quote_spans
from mentallama.analysts.linear.serialization import LinearHead
from mentallama.records import Span
from mentallama.tasks import Task
from mentallama.tasks.answer_kinds import PRESENT, Part

MAX_NAMED_PARTS = 4
"""Parts that an explanation names, the most probable first: more sentences are not read."""


class NamedPart(NamedTuple):
    """A part that an answer names, its level, the level's probability, and the passages that support it."""

    part: Part
    level: str
    probability: float
    spans: tuple[Span, ...]


def supporting_spans(words: WordSequence, decision: Decision, min_weight: float = 0.0) -> tuple[Span, ...]:
    """The phrases that support a decision by more than `min_weight`, in log-odds, from strongest to weakest."""
    spans = choose_spans(words, decision.contributions)
    return tuple(span for span in spans if (span.weight or 0.0) > min_weight)


def named_parts(
    task: Task, words: WordSequence, heads: Mapping[str, LinearHead], decisions: Mapping[str, Decision]
) -> list[NamedPart]:
    """The parts whose level says something: a label or type that is present, an item above its lowest level.

    `heads` and `decisions` are by part. The parts are sorted, the most probable first.
    """
    named = []
    for part in task.parts:
        if part.name not in decisions:
            continue
        metadata, decision = heads[part.name].metadata, decisions[part.name]
        level = metadata.labels[decision.label]
        if level == PRESENT or (part.ordered and level != part.levels[0]):
            spans = supporting_spans(words, decision, metadata.min_quote_weight)
            named.append(NamedPart(part, level, float(decision.probabilities[decision.label]), spans))
    return sorted(named, key=lambda found: -found.probability)


def composite_rationale(task: Task, text: str, named: Sequence[NamedPart]) -> str:
    """A sentence for each of the first `MAX_NAMED_PARTS` parts that have a quotation; or that the words say little."""
    sentences = list(_sentences(task, text, named[:MAX_NAMED_PARTS]))
    return " ".join(sentences or [task.explanation_template.inconclusive])


def _sentences(task: Task, text: str, named: Sequence[NamedPart]) -> Iterator[str]:
    template = task.explanation_template
    for part, level, _, spans in named:
        if quotes := quote_spans(template, text, spans):
            because = task.labels[part.name if level == PRESENT else level].because
            sentence = template.evidence.format(quotes=quotes, because=because)
            yield f"{part.name}: {sentence}" if part.ordered else sentence


def composite_evidence(named: Sequence[NamedPart]) -> tuple[Span, ...]:
    """The passages that support the parts, from strongest to weakest; where two overlap, the stronger one."""
    chosen: list[Span] = []
    spans = [span for found in named[:MAX_NAMED_PARTS] for span in found.spans]
    for span in sorted(spans, key=lambda span: -(span.weight or 0.0)):
        if all(span.end <= other.start or other.end <= span.start for other in chosen):
            chosen.append(span)
    return tuple(chosen)
