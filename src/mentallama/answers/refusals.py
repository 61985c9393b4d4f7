"""Tell refusals from disclaimers before an answer, and from what the poster says."""

from __future__ import annotations

import re

from mentallama.answers.answer_language import AnswerLanguage
from mentallama.answers.label_mentions import LabelName, excerpt_labels, sentences
from mentallama.answers.language_rules import Rules
from mentallama.tasks import Task
from mentallama.text.quotation_marks import quoted_spans

_SEARCHED = 4000
"""Characters at the beginning of an answer in which a refusal is looked for."""


def is_refusal(text: str, headings: Rules) -> bool:
    """Whether the model declines to answer somewhere in a folded text, outside quotations and reported speech."""
    return any(_declines(sentence, headings) for sentence in sentences(_own_words(text)))


def labels_beside_refusal(task: Task, text: str, language: AnswerLanguage) -> frozenset[LabelName]:
    """Labels that a text states about the post beside its refusal or disclaimer; none if it only names a topic."""
    rules, headings = language.rules, language.headings
    labels: set[LabelName] = set()
    for sentence in sentences(text[:_SEARCHED]):
        for statement in _statements(sentence, rules):
            declines = _declines(statement, headings) or headings.apology.search(statement)
            answers = task.is_yes_no and rules.yes_no.search(statement)
            if not declines and (answers or rules.statement.search(statement)):
                labels |= excerpt_labels(task, statement.strip(), rules)
    return frozenset(labels)


def _own_words(text: str) -> str:
    """The beginning of a text with its quotations blanked out, unless all of it is one quotation."""
    text = text[:_SEARCHED]
    pieces, position = [], 0
    for span in quoted_spans(text):
        if text[: span.start].strip() or text[span.end :].strip(" \n.,;:!?"):
            pieces += [text[position : span.start], '"~"']
            position = span.end
    return "".join([*pieces, text[position:]])


def _declines(sentence: str, headings: Rules) -> bool:
    if headings.refusal_word.search(sentence) is None:
        return False
    return any(
        (match := refusal.search(sentence)) and not _is_reported(sentence[: match.start()], reported)
        for refusal, reported in headings.refusals
    )


def _is_reported(before: str, reported: re.Pattern[str]) -> bool:
    """Whether a verb of saying introduces what follows: "the poster says that"."""
    return reported.search(before.rstrip(" ,").rpartition(",")[2]) is not None


def _statements(sentence: str, rules: Rules) -> list[str]:
    """The parts of a sentence that may each be a statement: divided by "but", or after an "although" clause."""
    parts, position, concedes = [], 0, False
    for contrast in (*rules.contrast.finditer(sentence), None):
        part = sentence[position : contrast.start() if contrast else len(sentence)]
        parts += part.split(",", 1) if concedes else [part]
        if contrast:
            position, concedes = contrast.end(), rules.concessive.fullmatch(contrast[0]) is not None
    return [piece for part in parts for piece in part.split(";")]
