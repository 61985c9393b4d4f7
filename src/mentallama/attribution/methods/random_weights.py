"""Random weights of words: the floor that every method has to beat."""

from __future__ import annotations

import random
from collections.abc import Sequence

from mentallama.attribution.base import Attribution
from mentallama.attribution.units import word_units
from mentallama.records import Example, stable_id


class RandomAttribution:
    """Weights drawn evenly from -1 to 1 for each word.

    Parameters
    ----------
    seed
        The same seed, text and label give the same weights.
    """

    def __init__(self, seed: int = 7) -> None:
        self._seed = seed

    def attribute(self, examples: Sequence[Example], labels: Sequence[str]) -> list[Attribution]:
        return [self._attribute(example, label) for example, label in zip(examples, labels, strict=True)]

    def _attribute(self, example: Example, label: str) -> Attribution:
        draw = random.Random(stable_id(str(self._seed), example.question, example.text, label))
        units = tuple(word_units(example.text))
        return Attribution(label, units, tuple(draw.uniform(-1, 1) for _ in units), "random")
