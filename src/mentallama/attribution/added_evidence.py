"""Evidence of predictions, computed after them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from mentallama.analysts.base import Analyst
from mentallama.attribution.base import AttributionMethod, Effort
from mentallama.attribution.evidence import evidence_spans
from mentallama.attribution.log_odds import NoProbabilitiesError
from mentallama.attribution.methods.occlusion import Occlusion
from mentallama.attribution.registry import default_method, open_attribution
from mentallama.records import Example, Prediction, Span


class NoEvidence:
    """Takes the evidence off predictions that have it anyway, such as those of linear models."""

    def check(self) -> None:
        """Nothing is needed."""

    def add(self, examples: Sequence[Example], predictions: Sequence[Prediction]) -> list[Prediction]:  # noqa: ARG002
        """Predictions without evidence."""
        return [prediction.model_copy(update={"evidence": ()}) for prediction in predictions]

    def variants(self, examples: Sequence[Example]) -> list[Example]:  # noqa: ARG002
        """None."""
        return []


class AddedEvidence:
    """Evidence by the analyst's default method of attribution.

    Predictions without a label or without probabilities, and those that have evidence, stay as they are. Where a
    variant of a post has no probabilities, such as one that a remote model refuses to answer, the post has no evidence,
    which `counts["answers_without_evidence"]` of the analyst says.

    Parameters
    ----------
    analyst
        Gave the predictions.
    effort
        Which of its default methods is used.
    """

    def __init__(self, analyst: Analyst, effort: Effort) -> None:
        self._analyst, self._name = analyst, default_method(analyst, effort)

    @cached_property
    def _method(self) -> AttributionMethod:
        return open_attribution(self._name, self._analyst)

    def check(self) -> None:
        """Raise `UsageError` if the analyst gives no probabilities, which a remote model is asked for."""
        _ = self._method

    def add(self, examples: Sequence[Example], predictions: Sequence[Prediction]) -> list[Prediction]:
        """Predictions with evidence, those of the whole batch together.

        Raises
        ------
        MentallamaError
            A call to a server failed, or memory does not suffice.
        """
        unexplained = [
            (example, prediction)
            for example, prediction in zip(examples, predictions, strict=True)
            if prediction.reading.label is not None and prediction.probabilities and not prediction.evidence
        ]
        found = dict(zip((example.id for example, _ in unexplained), self._spans(unexplained), strict=True))
        return [
            prediction.model_copy(update={"evidence": found[prediction.example_id]})
            if prediction.example_id in found
            else prediction
            for prediction in predictions
        ]

    def _spans(self, answered: Sequence[tuple[Example, Prediction]]) -> list[tuple[Span, ...]]:
        examples = [example for example, _ in answered]
        labels = [str(prediction.reading.label) for _, prediction in answered]
        try:
            attributions = self._method.attribute(examples, labels) if answered else []
        except NoProbabilitiesError:
            if len(answered) > 1:  # find the posts that it is about
                return [spans for pair in answered for spans in self._spans([pair])]
            if (counts := getattr(self._analyst, "counts", None)) is not None:
                counts["answers_without_evidence"] += 1
            return [()]
        return [
            evidence_spans(example.text, attribution)
            for example, attribution in zip(examples, attributions, strict=True)
        ]

    def variants(self, examples: Sequence[Example]) -> list[Example]:
        """The posts with parts left out, if that is the method; others ask no further questions."""
        method = self._method
        if not isinstance(method, Occlusion):
            return []
        return [variant for example in examples for variant in method.variants(example)]
