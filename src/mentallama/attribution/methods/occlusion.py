"""Occlusion: the weight of a unit is what the log-odds lose when it is left out (Zeiler & Fergus 2014; Li et al. 2016).

It needs nothing but probabilities, so it explains every analyst, local or remote.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mentallama.analysts.base import Analyst
from mentallama.attribution.base import Attribution, CharRange
from mentallama.attribution.log_odds import FloatArray, label_log_odds, with_text
from mentallama.attribution.units import clause_units, without
from mentallama.records import Example


class Occlusion:
    """Leaves out one unit at a time, all variants of a batch of posts in one call of the analyst.

    Parameters
    ----------
    analyst
        Any analyst that gives probabilities.
    units
        Divides a text into the units that are left out.
    """

    def __init__(self, analyst: Analyst, units: Callable[[str], Sequence[CharRange]] = clause_units) -> None:
        self._analyst, self._units = analyst, units

    def variants(self, example: Example) -> list[Example]:
        """The questions about the post without each unit."""
        text = example.text
        return [with_text(example, without(text, [left_out])) for left_out in self._units(text)]

    def attribute(self, examples: Sequence[Example], labels: Sequence[str]) -> list[Attribution]:
        """Attribute labels to units.

        Raises
        ------
        UsageError, MentallamaError
            As for `label_log_odds`.
        """
        units = [tuple(self._units(example.text)) for example in examples]
        variants = [
            (variant, label)
            for example, label in zip(examples, labels, strict=True)
            for variant in (example, *self.variants(example))
        ]
        scores = label_log_odds(
            self._analyst, [variant for variant, _ in variants], [label for _, label in variants]
        )
        found, start = [], 0
        for label, of_example in zip(labels, units, strict=True):
            own = scores[start : start + 1 + len(of_example)]
            start += len(own)
            found.append(Attribution(label, of_example, _drops(own), "occlusion"))
        return found


def _drops(scores: FloatArray) -> tuple[float, ...]:
    """How far the log-odds of the whole text, which come first, exceed those of each variant."""
    return tuple((scores[0] - scores[1:]).tolist())
