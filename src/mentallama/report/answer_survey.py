"""Counts over the answers of a run: explanations, quotations, evidence; the texts only of synthetic posts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from mentallama.records import Form, Post, Prediction, Span, example_id
from mentallama.text.quote_extraction import extract_quotes
from mentallama.text.quote_matching import match_exact
from mentallama.text.tokenize import word_tokens

MAX_EXAMPLES = 3
"""Synthetic posts that are shown."""


@dataclass(frozen=True)
class TestQuestion:
    """A labelled question about a test post."""

    __test__ = False  # the name is no test class of pytest's

    set: str
    question: str
    label: str
    text: str
    is_synthetic: bool


@dataclass
class SetAnswers:
    """Counts over the answers to one set's labelled test rows.

    `words` are the lengths of the explanations; `quotes` counts quotations, `verbatim_quotes` those that are in the
    post word for word; `quoting` explanations with at least one. `evidence` counts answers with evidence spans, and
    `evidence_shares` are the shares (0-1) of the post's characters that these cover.
    """

    answers: int = 0
    words: list[int] = field(default_factory=list)
    quoting: int = 0
    quotes: int = 0
    verbatim_quotes: int = 0
    evidence: int = 0
    evidence_shares: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class ShownAnswer:
    """A question about a synthetic test post and its answer."""

    question: TestQuestion
    prediction: Prediction


@dataclass
class AnswerSurvey:
    """Counts over all predictions of a run, and over those about labelled test rows by set."""

    rows: int = 0
    models: set[str] = field(default_factory=set)
    with_explanation: int = 0
    with_evidence: int = 0
    with_probabilities: int = 0
    by_set: dict[str, SetAnswers] = field(default_factory=dict)
    synthetic: dict[str, ShownAnswer] = field(default_factory=dict)
    """An explained answer about a synthetic post of each set, one with evidence if there is any."""

    def shown(self) -> list[ShownAnswer]:
        """The answers that are shown: those with evidence first, in the order of the posts."""
        answers = sorted(self.synthetic.values(), key=lambda shown: not shown.prediction.evidence)
        return answers[:MAX_EXAMPLES]


def read_test_questions(
    posts: Iterable[Post], form: Form
) -> tuple[dict[str, TestQuestion], dict[str, frozenset[str]]]:
    """The labelled questions about test posts by example id, and the origins of the test posts by set."""
    questions: dict[str, TestQuestion] = {}
    origins: dict[str, set[str]] = {}
    for post in posts:
        if post.split != "test":
            continue
        origins.setdefault(post.set, set()).add(post.provenance.origin)
        for question, label in post.labels.items():
            questions[example_id(post.id, question, form)] = TestQuestion(
                post.set, question, label, post.text, post.provenance.synthetic
            )
    return questions, {name: frozenset(of_set) for name, of_set in origins.items()}


def survey_answers(predictions: Iterable[Prediction], questions: Mapping[str, TestQuestion]) -> AnswerSurvey:
    """Count the explanations, quotations and evidence of predictions."""
    survey = AnswerSurvey()
    for prediction in predictions:
        survey.rows += 1
        survey.models.add(prediction.model)
        survey.with_explanation += bool(prediction.reading.explanation)
        survey.with_evidence += bool(prediction.evidence)
        survey.with_probabilities += bool(prediction.probabilities)
        question = questions.get(prediction.example_id)
        if question is None:
            continue
        _count(survey.by_set.setdefault(question.set, SetAnswers()), prediction, question.text)
        if question.is_synthetic and prediction.reading.explanation:
            known = survey.synthetic.get(question.set)
            if known is None or (prediction.evidence and not known.prediction.evidence):
                survey.synthetic[question.set] = ShownAnswer(question, prediction)
    return survey


def _count(counts: SetAnswers, prediction: Prediction, text: str) -> None:
    counts.answers += 1
    explanation = prediction.reading.explanation
    if explanation:
        counts.words.append(len(word_tokens(explanation)))
        quotes = extract_quotes("", explanation)
        counts.quoting += bool(quotes)
        counts.quotes += len(quotes)
        counts.verbatim_quotes += sum(bool(match_exact(text, quote)) for quote in quotes)
    if prediction.evidence and text:
        counts.evidence += 1
        marked = sum(len(part) for part, is_marked in mark_spans(text, prediction.evidence) if is_marked)
        counts.evidence_shares.append(marked / len(text))


def mark_spans(text: str, spans: Iterable[Span]) -> tuple[tuple[str, bool], ...]:
    """A text in pieces, each with whether it is in one of the spans; overlapping spans are one piece.

    >>> mark_spans("so tired today", [Span(start=3, end=8)])
    (('so ', False), ('tired', True), (' today', False))
    """
    pieces: list[tuple[str, bool]] = []
    position = 0
    for start, end in _merged(spans, len(text)):
        pieces += [(text[position:start], False), (text[start:end], True)]
        position = end
    return tuple((part, marked) for part, marked in [*pieces, (text[position:], False)] if part)


def _merged(spans: Iterable[Span], length: int) -> Iterator[tuple[int, int]]:
    merged: list[list[int]] = []
    for span in sorted(spans, key=lambda span: (span.start, span.end)):
        if merged and span.start <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], span.end)
        else:
            merged.append([span.start, span.end])
    return ((start, min(end, length)) for start, end in merged if start < length)
