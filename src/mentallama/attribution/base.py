"""Attributions of labels to parts of a post, and the interface of the methods that compute them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from mentallama.records import Example

CharRange = tuple[int, int]
"""Offsets of the first character of a range and of the one after its last, in code points."""

Effort = Literal["fast", "full"]
"""fast: what costs little beside the prediction itself. full: the most faithful method."""


@dataclass(frozen=True)
class Attribution:
    """Contributions of the units of a post to a label.

    Attributes
    ----------
    label
        The label that is explained.
    units
        Words, clauses or sentences of the example's text: ascending, disjoint ranges of characters.
    weights
        One number per unit: its contribution to the log-odds of the label, log p / (1 - p). Positive ones support it.
    method
        A name in `ATTRIBUTION_METHODS`.
    completeness_gap
        |sum of weights - (log-odds of the text - log-odds of the baseline)| (Sundararajan et al. 2017, section 3); None
        if the method does not claim that its weights add up.
    """

    label: str
    units: tuple[CharRange, ...]
    weights: tuple[float, ...]
    method: str
    completeness_gap: float | None = None

    def __post_init__(self) -> None:
        if len(self.units) != len(self.weights):
            raise ValueError(f"{len(self.units)} units have {len(self.weights)} weights")


class AttributionMethod(Protocol):
    """Attributes labels to the parts of posts."""

    def attribute(self, examples: Sequence[Example], labels: Sequence[str]) -> list[Attribution]:
        """Attribute one label per example to the parts of its text.

        Parameters
        ----------
        examples
            Questions about posts.
        labels
            The label of each example that is explained, whether or not the analyst gives it.

        Returns
        -------
        One attribution per example, in their order.
        """
        ...
