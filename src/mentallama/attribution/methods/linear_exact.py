"""The exact contributions of a linear analyst's words."""

from __future__ import annotations

from collections.abc import Sequence

from mentallama.analysts.linear.analyst import LinearAnalyst
from mentallama.attribution.base import Attribution
from mentallama.errors import UsageError
from mentallama.records import Example
from mentallama.tasks.answer_values import without_quotations


class ExactAttribution:
    """Divides the decision of a linear analyst among the words of a post.

    The baseline is what the model expects of a post that it has not read: the prior of its labels. Between two labels
    the weights add up to the difference of the log-odds. Among more labels a linear model decides by each label's logit
    against the mean of the others, and the contributions add up to that; `completeness_gap` says how far it is from the
    log-odds.
    """

    def __init__(self, analyst: LinearAnalyst) -> None:
        self._analyst = analyst

    def attribute(self, examples: Sequence[Example], labels: Sequence[str]) -> list[Attribution]:
        """Attribute labels to words.

        Raises
        ------
        UsageError
            The analyst was not trained on a question, or on a label.
        """
        return [self._attribute(example, label) for example, label in zip(examples, labels, strict=True)]

    def _attribute(self, example: Example, label: str) -> Attribution:
        found = self._analyst.explain(example, label)
        if found.contributions is None:
            shown = without_quotations(label)
            raise UsageError(
                f"{self._analyst.name} has not learnt the label {shown!r}, so it has no reason for it"
            )
        units = tuple(zip(found.words.starts.tolist(), found.words.ends.tolist(), strict=True))
        return Attribution(label, units, tuple(found.contributions.tolist()), "exact", found.completeness_gap)
