"""Comprehensiveness, sufficiency and deletion curves of attributions (DeYoung et al. 2020, ERASER, section 4.2).

The words with the largest weights are left out of a post, or kept alone, and the analyst is asked again. If its label
rests on them, its probability falls without them (comprehensiveness) and hardly changes with them alone (sufficiency).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mentallama.analysts.base import Analyst
from mentallama.attribution.base import CharRange
from mentallama.attribution.log_odds import label_log_odds, with_text
from mentallama.attribution.units import only, without
from mentallama.explain.word_ranking import FloatArray, WordIndices, random_words_in_runs, top_words
from mentallama.records import Example, Record

SHARES = (0.01, 0.05, 0.10, 0.20, 0.50)
"""Shares of the words that are left out or kept: the bins of ERASER."""


@dataclass(frozen=True)
class WordChoices:
    """The words of a post that are left out, or kept alone: one choice for each share of `SHARES`."""

    example: Example
    label: str
    words: Sequence[CharRange]
    choices: tuple[WordIndices, ...]

    def variants(self) -> list[Example]:
        """The question about the post without the words of each choice, then about those words alone."""
        chosen = [[self.words[index] for index in choice] for choice in self.choices]
        texts = [
            *(without(self.example.text, ranges) for ranges in chosen),
            *(only(self.example.text, ranges) for ranges in chosen),
        ]
        return [with_text(self.example, text) for text in texts]


class DeletionCurve(Record):
    """Probabilities of a label: of the whole post, without the words of each share of `SHARES`, and with these words
    alone."""

    whole: float
    removed: tuple[float, ...]
    kept: tuple[float, ...]

    @property
    def comprehensiveness(self) -> float:
        """Loss of probability without the words, mean over the shares (the area over the perturbation curve);
        -1 to 1, higher is better."""
        return self.whole - float(np.mean(self.removed))

    @property
    def sufficiency(self) -> float:
        """Loss of probability with the words alone, mean over the shares; -1 to 1, lower is better."""
        return self.whole - float(np.mean(self.kept))


def top_choices(example: Example, label: str, words: Sequence[CharRange], weights: FloatArray) -> WordChoices:
    """The words with the largest weights."""
    return WordChoices(example, label, words, tuple(top_words(weights, share) for share in SHARES))


def matched_choices(chosen: WordChoices, rng: np.random.Generator) -> WordChoices:
    """Random words, as many as were chosen and in passages of the same lengths.

    Methods that choose whole clauses are compared with random clauses: a passage that reads as a sentence tells a model
    more than as many scattered words.
    """
    n_words = len(chosen.words)
    choices = tuple(random_words_in_runs(choice, n_words, rng) for choice in chosen.choices)
    return WordChoices(chosen.example, chosen.label, chosen.words, choices)


def deletion_curves(analyst: Analyst, choices: Sequence[WordChoices]) -> list[DeletionCurve]:
    """Ask an analyst about all variants in one call; equal texts are asked about once.

    Raises
    ------
    UsageError, MentallamaError
        As for `label_log_odds`.
    """
    asked = [
        (variant, choice.label) for choice in choices for variant in (choice.example, *choice.variants())
    ]
    if not asked:
        return []
    scores = label_log_odds(analyst, [variant for variant, _ in asked], [label for _, label in asked])
    probabilities = (1 / (1 + np.exp(-scores))).reshape(len(choices), 1 + 2 * len(SHARES))
    return [
        DeletionCurve(whole=whole, removed=tuple(rest[: len(SHARES)]), kept=tuple(rest[len(SHARES) :]))
        for whole, *rest in probabilities.tolist()
    ]
