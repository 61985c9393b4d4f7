"""The schema of `scores.json`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from mentallama.evaluate.explanation_labels import ExplanationScores
from mentallama.evaluate.published_reader import PublishedScore
from mentallama.evaluate.scores import Scores
from mentallama.files.record_files import read_record
from mentallama.metrics.bootstrap import Resampling
from mentallama.records import Form, Record


class MatchedFile(Record):
    """The benchmark file that a set's outputs answer."""

    file: str
    """Path below the benchmark's folder."""
    rows: int
    aligned_by: Literal["rows", "references"]
    """"rows": same order; "references": reordered by reference text."""


class ScoreFile(Record):
    """The content of `scores.json`, without times or names of machines: the same inputs give the same bytes."""

    form: Form
    source: dict[str, str]
    """The scored input: its `kind` (predictions or responses), and its name under `model` or `responses`."""
    resampling: Resampling
    sets: dict[str, Scores]
    missing: tuple[str, ...]
    """Sets of the catalogue without a score, for the reasons in `missing_reasons`."""
    missing_reasons: dict[str, str]
    missing_rows: dict[str, tuple[str, ...]] = {}
    """Set -> example ids of labelled test rows without a prediction."""
    unlabelled: dict[str, int] = {}
    """Set -> test rows without a label, which cannot be scored."""
    synthetic_rows: dict[str, int] = {}
    """Set -> scored rows about synthetic posts, whose scores say nothing about posts of people."""
    unused: tuple[str, ...] = ()
    """Input that matches no row: file names, or ids of predictions."""
    matched_files: dict[str, MatchedFile] = {}
    as_published: dict[str, PublishedScore] | None = None
    explanation_scores: dict[str, ExplanationScores] | None = None
    """Labels that `label_reader` predicts from the explanations alone, by set."""
    label_reader: str | None = None

    def weighted_f1(self) -> dict[str, float]:
        """Weighted F1 by set, in percent."""
        return {name: scores.weighted_f1 for name, scores in self.sets.items()}


def read_scores(path: Path) -> ScoreFile:
    """Read `scores.json`."""
    return read_record(path, ScoreFile)
