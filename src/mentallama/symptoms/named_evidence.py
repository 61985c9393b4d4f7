"""Name the symptoms or items that evidence rests on: `sleep: “can't sleep for weeks”`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mentallama.records import Span
from mentallama.symptoms.matcher import SymptomMention, SymptomTable
from mentallama.symptoms.status import MentionStatus

_STATUS_WORDS: dict[MentionStatus, str] = {
    "present": "",
    "negated": " (negated)",
    "uncertain": " (uncertain)",
    "past": " (past)",
    "someone_else": " (someone else's)",
}


@dataclass(frozen=True)
class NamedEvidence:
    """Evidence that mentions a symptom. `name` is an item of a pack, or the symptom.

    `start` and `end` enclose the mention and the evidence that overlaps it; `weight` is the sum of the latter's.
    """

    name: str
    status: MentionStatus
    start: int
    end: int
    quotation: str
    weight: float

    def __str__(self) -> str:
        return f"{self.name}{_STATUS_WORDS[self.status]}: “{self.quotation}”"


def name_evidence(
    text: str, spans: Iterable[Span], table: SymptomTable, pack: str | None = None
) -> tuple[NamedEvidence, ...]:
    """The mentions of a text that evidence overlaps, the heaviest first; evidence without a mention has no name.

    Parameters
    ----------
    spans
        Evidence in the text, such as `Prediction.evidence`.
    table
        The text's mentions, of `find_symptoms`.
    pack
        Name the items of this pack, and only mentions that speak for one; None: name symptoms.

    Examples
    --------
    >>> from mentallama.symptoms import find_symptoms
    >>> text = "I can't sleep for weeks and the bus was late"
    >>> named = name_evidence(text, [Span(start=2, end=23, weight=1.5)], find_symptoms(text), "PHQ-9")
    >>> print(named[0])
    sleep: “can't sleep for weeks”
    """
    spans = tuple(spans)
    named = [
        _named(text, name, mention, overlapping)
        for mention in table.mentions
        if (overlapping := [span for span in spans if span.start < mention.end and mention.start < span.end])
        for name in ((mention.symptom,) if pack is None else mention.criteria.get(pack, ()))
    ]
    return tuple(sorted(named, key=lambda evidence: (-abs(evidence.weight), evidence.start)))


def _named(text: str, name: str, mention: SymptomMention, spans: list[Span]) -> NamedEvidence:
    start = min(mention.start, *(span.start for span in spans))
    end = max(mention.end, *(span.end for span in spans))
    weight = sum(span.weight or 0.0 for span in spans)
    return NamedEvidence(name, mention.status, start, end, text[start:end], weight)
