"""The embedded teacher: explains a label offline, from the linear analyst's evidence and the task's own sentences.

It says less than a language model would, and nothing that is not so: every quotation stands in the post, letter by
letter, and a label that the words hardly support is said to be such.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from mentallama.analysts.linear.analyst import Leaning, LinearAnalyst
from mentallama.analysts.linear.features import Floats
from mentallama.analysts.linear.rationale import Stretch, choose_passage, choose_spans
from mentallama.answers.parse import write_answer
from mentallama.prompts import Mode
from mentallama.records import Example, Span
from mentallama.tasks import Reason, Task

WEAK = 0.2
"""Log-odds below which the strongest passage moves an even probability by less than 5 %."""

MORE_FOR, MORE_AGAINST = 2, 1
"""Quotations beside the strongest passage."""


@dataclass(frozen=True)
class Embedded:
    """An analyst as a teacher; `model` is what its responses name."""

    analyst: LinearAnalyst
    model: str
    mode: Mode
    structured: bool

    def answers(self, example: Example) -> bool:
        """Whether the analyst was trained on the example's question."""
        return (example.task, example.question) in self.analyst.tasks

    def respond(self, example: Example, task: Task) -> str:
        """Explain the set's label (`label-given`), or the analyst's own (`zero-shot`), in the example's form."""
        leaning = self.analyst.explain(example, example.label if self.mode == "label-given" else None)
        quotes, explanation = explain(task, example.question, example.text, leaning)
        if self.structured:
            fields = {"label": leaning.label, "explanation": explanation, "evidence": quotes}
            return json.dumps(fields, ensure_ascii=False)
        return write_answer(task, example.question, leaning.label, explanation, example.form)


def explain(task: Task, question: str, text: str, leaning: Leaning) -> tuple[list[str], str]:
    """Quotations for a label, the weightiest first, and an explanation that quotes them.

    A post without words has nothing to quote: its explanation says that there is little evidence.
    """
    reason, because = task.reason, task.labels[leaning.label].because
    passage = choose_passage(leaning.words, _leanings(leaning))
    if passage is None:
        return [], reason.little
    if _weight(leaning, passage) < WEAK:
        told = _wordings(text, [_span(leaning, passage), *_about(leaning, passage)])
        return told, _weak(reason).format(quotes=_quoted(reason, told), because=because, question=question)
    others = _others(leaning, passage)
    speaking = [span for span in others if (span.weight or 0) > 0][:MORE_FOR]
    told = _wordings(text, [_span(leaning, passage), *speaking])
    strong = reason.evidence if reason.strong is None else reason.strong
    sentences = [strong.format(quotes=_quoted(reason, told), because=because, question=question)]
    against = _wordings(text, [span for span in others if (span.weight or 0) < 0][:MORE_AGAINST])
    if against:
        sentences.append(reason.against.format(quotes=_quoted(reason, against), because=because))
    return told, " ".join(sentences)


def _leanings(leaning: Leaning) -> Floats:
    """What each word says for the label; of a label never seen, what it says at all."""
    return leaning.rarity if leaning.contributions is None else leaning.contributions


def _weight(leaning: Leaning, passage: Stretch) -> float:
    if leaning.contributions is None:
        return 0.0
    at, length = passage
    return float(leaning.contributions[at : at + length].sum())


def _about(leaning: Leaning, passage: Stretch) -> list[Span]:
    """The passage that sets the post apart from others, beside the one that is chosen."""
    other = choose_passage(leaning.words, leaning.rarity, passage)
    return [] if other is None else [_span(leaning, other)]


def _others(leaning: Leaning, passage: Stretch) -> tuple[Span, ...]:
    """Evidence outside the passage."""
    at, length = passage
    taken = leaning.words.scrubbed.copy()
    taken[at : at + length] = True
    return choose_spans(replace(leaning.words, scrubbed=taken), _leanings(leaning))


def _span(leaning: Leaning, passage: Stretch) -> Span:
    at, length = passage
    return Span(start=int(leaning.words.starts[at]), end=int(leaning.words.ends[at + length - 1]))


def _wordings(text: str, spans: Sequence[Span]) -> list[str]:
    """What the spans say, each wording once."""
    wordings: dict[str, str] = {}
    for span in spans:
        wording = text[span.start : span.end]
        wordings.setdefault(wording.lower(), wording)
    return list(wordings.values())


def _weak(reason: Reason) -> str:
    return f"{reason.against} {reason.little}" if reason.weak is None else reason.weak


def _quoted(reason: Reason, quotes: Sequence[str]) -> str:
    opening, closing = reason.quote
    return reason.joiner.join(f"{opening}{quote}{closing}" for quote in quotes)
