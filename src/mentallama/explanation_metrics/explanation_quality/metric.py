"""Quality of an explanation on the scale of human raters, 0-3, without a language model (docs/explanation-metric.md).

It was fitted to and validated on ratings of depression detection only. It is defined for every task in English.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from mentallama.explanation_metrics.base import (
    CaseScore,
    ExplanationCase,
    ExplanationMetric,
    MetricOptions,
    unscored,
)
from mentallama.explanation_metrics.explanation_quality import QUALITY_COLUMN
from mentallama.explanation_metrics.explanation_quality.features import explanation_features
from mentallama.explanation_metrics.explanation_quality.model import (
    QualityModel,
    default_quality_model,
    read_quality_model,
)
from mentallama.tasks import Task


class ExplanationQuality(ExplanationMetric):
    """A weighted sum of interpretable features, with weights fitted to human ratings."""

    name = "explanation_quality"

    def __init__(self, model: QualityModel, tasks: Mapping[str, Task]) -> None:
        self.model, self._tasks = model, tasks

    @classmethod
    def load(cls, location: str, options: MetricOptions) -> ExplanationQuality:
        """Open the metric with the package's weights, or those of a file at `location`."""
        model = read_quality_model(Path(location)) if location else default_quality_model()
        return cls(model, options.tasks)

    def score(self, cases: Sequence[ExplanationCase]) -> list[CaseScore]:
        return [self._score(case) for case in cases]

    def _score(self, case: ExplanationCase) -> CaseScore:
        task = self._tasks[case.example.task]
        if task.language != "en":
            return unscored("the features read English")
        return CaseScore(values={QUALITY_COLUMN: self.model.score(explanation_features(case, task))})
