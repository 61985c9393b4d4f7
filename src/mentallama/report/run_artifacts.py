"""Read what a run left in its folders; whatever is absent is None."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from mentallama.check.output.gate_report_schema import NAME as GATES
from mentallama.check.output.gate_report_schema import GateFile
from mentallama.errors import BadData
from mentallama.evaluate.score_file import SCORES, ScoreFile
from mentallama.files.record_files import read_json, read_records
from mentallama.records import Prediction

M = TypeVar("M")


class Shown(BaseModel):
    """Base of what other stages wrote: the page takes the fields it shows and passes over the rest."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Removed(Shown):
    """Posts the guard took out for one reason, from one set and split against another."""

    reason: str = "leak"
    how: str | None = None
    set: str
    split: str
    against_set: str | None = None
    against_split: str | None = None
    posts: int


class HeldOut(Shown):
    """Whether the run may say of sets that no model saw them."""

    sets: tuple[str, ...] = ()
    posts_left_out: int = 0
    test_posts_left_in_training: int = 0
    claim: bool = False


class CollectSummary(Shown):
    """`collect/summary.json`."""

    posts: dict[str, dict[str, int]] = {}
    read: int | None = None
    rejected: int = 0
    rejects: dict[str, int] = {}
    cleaning: dict[str, int] = {}
    leak_guard: str | None = None
    removed: tuple[Removed, ...] = ()
    held_out: HeldOut = HeldOut()


class Overlap(Shown):
    """`collect/overlap.json`: rows are test sets, columns training sets."""

    tests: tuple[str, ...]
    trains: tuple[str, ...]
    test_posts: tuple[int, ...]
    counts: tuple[tuple[int, ...], ...]
    after_guard: tuple[tuple[int, ...], ...] | None = None


class Drift(Shown):
    """One line of `collect/drift.json`; `share` is 0-1."""

    set: str
    question: str
    rows: int
    differ: int
    share: float


@dataclass(frozen=True)
class Predicted:
    """What `predict` wrote, counted."""

    rows: int
    models: tuple[str, ...]
    with_explanation: int
    with_evidence: int
    with_probabilities: int


@dataclass(frozen=True)
class Material:
    """Everything a page is written from."""

    scores: ScoreFile | None = None
    collected: CollectSummary | None = None
    overlap: Overlap | None = None
    drift: tuple[Drift, ...] | None = None
    trained: Mapping[str, Any] | None = None
    predicted: Predicted | None = None
    gates: GateFile | None = None


def read_material(run: Path) -> Material:
    """Read a run's folder.

    Raises
    ------
    BadData
        A file is there and does not hold what it should.
    """
    return Material(
        scores=_read(run / "evaluate" / SCORES, ScoreFile),
        collected=_read(run / "collect/summary.json", CollectSummary),
        overlap=_read(run / "collect/overlap.json", Overlap),
        drift=_read(run / "collect/drift.json", tuple[Drift, ...]),
        trained=_read(run / "train/summary.json", dict[str, Any]),
        predicted=count_predictions(run / "predict/predictions.jsonl.zst"),
        gates=_read(run / "check" / GATES, GateFile),
    )


def _read(path: Path, kind: type[M]) -> M | None:
    if not path.is_file():
        return None
    try:
        return TypeAdapter(kind).validate_python(read_json(path), strict=False)
    except ValidationError as fault:
        fields = sorted({".".join(map(str, error["loc"])) or "the whole" for error in fault.errors()})
        raise BadData(f"the report cannot read {', '.join(fields[:5])}", path) from None


def count_predictions(path: Path) -> Predicted | None:
    """Count a file of predictions; None where there is none."""
    if not path.is_file():
        return None
    models: set[str] = set()
    rows = explained = shown = sure = 0
    for prediction in read_records(path, Prediction):
        models.add(prediction.model)
        rows += 1
        explained += bool(prediction.reading.explanation)
        shown += bool(prediction.evidence)
        sure += bool(prediction.probabilities)
    return Predicted(rows, tuple(sorted(models)), explained, shown, sure)
