"""Verify a written reason: it may use nothing of the post but the passages that it was given."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mentallama.answers.answer_language import answer_language
from mentallama.answers.label_mentions import sentence_labels, sentences
from mentallama.answers.language_rules import fold
from mentallama.answers.parse import read_answer
from mentallama.records import Form, Reading
from mentallama.tasks import Task
from mentallama.text.quote_extraction import extract_quotes, replace_quotes
from mentallama.text.quote_matching import match_exact, match_normalized
from mentallama.text.tokenize import UNSPACED_LETTER, word_tokens

MIN_FOREIGN_WORDS = 4
"""Shortest run of words of the post, outside the passages, that a reason may not repeat; shorter ones are chance. Twice
as many characters in scripts without spaces, whose words have two on average."""

_BREAK = "“”"
"""Stands for a quotation between a reason's own words."""

Words = tuple[str, ...]


@dataclass(frozen=True)
class BoundAnswer:
    """An answer, the post that it is about, and the passages that its reason may use."""

    task: Task
    label: str
    post: str
    passages: tuple[str, ...]


@dataclass(frozen=True)
class Verification:
    """Findings about a reply. The reason is accepted if there are no `faults`.

    Each fault is a sentence that may be shown to the model. `kinds` names them for counts, without any text of the
    post. `used` are the passages that the reason quotes, at least in part.
    """

    faults: tuple[str, ...]
    kinds: tuple[str, ...]
    used: frozenset[str]


def verify_reason(answer: BoundAnswer, text: str, form: Form, finish_reason: str | None) -> Verification:
    """Verify a reply, which consists of the sentence of the answer and the reason."""
    reading = read_answer(answer.task, text, form, finish_reason)
    quotes = extract_quotes(text, reading.explanation)
    found = list(_faults(answer, reading, quotes))
    used = frozenset(passage for passage in answer.passages for quote in quotes if _stands_in(passage, quote))
    return Verification(tuple(fault for _, fault in found), tuple(kind for kind, _ in found), used)


def _faults(answer: BoundAnswer, reading: Reading, quotes: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Kind and sentence of each fault."""
    if reading.label is None:
        yield reading.status, f"The answer cannot be read: {reading.reason}."
        return
    if reading.label != answer.label:
        yield "another label", "The first sentence is not the given answer."
    if not reading.explanation:
        yield "no reason", "The reason is missing."
    own_words = replace_quotes(reading.explanation, quotes, _BREAK)
    if others := _other_labels(answer, own_words):
        yield "another label", f"The reason speaks of another answer: {', '.join(others)}."
    foreign = [quote for quote in quotes if not any(_stands_in(part, quote) for part in answer.passages)]
    if foreign:
        listed = ", ".join(f"“{quote}”" for quote in foreign)
        yield "foreign quotation", f"These quotations are none of the passages: {listed}."
    if not quotes:
        yield "no quotation", "The reason quotes no passage."
    if run := next(filter(None, (foreign_words(answer, part) for part in own_words.split(_BREAK))), ()):
        yield "other words of the post", f"These words are not in the passages: {' '.join(run)}."


def _stands_in(passage: str, quote: str) -> bool:
    return bool(match_exact(passage, quote) or match_normalized(passage, quote))


def _other_labels(answer: BoundAnswer, own_words: str) -> list[str]:
    """Labels besides the given one that the reason states in its own words; the texts of composite answers name several
    labels, which are compared as a whole before."""
    if answer.task.is_composite:
        return []
    plain = fold(own_words)
    rules = answer_language(answer.task, plain).rules
    stated = {label for part in sentences(plain) for label in sentence_labels(answer.task, part, rules)}
    return sorted(stated - {answer.label})


def foreign_words(answer: BoundAnswer, own_words: str) -> Words:
    """The first long run of a reason's own words that the post has, and no passage; () if there is none."""
    length = (2 if UNSPACED_LETTER.search(answer.post) else 1) * MIN_FOREIGN_WORDS
    allowed = {run for passage in answer.passages for run in _runs(passage, length)}
    in_post = set(_runs(answer.post, length))
    return next((run for run in _runs(own_words, length) if run in in_post and run not in allowed), ())


def _runs(text: str, length: int) -> Iterator[Words]:
    words = word_tokens(text)
    return (tuple(words[start : start + length]) for start in range(len(words) - length + 1))
