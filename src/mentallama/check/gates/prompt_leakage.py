"""Gate: the explanation neither repeats its instructions nor mentions them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

from mentallama.check.gates.statements import find_statements
from mentallama.check.response_rows import ResponseRow
from mentallama.errors import counted
from mentallama.prompts import prompt_instructions
from mentallama.prompts.scale_prompts import SCALE_INSTRUCTIONS
from mentallama.records import FORMS, Verdict
from mentallama.tasks import Task
from mentallama.text.tokenize import word_tokens

Ngram = tuple[str, ...]


def check_prompt_leakage(row: ResponseRow, ngram: int, instructions: Sequence[str] | None = None) -> Verdict:
    """Pass an explanation that neither copies its instructions nor mentions them.

    Parameters
    ----------
    ngram
        Number of consecutive words copied from the instructions that counts as leakage. Words of the post, the
        questions, the answers and the labels, which an explanation may legitimately repeat, do not count.
    instructions
        The prompt's own wording; by default that of the teacher prompts for this task and question, and of those for
        scales.

    Returns
    -------
    Verdict
        Chat-template tokens and mentions of the prompt, of a given label or of being a model fail too. The score is
        the number of findings.
    """
    if instructions is None:
        instructions = (*prompt_instructions(row.task, row.example.question), *SCALE_INSTRUCTIONS)
    text = row.unquoted_explanation()
    n_mentions = sum(1 for _ in find_statements("leak", text, row.post.text))
    n_copied = _count_copied_words(row, text, tuple(instructions), ngram)
    parts = [f"{n_copied} words copied from the prompt"] if n_copied else []
    if n_mentions:
        parts.append(f"mentions its prompt in {counted(n_mentions, 'place')}")
    return row.verdict("prompt_leakage", "; ".join(parts) or None, n_mentions + bool(n_copied))


def _count_copied_words(row: ResponseRow, text: str, instructions: tuple[str, ...], n: int) -> int:
    """Number of words of the explanation that lie in n-grams of the instructions."""
    prompt_ngrams = _ngram_set(instructions, n) - _public_ngrams(row.task, n)
    words = word_tokens(text)
    starts = [start for start, ngram in enumerate(_word_ngrams(words, n)) if ngram in prompt_ngrams]
    if not starts:
        return 0
    post_ngrams = _ngram_set((row.post.text,), n)
    return len(
        {
            start + offset
            for start in starts
            if tuple(words[start : start + n]) not in post_ngrams
            for offset in range(n)
        }
    )


@lru_cache(maxsize=256)
def _ngram_set(texts: tuple[str, ...], n: int) -> frozenset[Ngram]:
    return frozenset(ngram for text in texts for ngram in _word_ngrams(word_tokens(text), n))


@lru_cache(maxsize=256)
def _public_ngrams(task: Task, n: int) -> frozenset[Ngram]:
    """N-grams of the task's questions and answers, which are no secret of the prompt."""
    questions = [question.wording.for_form(form) for question in task.questions.values() for form in FORMS]
    answers = [label.answer.for_form(form) for label in task.labels.values() for form in FORMS]
    if task.answer is not None:
        answers += [task.answer.for_form(form) for form in FORMS]
    return _ngram_set((*questions, *answers, *task.items.values()), n)


def _word_ngrams(words: list[str], n: int) -> Iterable[Ngram]:
    return zip(*(words[offset:] for offset in range(n)), strict=False)
