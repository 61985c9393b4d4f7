"""Settings of the evaluate stage: intervals, the label reader, and the metrics of explanations."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from mentallama.config.base import PositiveInt, Settings


class Evaluate(Settings):
    """How predictions are scored."""

    resamples: int = Field(default=1000, ge=100, le=1_000_000)
    """Number of bootstrap resamples for the 95 % intervals."""
    label_reader: Path | None = None
    """A folder with a trained label reader (train.analyst: encoder, reads: explanations). The labels that it predicts
    from explanations alone are scored as well. It must not have seen the posts of the test rows."""
    explanation_metrics: tuple[str, ...] = ()
    """Metrics of explanations beside those that need no model, as NAME:LOCATION, such as bart_score:DIR."""
    max_batch_tokens: PositiveInt = 8192
    """Tokens in one batch of a metric's model, padding counted. Halved, with a warning, on out-of-memory."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Precision of the metrics' models; auto: bfloat16 on a GPU, float32 elsewhere."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the metrics' models run; auto: a GPU if there is one."""
