"""Overlap of an explanation with a reference: ROUGE by the tokens of `words`, chrF by sacrebleu."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from mentallama.text.tokenize import word_tokens

OverlapMetric = Callable[[Sequence[str], Sequence[str]], list[float]]
"""Hypotheses and their references, one each -> one score each."""


def rouge(hypothesis: str, reference: str) -> dict[str, float]:
    """ROUGE-1, -2 and -L as F1, 0-1 (Lin 2004; F with recall and precision of equal weight, no stemming).

    Two texts without any n-gram of a length have 1 where their tokens are equal, else 0.
    """
    ours, theirs = word_tokens(hypothesis), word_tokens(reference)
    return {
        "rouge1": _ngram_f1(ours, theirs, 1),
        "rouge2": _ngram_f1(ours, theirs, 2),
        "rougeL": _f1(_lcs_length(ours, theirs), len(ours), len(theirs)) if ours or theirs else 1.0,
    }


def _ngram_f1(ours: list[str], theirs: list[str], length: int) -> float:
    first, second = _ngrams(ours, length), _ngrams(theirs, length)
    if not first and not second:
        return float(ours == theirs)
    return _f1((first & second).total(), first.total(), second.total())


def _ngrams(words: list[str], length: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(words[at : at + length]) for at in range(len(words) - length + 1))


def _f1(common: int, first: int, second: int) -> float:
    """2·common / (first + second): the harmonic mean of common/first and common/second."""
    return 2 * common / (first + second)


def _lcs_length(first: list[str], second: list[str]) -> int:
    """Length of the longest common subsequence, by bit vectors (Hyyrö 2004): one step a word of `second`."""
    places: dict[str, int] = {}
    for at, word in enumerate(first):
        places[word] = places.get(word, 0) | 1 << at
    full = (1 << len(first)) - 1
    free = full
    for word in second:
        met = free & places.get(word, 0)
        free = ((free + met) | (free - met)) & full
    return len(first) - free.bit_count()


def _chrf(hypotheses: Sequence[str], references: Sequence[str]) -> list[float]:
    from sacrebleu.metrics.chrf import CHRF

    metric = CHRF()
    return [
        float(metric.sentence_score(hypothesis, [reference]).score)
        for hypothesis, reference in zip(hypotheses, references, strict=True)
    ]


def _rouge_metric(name: str) -> OverlapMetric:
    def measure(hypotheses: Sequence[str], references: Sequence[str]) -> list[float]:
        return [
            100 * rouge(hypothesis, reference)[name]
            for hypothesis, reference in zip(hypotheses, references, strict=True)
        ]

    return measure


OVERLAP_METRICS: Mapping[str, OverlapMetric] = MappingProxyType(
    {"chrf": _chrf} | {name: _rouge_metric(name) for name in ("rouge1", "rouge2", "rougeL")}
)
"""What explanations can be measured by, 0-100, higher is nearer. A learnt measure is one more line."""
