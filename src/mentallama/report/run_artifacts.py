"""Read the files of a run that the report shows; a file that does not exist is None."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from mentallama.check.output.gate_report_schema import GateReport
from mentallama.collect.summary import CollectSummary, LabelDrift, Overlap
from mentallama.errors import DataError
from mentallama.evaluate.score_file import ScoreFile
from mentallama.files.record_files import read_json, read_records
from mentallama.records import Prediction
from mentallama.run_files import (
    COLLECT_SUMMARY_PATH,
    GATE_REPORT_PATH,
    LABEL_DRIFT_PATH,
    OVERLAP_PATH,
    PREDICTIONS_PATH,
    SCORES_PATH,
    TRAIN_SUMMARY_PATH,
)
from mentallama.tasks import Task

M = TypeVar("M")


@dataclass(frozen=True)
class PredictionCounts:
    """Counts over the predictions of the run."""

    rows: int
    models: tuple[str, ...]
    with_explanation: int
    with_evidence: int
    with_probabilities: int


@dataclass(frozen=True)
class RunArtifacts:
    """The files of a run that a page is built from, and the recipe's tasks and settings."""

    scores: ScoreFile | None = None
    collect_summary: CollectSummary | None = None
    overlap: Overlap | None = None
    drift: tuple[LabelDrift, ...] | None = None
    train_summary: Mapping[str, Any] | None = None
    prediction_counts: PredictionCounts | None = None
    gates: GateReport | None = None
    tasks: Mapping[str, Task] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The recipe's settings, nested."""


def read_run_artifacts(
    run: Path, tasks: Mapping[str, Task] | None = None, settings: Mapping[str, Any] | None = None
) -> RunArtifacts:
    """Read the folder of a run.

    Raises
    ------
    DataError
        A file exists and does not match its schema.
    """
    return RunArtifacts(
        scores=_read_if_present(run / SCORES_PATH, ScoreFile),
        collect_summary=_read_if_present(run / COLLECT_SUMMARY_PATH, CollectSummary),
        overlap=_read_if_present(run / OVERLAP_PATH, Overlap),
        drift=_read_if_present(run / LABEL_DRIFT_PATH, tuple[LabelDrift, ...]),
        train_summary=_read_if_present(run / TRAIN_SUMMARY_PATH, dict[str, Any]),
        prediction_counts=count_predictions(run / PREDICTIONS_PATH),
        gates=_read_if_present(run / GATE_REPORT_PATH, GateReport),
        tasks=tasks or {},
        settings=settings or {},
    )


def _read_if_present(path: Path, kind: type[M]) -> M | None:
    if not path.is_file():
        return None
    try:
        return TypeAdapter(kind).validate_python(read_json(path), strict=False)
    except ValidationError as invalid:
        fields = sorted({".".join(map(str, error["loc"])) or "the whole file" for error in invalid.errors()})
        raise DataError(f"the report cannot read {', '.join(fields[:5])}", path) from None


def count_predictions(path: Path) -> PredictionCounts | None:
    """Count a file of predictions; None if it does not exist."""
    if not path.is_file():
        return None
    models: set[str] = set()
    rows = with_explanation = with_evidence = with_probabilities = 0
    for prediction in read_records(path, Prediction):
        models.add(prediction.model)
        rows += 1
        with_explanation += bool(prediction.reading.explanation)
        with_evidence += bool(prediction.evidence)
        with_probabilities += bool(prediction.probabilities)
    return PredictionCounts(rows, tuple(sorted(models)), with_explanation, with_evidence, with_probabilities)
