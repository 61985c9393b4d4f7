"""Occlusion: the weight of a unit is what the log-odds lose when it is left out (Zeiler & Fergus 2014; Li et al. 2016).

It needs nothing but probabilities, so it explains every analyst, local or remote.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from mentallama.analysts.base import Analyst
from mentallama.attribution.base import Attribution, CharRange
from mentallama.attribution.log_odds import FloatArray, label_log_odds, with_text
from mentallama.attribution.units import clause_units, without
from mentallama.records import Example

Division = Callable[[str], Sequence[CharRange]]
"""Divides a text into ascending, disjoint ranges."""


class Occlusion:
    """Leaves out one range of characters at a time, all variants of a batch of posts in one call of the analyst.

    What a larger unit weighs beyond the units in it, for example because each of them says enough alone, is divided
    evenly among them: their weights add up to what the log-odds lose without the larger unit.

    Parameters
    ----------
    analyst
        Any analyst that gives probabilities.
    units
        The units that are left out, and have weights.
    larger_units
        Units that are left out too, if several of the smaller ones are in them.
    """

    def __init__(
        self, analyst: Analyst, units: Division = clause_units, larger_units: Division | None = None
    ) -> None:
        self._analyst, self._units, self._larger_units = analyst, units, larger_units
        self._name = "occlusion" if larger_units is None else "hierarchical-occlusion"

    def variants(self, example: Example) -> list[Example]:
        """The questions about the post without each unit, then without each larger unit."""
        text, units = example.text, self._units(example.text)
        return [with_text(example, without(text, [one])) for one in (*units, *self._larger(text, units))]

    def _larger(self, text: str, units: Sequence[CharRange]) -> list[CharRange]:
        found = self._larger_units(text) if self._larger_units is not None else ()
        return [outer for outer in found if len(_inside(units, outer)) > 1]

    def attribute(self, examples: Sequence[Example], labels: Sequence[str]) -> list[Attribution]:
        """Attribute labels to units.

        Raises
        ------
        UsageError, MentallamaError
            As for `label_log_odds`.
        """
        asked = [[example, *self.variants(example)] for example in examples]
        scores = label_log_odds(
            self._analyst,
            [variant for variants in asked for variant in variants],
            [label for label, variants in zip(labels, asked, strict=True) for _ in variants],
        )
        ends = np.cumsum([len(variants) for variants in asked])[:-1]
        return [
            self._attribution(example.text, label, own)
            for example, label, own in zip(examples, labels, np.split(scores, ends), strict=True)
        ]

    def _attribution(self, text: str, label: str, scores: FloatArray) -> Attribution:
        """`scores` are the log-odds of the whole text, then of its variants."""
        units = tuple(self._units(text))
        weights, sums = np.split(scores[0] - scores[1:], [len(units)])
        for outer, total in zip(self._larger(text, units), sums, strict=True):
            members = _inside(units, outer)
            weights[members] += (total - weights[members].sum()) / len(members)
        return Attribution(label, units, tuple(weights.tolist()), self._name)


def _inside(units: Sequence[CharRange], outer: CharRange) -> list[int]:
    """Indices of the units that begin inside a range."""
    return [index for index, (start, _) in enumerate(units) if outer[0] <= start < outer[1]]
