"""The embedded teacher: explains a label offline, from the linear analyst's evidence and the task's own sentences.

It says less than a language model would, and nothing that is not so: every quotation stands in the post, letter by
letter, and a label that the words hardly support is said to be such.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from mentallama.analysts.linear.analyst import LabelAttribution, LinearAnalyst
from mentallama.analysts.linear.features import FloatArray
from mentallama.analysts.linear.rationale import WordRange, choose_passage, choose_spans
from mentallama.answers.format import write_answer
from mentallama.prompts import PromptMode
from mentallama.records import Example, Span
from mentallama.tasks import ExplanationTemplate, Task

WEAK_LOG_ODDS = 0.2
"""Log-odds below which the strongest passage moves an even probability by less than 5 %."""

MAX_EXTRA_SUPPORTING_QUOTES, MAX_OPPOSING_QUOTES = 2, 1
"""Quotations beside the strongest passage."""


@dataclass(frozen=True)
class TemplateTeacher:
    """An analyst as a teacher; `model` is what its responses name."""

    analyst: LinearAnalyst
    model: str
    mode: PromptMode
    structured: bool

    def supports(self, example: Example) -> bool:
        """Whether the analyst was trained on the example's question."""
        return (example.task, example.question) in self.analyst.supported_questions

    def respond(self, example: Example, task: Task) -> str:
        """Explain the set's label (`label-given`), or the analyst's own (`zero-shot`), in the example's form."""
        leaning = self.analyst.explain(example, example.label if self.mode == "label-given" else None)
        quotes, explanation = explain(task, example.question, example.text, leaning)
        if self.structured:
            fields = {"label": leaning.label, "explanation": explanation, "evidence": quotes}
            return json.dumps(fields, ensure_ascii=False)
        return write_answer(task, example.question, leaning.label, explanation, example.form)


def explain(task: Task, question: str, text: str, leaning: LabelAttribution) -> tuple[list[str], str]:
    """Quotations for a label, the weightiest first, and an explanation that quotes them.

    A post without words has nothing to quote: its explanation says that there is little evidence.
    """
    reason, because = task.explanation_template, task.labels[leaning.label].because
    passage = choose_passage(leaning.words, _word_weights(leaning))
    if passage is None:
        return [], reason.inconclusive
    if _passage_weight(leaning, passage) < WEAK_LOG_ODDS:
        told = _distinct_texts(text, [_span(leaning, passage), *_distinctive_spans(leaning, passage)])
        return told, _weak_template(reason).format(
            quotes=_join_quotes(reason, told), because=because, question=question
        )
    others = _spans_outside(leaning, passage)
    speaking = [span for span in others if (span.weight or 0) > 0][:MAX_EXTRA_SUPPORTING_QUOTES]
    told = _distinct_texts(text, [_span(leaning, passage), *speaking])
    strong = reason.evidence if reason.given_label_supported is None else reason.given_label_supported
    sentences = [strong.format(quotes=_join_quotes(reason, told), because=because, question=question)]
    against = _distinct_texts(text, [span for span in others if (span.weight or 0) < 0][:MAX_OPPOSING_QUOTES])
    if against:
        sentences.append(
            reason.counter_evidence.format(quotes=_join_quotes(reason, against), because=because)
        )
    return told, " ".join(sentences)


def _word_weights(leaning: LabelAttribution) -> FloatArray:
    """What each word says for the label; of a label never seen, what it says at all."""
    return leaning.tfidf_shares if leaning.contributions is None else leaning.contributions


def _passage_weight(leaning: LabelAttribution, passage: WordRange) -> float:
    if leaning.contributions is None:
        return 0.0
    at, length = passage
    return float(leaning.contributions[at : at + length].sum())


def _distinctive_spans(leaning: LabelAttribution, passage: WordRange) -> list[Span]:
    """The passage that sets the post apart from others, beside the one that is chosen."""
    other = choose_passage(leaning.words, leaning.tfidf_shares, passage)
    return [] if other is None else [_span(leaning, other)]


def _spans_outside(leaning: LabelAttribution, passage: WordRange) -> tuple[Span, ...]:
    """Evidence outside the passage."""
    at, length = passage
    taken = leaning.words.is_placeholder.copy()
    taken[at : at + length] = True
    return choose_spans(replace(leaning.words, is_placeholder=taken), _word_weights(leaning))


def _span(leaning: LabelAttribution, passage: WordRange) -> Span:
    at, length = passage
    return Span(start=int(leaning.words.starts[at]), end=int(leaning.words.ends[at + length - 1]))


def _distinct_texts(text: str, spans: Sequence[Span]) -> list[str]:
    """What the spans say, each wording once."""
    wordings: dict[str, str] = {}
    for span in spans:
        wording = text[span.start : span.end]
        wordings.setdefault(wording.lower(), wording)
    return list(wordings.values())


def _weak_template(reason: ExplanationTemplate) -> str:
    return (
        f"{reason.counter_evidence} {reason.inconclusive}"
        if reason.given_label_unsupported is None
        else reason.given_label_unsupported
    )


def _join_quotes(reason: ExplanationTemplate, quotes: Sequence[str]) -> str:
    opening, closing = reason.quote_marks
    return reason.quote_separator.join(f"{opening}{quote}{closing}" for quote in quotes)
