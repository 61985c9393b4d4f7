"""Prompt leakage: an explanation that repeats its instructions, or speaks of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

from mentallama.check.gates.statements import statements
from mentallama.check.gates.unquoted import unquoted
from mentallama.check.response_row import Row
from mentallama.records import FORMS, Verdict
from mentallama.tasks import Task
from mentallama.text.tokenize import tokens

Run = tuple[str, ...]


def leakage(row: Row, instructions: Sequence[str], words: int) -> Verdict:
    """Pass an explanation that neither copies its instructions nor speaks of them.

    Parameters
    ----------
    instructions
        What the prompt says in its own words, as `prompts.instructions` gives it.
    words
        So many words in a row, taken from the instructions, are a leak. Words of the post, the questions, the answers
        and the labels, which an explanation may rightly repeat, are none.

    Returns
    -------
    Verdict
        Chat-template marks and talk of the prompt, of a label that was given or of being a model fail too. The score
        is the number of places found.
    """
    text = unquoted(row)
    said = sum(1 for _ in statements("leak", text, row.post.text))
    copied = _copied(row, text, tuple(instructions), words)
    parts = [f"{copied} words copied from the prompt"] if copied else []
    parts += [f"speaks of its prompt in {said} place{'s' if said > 1 else ''}"] if said else []
    return row.verdict("leakage", "; ".join(parts) or None, said + bool(copied))


def _copied(row: Row, text: str, instructions: tuple[str, ...], words: int) -> int:
    """Words of the explanation in stretches of the instructions of this length."""
    own = _runs(instructions, words) - _allowed(row.task, words)
    ours = tokens(text)
    at = [place for place, run in enumerate(_in_a_row(ours, words)) if run in own]
    if not at:
        return 0
    post = _runs((row.post.text,), words)
    return len(
        {place + n for place in at if tuple(ours[place : place + words]) not in post for n in range(words)}
    )


@lru_cache(maxsize=256)
def _runs(texts: tuple[str, ...], words: int) -> frozenset[Run]:
    return frozenset(run for text in texts for run in _in_a_row(tokens(text), words))


@lru_cache(maxsize=256)
def _allowed(task: Task, words: int) -> frozenset[Run]:
    """What the task says in public: its questions and answers."""
    asked = [question.ask.of(form) for question in task.questions.values() for form in FORMS]
    answered = [label.answer.of(form) for label in task.labels.values() for form in FORMS]
    return _runs((*asked, *answered), words)


def _in_a_row(words: list[str], length: int) -> Iterable[Run]:
    return zip(*(words[at:] for at in range(length)), strict=False)
