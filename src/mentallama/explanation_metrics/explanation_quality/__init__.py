"""A metric of the quality of explanations: an interpretable combination of features, with weights fitted to ratings."""

from __future__ import annotations

from typing import Final

from mentallama.explanation_metrics.base import ScoreColumn

QUALITY_COLUMN: Final = "explanation_quality"
QUALITY_COLUMNS = (ScoreColumn(QUALITY_COLUMN, "Quality", range=(0.0, 3.0), digits=2),)
