"""SHAP and LIME through their own libraries, of the extra `explain`, for comparison.

Both leave out words and ask the analyst for log-odds, so any analyst with probabilities can be explained. They ask
about hundreds of variants of one post at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mentallama.analysts.base import Analyst
from mentallama.attribution.base import Attribution
from mentallama.attribution.log_odds import FloatArray, label_log_odds, with_text
from mentallama.attribution.methods.occlusion import Occlusion
from mentallama.attribution.units import word_units
from mentallama.records import Example

MAX_EVALS = 500
"""Variants of a post that SHAP may ask about; its default."""

NUM_SAMPLES = 1000
"""Variants of a post that LIME asks about; its default of 5,000 takes five times as long."""


class ShapAttribution:
    """Owen values of words by shap's `PartitionExplainer` (Lundberg & Lee 2017), its text masker over our words.

    Parameters
    ----------
    analyst
        Any analyst that gives probabilities.
    mask_token
        Stands for each word that is left out, such as an encoder's mask token; None: shap's default, "..." for each run
        of such words.
    """

    def __init__(self, analyst: Analyst, mask_token: str | None = None) -> None:
        self._analyst, self._mask_token = analyst, mask_token

    def attribute(self, examples: Sequence[Example], labels: Sequence[str]) -> list[Attribution]:
        """Attribute labels to words; raises as `label_log_odds` does."""
        return [self._attribute(example, label) for example, label in zip(examples, labels, strict=True)]

    def _attribute(self, example: Example, label: str) -> Attribution:
        from shap import PartitionExplainer  # type: ignore[import-untyped]
        from shap.maskers import Text  # type: ignore[import-untyped]

        units = tuple(word_units(example.text))
        if len(units) < 2:
            return _undivided(self._analyst, example, label, "shap")
        masker = Text(
            _tokenize, self._mask_token, collapse_mask_token="auto" if self._mask_token is None else False
        )
        explainer = PartitionExplainer(_log_odds_of_texts(self._analyst, example, label), masker)
        found = explainer([example.text], max_evals=MAX_EVALS, silent=True)
        values = np.asarray(found.values[0], np.float64)
        return Attribution(label, units, tuple(values.tolist()), "shap")


def _tokenize(text: str, return_offsets_mapping: bool = True) -> dict[str, list[Any]]:
    """Words, as shap's text masker wants a tokenizer; a text without words, such as its mask, is one."""
    units = word_units(text) or [(0, len(text))] * bool(text)
    return {"input_ids": [text[start:end] for start, end in units], "offset_mapping": units}


class LimeAttribution:
    """Weights of words by lime's `LimeTextExplainer` (Ribeiro et al. 2016): a local linear model of the log-odds.

    Parameters
    ----------
    analyst
        Any analyst that gives probabilities.
    seed
        Of the choice of words that are left out.
    """

    def __init__(self, analyst: Analyst, seed: int = 7) -> None:
        self._analyst, self._seed = analyst, seed

    def attribute(self, examples: Sequence[Example], labels: Sequence[str]) -> list[Attribution]:
        """Attribute labels to words; raises as `label_log_odds` does."""
        return [self._attribute(example, label) for example, label in zip(examples, labels, strict=True)]

    def _attribute(self, example: Example, label: str) -> Attribution:
        from lime.lime_text import LimeTextExplainer  # type: ignore[import-untyped]

        units = tuple(word_units(example.text))
        if len(units) < 2:
            return _undivided(self._analyst, example, label, "lime")
        explainer = LimeTextExplainer(
            split_expression=_words, bow=False, mask_string="", random_state=self._seed
        )
        log_odds = _log_odds_of_texts(self._analyst, example, label)
        found = explainer.explain_instance(
            example.text,
            lambda texts: log_odds(texts)[:, None],
            labels=(0,),
            num_features=len(units),
            num_samples=NUM_SAMPLES,
        )
        weights = dict(found.local_exp[0])  # its features are the words in their order
        return Attribution(label, units, tuple(float(weights[index]) for index in range(len(units))), "lime")


def _undivided(analyst: Analyst, example: Example, label: str, method: str) -> Attribution:
    """A post of at most one word, which neither library can divide: what the log-odds lose without the word."""
    (found,) = Occlusion(analyst, word_units).attribute([example], [label])
    return replace(found, method=method)


def _words(text: str) -> list[str]:
    return [text[start:end] for start, end in word_units(text)]


def _log_odds_of_texts(
    analyst: Analyst, example: Example, label: str
) -> Callable[[Sequence[str]], FloatArray]:
    """A function from texts to the log-odds of the label, which is what both libraries explain."""

    def log_odds(texts: Sequence[str]) -> FloatArray:
        variants = [with_text(example, str(text)) for text in texts]
        return label_log_odds(analyst, variants, [label] * len(variants))

    return log_odds
