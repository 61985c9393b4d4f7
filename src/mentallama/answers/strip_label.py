"""Remove statements of the label from an explanation, so that the label has to follow from the reasons alone."""

from __future__ import annotations

import re
from functools import cache

from mentallama.answers.answer_language import answer_language
from mentallama.answers.label_mentions import LabelName, marked_labels
from mentallama.answers.language_rules import fold
from mentallama.records import FORMS
from mentallama.tasks import Task
from mentallama.text.tokenize import word_tokens

_SENTENCES = re.compile(r"(?<=[.!?؟۔])[\"'”’»)\]*_]*\s+|(?<=[。！？])[”’」』）]*|\n+")
_OPENING_CLAUSE = re.compile(r"[^,.:;!?，。：；！–—\n-]{1,60}[,.:;!，。：；！–—-]")
_MARKER_PREFIX = re.compile(r"[^.:：]{1,30}[:：]")
_MAX_SENTENCES = 5000
"""Sentences that are searched at the beginning and at the end of an explanation."""
_MAX_SHORT_ANSWER = 500
"""Characters of a sentence that may be nothing but an answer; longer ones are not split into words."""
_SHORT_ANSWER_WORDS = 2
"""Answers of at most this many words ("yes", "social relationships") count as statements only on their own."""


def strip_label(task: Task, explanation: str) -> str:
    """Remove the sentences of an explanation that merely restate the answer.

    These are sentences that contain an answer sentence of the task (of any label, in either form), sentences that name
    the answer after a marker ("Answer: work"), and a first sentence that opens with the label ("Yes, …"). A conclusion
    in other words ("so the job is the cause") is part of the explanation and stays. If nothing would be left, only the
    statements themselves are removed and the rest of their sentences stays. An explanation that consists of its answer
    alone gives "".
    """
    sentences = [sentence.strip() for sentence in _SENTENCES.split(explanation) if sentence.strip()]
    unread = range(_MAX_SENTENCES, len(sentences) - _MAX_SENTENCES)
    remaining = [
        text
        for i, text in enumerate(sentences)
        if i in unread or not _restates_label(task, text, first=i == 0)
    ]
    if not remaining:
        remaining = [_strip_restatement(task, text, first=i == 0) for i, text in enumerate(sentences)]
    return " ".join(text for text in remaining if any(map(str.isalnum, text)))


def _restates_label(task: Task, sentence: str, *, first: bool) -> bool:
    return (
        _is_short_answer(task, sentence)
        or _label_sentence_pattern(task).search(sentence) is not None
        or (first and _opening_label_end(task, sentence) > 0)
        or (_MARKER_PREFIX.match(sentence) is not None and bool(_marked(task, sentence)))
    )


def _marked(task: Task, sentence: str) -> frozenset[LabelName]:
    text = fold(sentence)
    language = answer_language(task, text)
    return marked_labels(task, text, language.rules, language.headings).labels


def _strip_restatement(task: Task, sentence: str, *, first: bool) -> str:
    if _is_short_answer(task, sentence):
        return ""
    return _label_sentence_pattern(task).sub(
        " ", sentence[_opening_label_end(task, sentence) if first else 0 :]
    )


def _opening_label_end(task: Task, sentence: str) -> int:
    """End offset of the label that a sentence opens with; 0 if it does not open with one."""
    clause = _OPENING_CLAUSE.match(sentence)
    return clause.end() if clause and _joined_tokens(clause[0]) in _short_answers(task) else 0


def _is_short_answer(task: Task, sentence: str) -> bool:
    return len(sentence) <= _MAX_SHORT_ANSWER and _joined_tokens(sentence) in _short_answers(task)


def _joined_tokens(text: str) -> str:
    return " ".join(word_tokens(text))


@cache
def _short_answers(task: Task) -> frozenset[str]:
    """Answers and label names as space-separated tokens."""
    names = list(task.labels)
    if not task.is_yes_no:  # a yes/no task's aliases are parts of sentences, such as "depressed"
        names += [alias for label in task.labels.values() for alias in label.aliases]
    answers = [label.answer.for_form(form) for label in task.labels.values() for form in FORMS]
    return frozenset(map(_joined_tokens, (*names, *answers)))


@cache
def _label_sentence_pattern(task: Task) -> re.Pattern[str]:
    """Pattern of answer sentences longer than `_SHORT_ANSWER_WORDS`, with or without their opening "Yes," or "No,"."""
    sentences = {
        _joined_tokens(label.answer.for_form(form)) for label in task.labels.values() for form in FORMS
    }
    without_opening = {
        sentence.partition(" ")[2] for sentence in sentences if sentence.partition(" ")[0] in task.labels
    }
    phrases = sorted(
        (p for p in sentences | without_opening if p.count(" ") >= _SHORT_ANSWER_WORDS),
        key=lambda p: (-len(p), p),
    )
    joined = "|".join(r"[\W_]*".join(map(re.escape, phrase.split(" "))) for phrase in phrases)
    return re.compile(rf"\b(?=\w)(?:{joined})" if joined else r"(?!)", re.IGNORECASE)
