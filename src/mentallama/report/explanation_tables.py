"""The scores of explanations as cells of tables: the columns of one metric, and what was not scored."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mentallama.evaluate.score_file import ScoreFile
from mentallama.explanation_metrics.base import ScoreColumn
from mentallama.explanation_metrics.registry import EXPLANATION_METRICS
from mentallama.explanation_metrics.right_reason import RightReasonScore
from mentallama.explanation_metrics.scoring import SetExplanationScores
from mentallama.report.page_model import Cell, count_cell, interval_cell, number_cell

ABSENCES = ("refused", "empty")
"""Why an answer has no explanation; these are counted and never scored."""


@dataclass(frozen=True)
class MetricFamily:
    """The columns of one explanation metric, computed with one model; `model` is "" where it needs none."""

    metric: str
    model: str
    columns: tuple[ScoreColumn, ...]

    @property
    def title(self) -> str:
        """The metric and its model."""
        return f"{self.metric} ({self.model})" if self.model else self.metric

    @property
    def caption(self) -> str:
        """The title, and the meaning of the numbers."""
        return f"{self.title}: {EXPLANATION_METRICS[self.metric].help}."

    @property
    def header(self) -> tuple[str, ...]:
        """The titles of `cells`."""
        return ("scored, at least", *(part for column in self.columns for part in (column.title, "95 %")))

    def scores(self, file: ScoreFile, set_name: str) -> SetExplanationScores | None:
        """The scores of a set's explanations, if the file's were computed with the family's model."""
        same_model = file.metric_names.get(self.metric, "") == self.model
        return (file.explanation_metrics or {}).get(set_name) if same_model else None

    def cells(self, scores: SetExplanationScores) -> list[Cell]:
        """The number of explanations that every column is a mean over at least, and each mean with its interval."""
        found = [(column, scores.columns.get(column.name)) for column in self.columns]
        cells = [count_cell(min((0 if score is None else score.n for _, score in found), default=0))]
        for column, score in found:
            cells.append(number_cell(None if score is None else score.mean, column.digits))
            cells.append(interval_cell(None if score is None else score.interval, column.digits))
        return cells


def metric_families(files: Iterable[ScoreFile]) -> list[MetricFamily]:
    """The metrics that explanations were scored with, in the order of their table, each once for every model."""
    models: dict[str, dict[str, None]] = {name: {} for name in EXPLANATION_METRICS}
    for file in files:
        columns = {name for part in (file.explanation_metrics or {}).values() for name in part.columns}
        for name, kind in EXPLANATION_METRICS.items():
            if columns & {column.name for column in kind.columns}:
                models[name][file.metric_names.get(name, "")] = None
    return [
        MetricFamily(name, model, EXPLANATION_METRICS[name].columns)
        for name, of_metric in models.items()
        for model in of_metric
    ]


def absence_cells(scores: SetExplanationScores) -> list[Cell]:
    """Answers, those of them without an explanation, and what metrics could not score, with their reasons."""
    reasons = "; ".join(
        f"{metric}: {', '.join(f'{reason} {count:,}' for reason, count in of_metric.items())}"
        for metric, of_metric in scores.unscored.items()
    )
    counts: Sequence[int] = (scores.rows, *(scores.absent.get(reason, 0) for reason in ABSENCES))
    return [*map(count_cell, counts), Cell(reasons)]


ABSENCE_HEADER = ("answers", *ABSENCES, "not scored")
"""The titles of `absence_cells`."""


RIGHT_REASON = "right label for a right reason"
RIGHT_REASON_NOTE = (
    "An answer has the right label for a right reason if its label is that of the data set, its explanation alone "
    "implies this label, and what it quotes stands in the post; an explanation that quotes nothing does not count. "
    "Refused and unexplained answers count as not right. Undecided are answers whose explanation no label could be "
    "read from; they are left out."
)
RIGHT_REASON_HEADER = (
    "answers",
    "undecided",
    "right label, %",
    "and consistent, %",
    f"{RIGHT_REASON}, %",
    "95 %",
    "consistent but without a quotation, %",
)
"""The titles of `right_reason_cells`."""


def right_reason_cells(score: RightReasonScore) -> list[Cell]:
    """From all answers to those with the right label for a right reason."""
    return [
        count_cell(score.n),
        count_cell(score.undecided),
        *(number_cell(share, 1) for share in (score.right, score.consistent, score.share)),
        interval_cell(score.interval),
        number_cell(score.unquoted, 1),
    ]


def right_reasons(file: ScoreFile) -> dict[str, RightReasonScore]:
    """By set; without sets where it was not computed, or nothing could be decided."""
    parts = {name: part.right_reason for name, part in (file.explanation_metrics or {}).items()}
    return {name: score for name, score in parts.items() if score is not None and score.share is not None}


def overall_right_reason(file: ScoreFile) -> str | None:
    """The share of all answers, and between which shares the sets are; None without any."""
    by_set = right_reasons(file)
    shares = [score.share for score in by_set.values() if score.share is not None]
    total = sum(score.n for score in by_set.values())
    if not total:
        return None
    overall = sum((score.share or 0.0) * score.n for score in by_set.values()) / total
    return f"{overall:.1f} % ({min(shares):.1f}–{max(shares):.1f} by set)"
