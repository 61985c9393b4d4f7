"""Overlap of an explanation with a reference text: ROUGE and BLEU on the tokens of text.tokenize, and chrF.

BLEU and chrF are those of sacrebleu.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from mentallama.text.tokenize import word_tokens

OverlapMetric = Callable[[Sequence[str], Sequence[str]], list[float]]
"""Function from hypotheses, and one reference for each, to one score for each."""


def rouge(hypothesis: str, reference: str) -> dict[str, float]:
    """ROUGE-1, -2 and -L as F1, 0-1 (Lin 2004; precision and recall weighted equally, no stemming).

    Where neither text has an n-gram of a length, the score is 1 if their tokens are equal, else 0.
    """
    first, second = word_tokens(hypothesis), word_tokens(reference)
    return {name: compute(first, second) for name, compute in _ROUGE.items()}


def _ngram_f1(first: list[str], second: list[str], n: int) -> float:
    first_ngrams, second_ngrams = _ngrams(first, n), _ngrams(second, n)
    if not first_ngrams and not second_ngrams:
        return float(first == second)
    return _f1((first_ngrams & second_ngrams).total(), first_ngrams.total(), second_ngrams.total())


def _lcs_f1(first: list[str], second: list[str]) -> float:
    return _f1(_lcs_length(first, second), len(first), len(second)) if first or second else 1.0


_ROUGE: dict[str, Callable[[list[str], list[str]], float]] = {
    "rouge1": lambda first, second: _ngram_f1(first, second, 1),
    "rouge2": lambda first, second: _ngram_f1(first, second, 2),
    "rougeL": _lcs_f1,
}


def _ngrams(tokens: list[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1))


def _f1(common: int, first: int, second: int) -> float:
    """2·common / (first + second): the harmonic mean of common/first and common/second."""
    return 2 * common / (first + second)


def _lcs_length(first: list[str], second: list[str]) -> int:
    """Length of the longest common subsequence, by bit vectors (Hyyrö 2004): one step per token of `second`."""
    positions: dict[str, int] = {}
    for i, token in enumerate(first):
        positions[token] = positions.get(token, 0) | 1 << i
    full = (1 << len(first)) - 1
    free = full
    for token in second:
        matched = free & positions.get(token, 0)
        free = ((free + matched) | (free - matched)) & full
    return len(first) - free.bit_count()


def chrf(hypotheses: Sequence[str], references: Sequence[str]) -> list[float]:
    """ChrF of each pair by sacrebleu with its defaults (Popović 2015), 0-100."""
    from sacrebleu.metrics.chrf import CHRF

    metric = CHRF()
    return [
        float(metric.sentence_score(hypothesis, [reference]).score)
        for hypothesis, reference in zip(hypotheses, references, strict=True)
    ]


def bleu(hypotheses: Sequence[str], references: Sequence[str]) -> list[float]:
    """Sentence BLEU of each pair by sacrebleu (Papineni et al. 2002), 0-100, on the tokens of text.tokenize.

    With sacrebleu's exponential smoothing, and the effective order: a text shorter than four tokens is scored by the
    n-grams that it has. Two texts without tokens score 100.
    """
    from sacrebleu.metrics.bleu import BLEU

    metric = BLEU(effective_order=True, tokenize="none")
    tokens = [
        (" ".join(word_tokens(hypothesis)), " ".join(word_tokens(reference)))
        for hypothesis, reference in zip(hypotheses, references, strict=True)
    ]
    return [
        float(metric.sentence_score(hypothesis, [reference]).score) if hypothesis or reference else 100.0
        for hypothesis, reference in tokens
    ]


def rouge1(hypotheses: Sequence[str], references: Sequence[str]) -> list[float]:
    """ROUGE-1, 0-100, of each pair."""
    return _rouge_scores("rouge1", hypotheses, references)


def rouge2(hypotheses: Sequence[str], references: Sequence[str]) -> list[float]:
    """ROUGE-2, 0-100, of each pair."""
    return _rouge_scores("rouge2", hypotheses, references)


def rouge_l(hypotheses: Sequence[str], references: Sequence[str]) -> list[float]:
    """ROUGE-L, 0-100, of each pair."""
    return _rouge_scores("rougeL", hypotheses, references)


def _rouge_scores(name: str, hypotheses: Sequence[str], references: Sequence[str]) -> list[float]:
    compute = _ROUGE[name]
    return [
        100 * compute(word_tokens(hypothesis), word_tokens(reference))
        for hypothesis, reference in zip(hypotheses, references, strict=True)
    ]
