"""Settings of the evaluate stage: intervals, the threshold of abstention, and the metrics of explanations."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, NonNegativeFloat, PositiveFloat, model_validator

from mentallama.config.base import PositiveInt, Settings, Share
from mentallama.config.endpoint import EndpointSettings


class Judge(EndpointSettings):
    """The language model of the metric llm_judge: how it is asked, what it may cost, and who checks it."""

    samples: PositiveInt = 1
    """Verdicts on each explanation; their mean is its score, and their spread is shown. More than one needs a
    temperature above 0."""
    ratings: Path | None = None
    """Explanations that people rated from 0 to 3: the release's folder human_evaluation/DR_annotation, or a table of
    your own. The judge rates them too, and its agreement with people stands beside its scores; without, the scores
    are marked as unchecked."""
    ratings_task: str = "DR"
    """The question that the rated explanations answer, as a set or SET:QUESTION."""
    max_concurrency: PositiveInt = 64
    """Concurrent calls; fewer while the server pushes back."""
    timeout: PositiveFloat = 120.0
    """Seconds before a call times out."""
    max_attempts: PositiveInt = 6
    """Attempts per call before it counts as failed."""
    max_failed_share: Share = 0.0
    """Largest share of the calls that may fail; above it the command ends with exit code 3, and asks again when it is
    repeated. A failed call is no verdict."""
    budget: NonNegativeFloat | None = None
    """Largest total cost of all verdicts in the run's folder, in the currency of the prices, checked before each call;
    the same command with a larger budget resumes."""
    allow_remote: tuple[str, ...] = ()
    """Sets under a data agreement whose posts may be sent to a remote judge nevertheless."""

    @model_validator(mode="after")
    def _check_budget(self) -> Self:
        if self.budget is not None and self.input_price is None:
            raise ValueError("a budget needs input_price and output_price")
        return self

    @model_validator(mode="after")
    def _check_samples(self) -> Self:
        if self.samples > 1 and self.temperature == 0:
            raise ValueError(
                "samples above 1 need a temperature above 0, such as 0.7: at 0 all verdicts are alike"
            )
        return self


class Evaluate(Settings):
    """How predictions are scored."""

    resamples: int = Field(default=1000, ge=100, le=1_000_000)
    """Number of bootstrap resamples for the 95 % intervals."""
    target_accuracy: Share | None = None
    """Accuracy on validation rows that the answers above the threshold of abstention must reach, see docs/report.md.
    The threshold needs predict.splits: [validation, test]."""
    target_coverage: Share | None = None
    """Share of the validation rows to answer, instead of target_accuracy; default without either: 0.8."""
    explanation_metrics: tuple[str, ...] = ()
    """Metrics of explanations beside those that need no model, as NAME:LOCATION, such as bart_score:DIR; see
    docs/explanations.md."""
    max_batch_tokens: PositiveInt = 8192
    """Tokens in one batch of a metric's model, padding counted. Halved, with a warning, on out-of-memory."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Precision of the metrics' models; auto: bfloat16 on a GPU, float32 elsewhere."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the metrics' models run; auto: a GPU if there is one."""
    judge: Judge = Judge()
    """The language model of the metric llm_judge, see below."""

    @model_validator(mode="after")
    def _check_target(self) -> Self:
        if self.target_accuracy is not None and self.target_coverage is not None:
            raise ValueError("target_accuracy and target_coverage exclude each other: give one")
        return self
