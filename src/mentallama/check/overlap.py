"""Overlap of an explanation with a reference: ROUGE by our own tokens, chrF by sacrebleu.

A token is what a reader of the language takes for a word. Scripts that are written without spaces (Han, kana, Thai,
Lao, Khmer, Burmese) have one token a character with its marks; all others, Korean among them, have words. Measured so,
a Chinese or Urdu explanation has a ROUGE as an English one has; tokenizers made for English leave it none.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

Measure = Callable[[Sequence[str], Sequence[str]], list[float]]
"""Hypotheses and their references, one each -> one score each."""

_UNSPACED = (
    "\u3005-\u3007\u3041-\u3096\u309d-\u309f\u30a1-\u30ff\u31f0-\u31ff\uff66-\uff9f"  # kana and signs of repetition
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"  # Han
    "\u0e00-\u0e3a\u0e40-\u0e4e\u0e80-\u0ebd\u0ec0-\u0ece\u0edc-\u0edf"  # Thai, Lao (their digits below)
    "\u1780-\u17b3\u17b6-\u17d3\u17dc\u1000-\u103f\u104c-\u109f\uaa60-\uaa7f"  # Khmer, Burmese
)
_MARKS = "".join(
    chr(point) for point in range(0x0300, 0x20000) if unicodedata.category(chr(point)) in {"Mn", "Mc", "Me"}
)
_MARK = f"[{re.escape(_MARKS)}\u200c\u200d]"
# Joiners stand inside words of Persian, Urdu and the Indian scripts; an apostrophe, inside English and French ones.
_TOKEN = re.compile(rf"(?=[{_UNSPACED}])\S{_MARK}*|(?:(?![{_UNSPACED}])[^\W_]{_MARK}*)+")
_ASCII_TOKEN = re.compile(r"[a-z0-9]+")


def tokens(text: str) -> list[str]:
    """Words in lower case; single characters where the script has no spaces. Punctuation is none.

    >>> tokens("She can't sleep, 3 nights!")
    ['she', 'can', 't', 'sleep', '3', 'nights']
    >>> tokens("我睡不着 today")
    ['我', '睡', '不', '着', 'today']
    """
    if text.isascii():
        return _ASCII_TOKEN.findall(text.lower())  # the same, ten times as fast
    return _TOKEN.findall(unicodedata.normalize("NFKC", text).lower())


def rouge(hypothesis: str, reference: str) -> dict[str, float]:
    """ROUGE-1, -2 and -L as F1, 0-1 (Lin 2004; F with recall and precision of equal weight, no stemming).

    Two texts without any n-gram of a length have 1 where their tokens are equal, else 0.
    """
    ours, theirs = tokens(hypothesis), tokens(reference)
    return {
        "rouge1": _ngram_f1(ours, theirs, 1),
        "rouge2": _ngram_f1(ours, theirs, 2),
        "rougeL": _f1(_common_subsequence(ours, theirs), len(ours), len(theirs)) if ours or theirs else 1.0,
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


def _common_subsequence(first: list[str], second: list[str]) -> int:
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


def _rouge_of(name: str) -> Measure:
    def measure(hypotheses: Sequence[str], references: Sequence[str]) -> list[float]:
        return [
            100 * rouge(hypothesis, reference)[name]
            for hypothesis, reference in zip(hypotheses, references, strict=True)
        ]

    return measure


MEASURES: Mapping[str, Measure] = MappingProxyType(
    {"chrf": _chrf} | {name: _rouge_of(name) for name in ("rouge1", "rouge2", "rougeL")}
)
"""What explanations can be measured by, 0-100, higher is nearer. A learnt measure is one more line."""
