"""Template teacher: explain a label offline, from a linear analyst's evidence and the task's sentence templates.

It says less than a language model would, and nothing untrue: every quotation is in the post verbatim, and a label that
the words hardly support is reported as such.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from mentallama.analysts.evidence_phrases import choose_spans
from mentallama.analysts.linear.analyst import LabelAttribution, LinearAnalyst
from mentallama.analysts.linear.features import FloatArray
from mentallama.analysts.linear.rationale import WordRange, choose_passage
from mentallama.answers.format import write_answer
from mentallama.prompts import PromptMode, answer_object
from mentallama.records import Example, Span
from mentallama.tasks import ExplanationTemplate, Task
from mentallama.tasks.answer_kinds import ABSENT
from mentallama.tasks.answer_values import levels_value, value_levels, value_quotations

WEAK_LOG_ODDS = 0.2
"""Log-odds below which the strongest passage moves an even probability by less than 5 %."""

MAX_EXTRA_SUPPORTING_QUOTES, MAX_OPPOSING_QUOTES = 2, 1
"""Numbers of quotations in addition to the strongest passage."""


@dataclass(frozen=True)
class TemplateTeacher:
    """A linear analyst as a teacher; `model` is its name in responses."""

    analyst: LinearAnalyst
    model: str
    mode: PromptMode
    structured: bool

    def supports(self, example: Example) -> bool:
        """Whether the analyst was trained on the example's question."""
        return (example.task, example.question) in self.analyst.supported_questions

    def respond(self, example: Example, task: Task) -> str:
        """Explain the label in the data (`label-given`), or the predicted one (`zero-shot`), in the example's form."""
        attribution = self.analyst.explain(example, example.label if self.mode == "label-given" else None)
        label = attribution.label
        if task.is_composite:
            quotes, explanation = explain_parts(
                task, label, example.text, partial(self.analyst.explain, example)
            )
        else:
            quotes, explanation = explain(task, example.question, example.text, attribution)
        if self.structured:
            return json.dumps(answer_object(task, label, explanation, quotes), ensure_ascii=False)
        return write_answer(task, example.question, label, explanation, example.form)


def explain_parts(
    task: Task, label: str, text: str, attribute: Callable[[str], LabelAttribution]
) -> tuple[list[str], str]:
    """Return quotations for an answer of several parts, and a sentence on each part that has some.

    An answer of the kind spans is explained by its own quotations, another by the passage that weighs most for each
    label that is present or item that is filled. Where the words hardly support any, the most distinctive passage is
    quoted as such. `attribute` divides an answer among the words.
    """
    template, sentences, quoted = task.explanation_template, [], list[str]()
    for name, because, quotes in _quoted_parts(task, label, text, attribute):
        sentence = template.evidence.format(quotes=_join_quotes(template, quotes), because=because)
        sentences.append(f"{name}: {sentence}" if task.kind == "scale" else sentence)
        quoted += [quote for quote in quotes if quote not in quoted]
    if sentences:
        return quoted, " ".join(sentences)
    whole = attribute(label)
    passage = choose_passage(whole.words, whole.tfidf_shares)
    if passage is None:
        return [], template.inconclusive
    quotes = _distinct_texts(text, [_span(whole, passage)])
    against = template.counter_evidence.format(quotes=_join_quotes(template, quotes), because="")
    return quotes, f"{against} {template.inconclusive}"


def _quoted_parts(
    task: Task, label: str, text: str, attribute: Callable[[str], LabelAttribution]
) -> Iterator[tuple[str, str, list[str]]]:
    """Name, `because` and quotations of each part of an answer that has quotations."""
    if task.kind == "spans":
        by_type: dict[str, list[str]] = {}
        for type_, quotation in value_quotations(task, label):
            by_type.setdefault(type_, []).append(quotation)
        for type_, quotations in by_type.items():
            yield type_, task.labels[type_].because, quotations
        return
    for name, level in value_levels(task, label).items():
        if level == ABSENT:
            continue
        attribution = attribute(levels_value(task, {name: level}))
        passage = choose_passage(attribution.words, _word_weights(attribution))
        if passage is not None and _passage_weight(attribution, passage) >= WEAK_LOG_ODDS:
            because = task.labels[name if task.kind == "multi" else level].because
            yield name, because, _distinct_texts(text, [_span(attribution, passage)])


def explain(task: Task, question: str, text: str, attribution: LabelAttribution) -> tuple[list[str], str]:
    """Return quotations for a label, the weightiest first, and an explanation that quotes them.

    A post without words has nothing to quote: its explanation says that there is little evidence.
    """
    template, because = task.explanation_template, task.labels[attribution.label].because
    passage = choose_passage(attribution.words, _word_weights(attribution))
    if passage is None:
        return [], template.inconclusive
    if _passage_weight(attribution, passage) < WEAK_LOG_ODDS:
        spans = [_span(attribution, passage), *_distinctive_spans(attribution, passage)]
        quotes = _distinct_texts(text, spans)
        sentence = _weak_template(template).format(
            quotes=_join_quotes(template, quotes), because=because, question=question
        )
        return quotes, sentence
    others = _spans_outside(attribution, passage)
    supporting = [span for span in others if (span.weight or 0) > 0][:MAX_EXTRA_SUPPORTING_QUOTES]
    opposing = [span for span in others if (span.weight or 0) < 0][:MAX_OPPOSING_QUOTES]
    quotes = _distinct_texts(text, [_span(attribution, passage), *supporting])
    supported = template.given_label_supported
    strong = template.evidence if supported is None else supported
    sentences = [strong.format(quotes=_join_quotes(template, quotes), because=because, question=question)]
    counter_quotes = _distinct_texts(text, opposing)
    if counter_quotes:
        joined = _join_quotes(template, counter_quotes)
        sentences.append(template.counter_evidence.format(quotes=joined, because=because))
    return quotes, " ".join(sentences)


def _word_weights(attribution: LabelAttribution) -> FloatArray:
    """Contribution of each word to the label; for a label without training posts, its share of the tf-idf weight."""
    return attribution.tfidf_shares if attribution.contributions is None else attribution.contributions


def _passage_weight(attribution: LabelAttribution, passage: WordRange) -> float:
    if attribution.contributions is None:
        return 0.0
    start, length = passage
    return float(attribution.contributions[start : start + length].sum())


def _distinctive_spans(attribution: LabelAttribution, passage: WordRange) -> list[Span]:
    """The most distinctive passage by tf-idf outside the chosen one, if there is any."""
    other = choose_passage(attribution.words, attribution.tfidf_shares, passage)
    return [] if other is None else [_span(attribution, other)]


def _spans_outside(attribution: LabelAttribution, passage: WordRange) -> tuple[Span, ...]:
    """Evidence spans outside the passage."""
    start, length = passage
    excluded = attribution.words.is_placeholder.copy()
    excluded[start : start + length] = True
    return choose_spans(replace(attribution.words, is_placeholder=excluded), _word_weights(attribution))


def _span(attribution: LabelAttribution, passage: WordRange) -> Span:
    start, length = passage
    words = attribution.words
    return Span(start=int(words.starts[start]), end=int(words.ends[start + length - 1]))


def _distinct_texts(text: str, spans: Sequence[Span]) -> list[str]:
    """Texts of the spans, without repetitions that differ in case only."""
    by_lower: dict[str, str] = {}
    for span in spans:
        quote = text[span.start : span.end]
        by_lower.setdefault(quote.lower(), quote)
    return list(by_lower.values())


def _weak_template(template: ExplanationTemplate) -> str:
    if template.given_label_unsupported is not None:
        return template.given_label_unsupported
    return f"{template.counter_evidence} {template.inconclusive}"


def _join_quotes(template: ExplanationTemplate, quotes: Sequence[str]) -> str:
    opening, closing = template.quote_marks
    return template.quote_separator.join(f"{opening}{quote}{closing}" for quote in quotes)
