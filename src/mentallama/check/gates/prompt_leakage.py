"""Prompt leakage: an explanation that repeats its instructions, or speaks of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

from mentallama.check.gates.statements import find_statements
from mentallama.check.response_row import ResponseRow
from mentallama.records import FORMS, Verdict
from mentallama.tasks import Task
from mentallama.text.quote_extraction import replace_quotes
from mentallama.text.tokenize import word_tokens

Ngram = tuple[str, ...]


def check_prompt_leakage(row: ResponseRow, instructions: Sequence[str], ngram: int) -> Verdict:
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
    text = replace_quotes(row.reading.explanation, row.quotes)
    said = sum(1 for _ in find_statements("leak", text, row.post.text))
    copied = _count_copied_words(row, text, tuple(instructions), ngram)
    parts = [f"{copied} words copied from the prompt"] if copied else []
    parts += [f"speaks of its prompt in {said} place{'s' if said > 1 else ''}"] if said else []
    return row.verdict("prompt_leakage", "; ".join(parts) or None, said + bool(copied))


def _count_copied_words(row: ResponseRow, text: str, instructions: tuple[str, ...], words: int) -> int:
    """Words of the explanation in stretches of the instructions of this length."""
    own = _ngram_set(instructions, words) - _public_ngrams(row.task, words)
    ours = word_tokens(text)
    at = [place for place, run in enumerate(_word_ngrams(ours, words)) if run in own]
    if not at:
        return 0
    post = _ngram_set((row.post.text,), words)
    return len(
        {place + n for place in at if tuple(ours[place : place + words]) not in post for n in range(words)}
    )


@lru_cache(maxsize=256)
def _ngram_set(texts: tuple[str, ...], words: int) -> frozenset[Ngram]:
    return frozenset(run for text in texts for run in _word_ngrams(word_tokens(text), words))


@lru_cache(maxsize=256)
def _public_ngrams(task: Task, words: int) -> frozenset[Ngram]:
    """What the task says in public: its questions and answers."""
    asked = [question.wording.for_form(form) for question in task.questions.values() for form in FORMS]
    answered = [label.answer.for_form(form) for label in task.labels.values() for form in FORMS]
    return _ngram_set((*asked, *answered), words)


def _word_ngrams(words: list[str], length: int) -> Iterable[Ngram]:
    return zip(*(words[at:] for at in range(length)), strict=False)
