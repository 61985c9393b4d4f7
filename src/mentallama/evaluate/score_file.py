"""What `evaluate` writes: the shape of `scores.json`, and how rows become it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from mentallama.evaluate.explanation_labels import ExplanationScores
from mentallama.evaluate.published_reader import PublishedScore
from mentallama.evaluate.score_row import ScoredRow
from mentallama.files.record_files import read_json, write_json, write_records
from mentallama.metrics.bootstrap import Resampling
from mentallama.metrics.classification import Scores, compute_scores
from mentallama.records import Form, Record
from mentallama.run_files import SCORED_ROWS_FILE, SCORES_FILE
from mentallama.tasks import Task


class MatchedFile(Record):
    """Which file of the benchmark a set's outputs answered."""

    file: str
    """Under the benchmark's folder."""
    rows: int
    aligned_by: str
    """"rows": same order; "goldens": reordered by golden text; "ids": joined by example id."""


class ScoreFile(Record):
    """`scores.json`. No time and no machine in it: the same inputs give the same bytes."""

    form: Form
    source: dict[str, str]
    """What was scored: the kind of input and its name."""
    resampling: Resampling
    sets: dict[str, Scores]
    missing: tuple[str, ...]
    """Sets of the catalogue without a score; `missing_reasons` says why."""
    missing_reasons: dict[str, str]
    missing_rows: dict[str, tuple[str, ...]] = {}
    """Set -> ids of labelled test rows that have no prediction."""
    unlabelled: dict[str, int] = {}
    """Set -> test rows without a label: they cannot be scored."""
    unused: tuple[str, ...] = ()
    """What was handed in and answers nothing: names of files, or ids of predictions."""
    matched_files: dict[str, MatchedFile] = {}
    as_published: dict[str, PublishedScore] | None = None
    explanation_scores: dict[str, ExplanationScores] | None = None
    """What a label reader tells from explanations alone, by set; `reader` is its name."""
    label_reader: str | None = None

    def weighted_f1(self) -> dict[str, float]:
        """Weighted F1 by set, in percent."""
        return {name: scores.weighted_f1 for name, scores in self.sets.items()}


def compute_set_scores(
    rows: Mapping[str, Sequence[ScoredRow]], tasks: Mapping[str, Task], resampling: Resampling
) -> dict[str, Scores]:
    """Score every set that has rows, in the catalogue's order."""
    return {
        name: compute_scores(rows[name], task, resampling) for name, task in tasks.items() if rows.get(name)
    }


def write_scores(out: Path, scores: ScoreFile, rows: Mapping[str, Sequence[ScoredRow]]) -> ScoreFile:
    """Write `rows.jsonl.zst` and `scores.json` (last: where it stands, the rest is whole)."""
    write_records(out / SCORED_ROWS_FILE, (row for name in scores.sets for row in rows[name]))
    write_json(out / SCORES_FILE, scores.model_dump(mode="json"))
    return scores


def read_scores(path: Path) -> ScoreFile:
    """Read `scores.json` back."""
    return ScoreFile.model_validate(read_json(path))
