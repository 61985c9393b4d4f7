"""Read the files of a run that the report shows; a file that does not exist is None."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from mentallama.check.output.gate_report_schema import GateReport
from mentallama.collect.summary import CollectSummary, LabelDrift, Overlap
from mentallama.errors import DataError
from mentallama.evaluate.prediction_source import analyst_predictions, teacher_answers
from mentallama.evaluate.score_file import ScoreFile
from mentallama.explain.results import FaithfulnessFile, MethodTiming
from mentallama.files.manifest import Manifest, read_manifest
from mentallama.files.record_files import read_json, read_records
from mentallama.records import Form, Post, Prediction, Record, TrainingMetrics
from mentallama.report.answer_survey import AnswerSurvey, read_test_questions, survey_answers
from mentallama.report.label_distribution import LabelDistribution, count_labels
from mentallama.run_files import (
    COLLECT_SUMMARY_PATH,
    EXPLAIN_METRICS_PATH,
    FAITHFULNESS_PATH,
    GATE_REPORT_PATH,
    LABEL_DRIFT_PATH,
    OVERLAP_PATH,
    POSTS_PATH,
    PREDICTIONS_PATH,
    SCORES_FILE,
    SCORES_PATH,
    TEACH_RESPONSES_PATH,
    TRAIN_METRICS_PATH,
    TRAIN_SUMMARY_PATH,
)
from mentallama.tasks import Task

M = TypeVar("M")
R = TypeVar("R", bound=Record)

REPORTED_STAGES = ("collect", "teach", "check", "train", "predict", "explain", "evaluate")


@dataclass(frozen=True)
class RunArtifacts:
    """The files of a run that a page is built from, and the recipe's tasks and settings."""

    scores: ScoreFile | None = None
    collect_summary: CollectSummary | None = None
    overlap: Overlap | None = None
    drift: tuple[LabelDrift, ...] | None = None
    train_summary: Mapping[str, Any] | None = None
    training_metrics: tuple[TrainingMetrics, ...] = ()
    answers: AnswerSurvey | None = None
    test_origins: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Set -> kinds of files that its test posts are from; empty where the run has no posts."""
    labels: Mapping[str, LabelDistribution] = field(default_factory=dict)
    """Set -> how often its posts have each label; empty where the run has no posts."""
    gates: GateReport | None = None
    faithfulness: FaithfulnessFile | None = None
    seconds_of_methods: Mapping[str, float] = field(default_factory=dict)
    """Seconds that a method of attribution took for an answer."""
    manifests: Mapping[str, Manifest] = field(default_factory=dict)
    """Of the finished stages, by their names."""
    tasks: Mapping[str, Task] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The recipe's settings, nested."""

    def set_name(self, name: str) -> str:
        """The name of a set as tables and plots spell it."""
        return self.tasks[name].display_name if name in self.tasks else name

    def published_test_rows(self, name: str) -> int | None:
        """Rows of the set's published test file; None for a set that is not published."""
        published = self.tasks[name].published_rows if name in self.tasks else None
        return None if published is None else published.test


def read_run_artifacts(
    run: Path, tasks: Mapping[str, Task] | None = None, settings: Mapping[str, Any] | None = None
) -> RunArtifacts:
    """Read the folder of a run.

    Raises
    ------
    DataError
        A file exists and does not match its schema.
    """
    scores = _read_if_present(find_scores(run) or run / SCORES_PATH, ScoreFile)
    form: Form = (settings or {}).get("form", "instruction") if scores is None else scores.form
    labels: dict[str, LabelDistribution] = {}
    posts = count_labels(_records(run / POSTS_PATH, Post), tasks or {}, labels)
    questions, origins = read_test_questions(posts, form)
    predictions = _predictions(run, form, tasks or {}, scores)
    manifests = {stage: read_manifest(run / stage) for stage in REPORTED_STAGES}
    return RunArtifacts(
        scores=scores,
        collect_summary=_read_if_present(run / COLLECT_SUMMARY_PATH, CollectSummary),
        overlap=_read_if_present(run / OVERLAP_PATH, Overlap),
        drift=_read_if_present(run / LABEL_DRIFT_PATH, tuple[LabelDrift, ...]),
        train_summary=_read_if_present(run / TRAIN_SUMMARY_PATH, dict[str, Any]),
        training_metrics=tuple(_records(run / TRAIN_METRICS_PATH, TrainingMetrics)),
        answers=None if predictions is None else survey_answers(predictions, questions),
        test_origins=origins,
        labels=labels,
        gates=_read_if_present(run / GATE_REPORT_PATH, GateReport),
        faithfulness=_read_if_present(run / FAITHFULNESS_PATH, FaithfulnessFile),
        seconds_of_methods={
            timing.method: timing.seconds / timing.rows
            for timing in _records(run / EXPLAIN_METRICS_PATH, MethodTiming)
        },
        manifests={stage: manifest for stage, manifest in manifests.items() if manifest is not None},
        tasks=tasks or {},
        settings=settings or {},
    )


def find_scores(folder: Path) -> Path | None:
    """The scores in a run's folder, or in one that `evaluate --out` wrote; None if there are none."""
    return next((path for path in (folder / SCORES_PATH, folder / SCORES_FILE) if path.is_file()), None)


def _records(path: Path, kind: type[R]) -> Iterator[R]:
    """The records of a file; none if it does not exist."""
    return read_records(path, kind) if path.is_file() else iter(())


def _predictions(
    run: Path, form: Form, tasks: Mapping[str, Task], scores: ScoreFile | None
) -> Iterator[Prediction] | None:
    """The answers that were scored: those of an analyst, else those of a teacher; None if there are none."""
    if (run / PREDICTIONS_PATH).is_file():
        source = analyst_predictions(run / PREDICTIONS_PATH)
    elif scores is not None and (run / TEACH_RESPONSES_PATH).is_file() and (run / POSTS_PATH).is_file():
        source = teacher_answers(run / TEACH_RESPONSES_PATH, run / POSTS_PATH, form, tasks)
    else:
        return None
    return (prediction for _, prediction in source.read())


def _read_if_present(path: Path, kind: type[M]) -> M | None:
    if not path.is_file():
        return None
    try:
        return TypeAdapter(kind).validate_python(read_json(path), strict=False)
    except ValidationError as invalid:
        fields = sorted({".".join(map(str, error["loc"])) or "the whole file" for error in invalid.errors()})
        advice = "; if another version of mentallama wrote it, evaluate again" if kind is ScoreFile else ""
        raise DataError(f"the report cannot read {', '.join(fields[:5])}{advice}", path) from None
