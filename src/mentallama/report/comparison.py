"""Several runs side by side: their scores, and the paired differences of the others from the first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mentallama.errors import UsageError
from mentallama.evaluate.published.paper_results import in_paper_order
from mentallama.evaluate.score_file import ScoreFile
from mentallama.evaluate.scores import ScoredRow
from mentallama.files.record_files import read_records
from mentallama.report.comparability import is_synthetic
from mentallama.report.paired_differences import (
    PairedDifference,
    adjust_over_sets,
    pair_rows,
    paired_difference,
)
from mentallama.report.run_artifacts import RunArtifacts, find_scores, read_run_artifacts
from mentallama.run_files import SCORED_ROWS_FILE
from mentallama.tasks import Task


@dataclass(frozen=True)
class ComparedRun:
    """A run with its name on the page, and its scored rows by set (none where the file of rows is not there)."""

    name: str
    scores: ScoreFile
    artifacts: RunArtifacts
    rows: Mapping[str, tuple[ScoredRow, ...]]


@dataclass(frozen=True)
class Comparison:
    """Runs, of which the first is the one that the others are compared with.

    `differences`: (set, name of another run) -> its difference from the first, or why they cannot be compared.
    """

    runs: tuple[ComparedRun, ...]
    differences: Mapping[tuple[str, str], PairedDifference | str]

    def sets(self, synthetic: bool | None = None) -> list[str]:
        """The sets that any run scored, in the paper's order; those on synthetic posts, or on posts of people."""
        order = in_paper_order(dict.fromkeys(name for run in self.runs for name in run.scores.sets))
        return [name for name in order if synthetic is None or any(self.scored(name, synthetic))]

    def scored(self, name: str, synthetic: bool) -> list[ComparedRun | None]:
        """Every run that scored the set on such posts, None in the place of the others."""
        return [
            run if name in run.scores.sets and is_synthetic(run.artifacts, name) is synthetic else None
            for run in self.runs
        ]


def read_comparison(folders: Sequence[Path], tasks: Mapping[str, Task]) -> Comparison:
    """Read runs, or folders that `evaluate --out` wrote, and compute their differences.

    Raises
    ------
    UsageError
        A folder has no scores, or is named twice.
    DataError
        A file does not match its schema.
    """
    names = distinct_names(folders)
    runs = tuple(_read_run(name, folder, tasks) for name, folder in zip(names, folders, strict=True))
    first, *others = runs
    differences = {
        (name, other.name): difference
        for other in others
        for name, difference in differences_by_set(first, other).items()
    }
    return Comparison(runs, differences)


def distinct_names(folders: Sequence[Path]) -> list[str]:
    """The last parts of the paths, as many as tell the folders apart.

    >>> distinct_names([Path("/runs/a/run"), Path("/runs/b/run")])
    ['a/run', 'b/run']
    """
    paths = [folder.resolve() for folder in folders]
    twice = [str(folder) for folder, path in zip(folders, paths, strict=True) if paths.count(path) > 1]
    if twice:
        raise UsageError(f"{twice[0]}: this run is named twice")
    depth = 1
    while max(Counter(_last_parts(path, depth) for path in paths).values()) > 1:
        depth += 1
    return [_last_parts(path, depth) for path in paths]


def _last_parts(path: Path, depth: int) -> str:
    return "/".join(path.parts[-depth:])


def _read_run(name: str, folder: Path, tasks: Mapping[str, Task]) -> ComparedRun:
    path = find_scores(folder)
    artifacts = read_run_artifacts(folder, tasks)
    if path is None or artifacts.scores is None:
        raise UsageError(
            f"{folder}: there are no scores in this folder; runs are compared once evaluate is done"
        )
    by_set: dict[str, list[ScoredRow]] = {}
    rows = path.with_name(SCORED_ROWS_FILE)
    for row in read_records(rows, ScoredRow) if rows.is_file() else ():
        by_set.setdefault(row.set, []).append(row)
    return ComparedRun(name, artifacts.scores, artifacts, {key: tuple(part) for key, part in by_set.items()})


def differences_by_set(first: ComparedRun, other: ComparedRun) -> dict[str, PairedDifference | str]:
    """The differences of two runs on the sets that both scored, their p-values corrected for the number of sets."""
    found = {
        name: difference_of(first, other, name) for name in other.scores.sets if name in first.scores.sets
    }
    tested = {name: part for name, part in found.items() if isinstance(part, PairedDifference)}
    return found | adjust_over_sets(tested)


def difference_of(first: ComparedRun, other: ComparedRun, name: str) -> PairedDifference | str:
    """The difference of two runs on one set that both scored, or why they cannot be compared on it."""
    labels = [list(run.scores.sets[name].per_class) for run in (first, other)]
    if is_synthetic(first.artifacts, name) is not is_synthetic(other.artifacts, name):
        return "synthetic posts in one of the runs only"
    if labels[0] != labels[1]:
        return "other labels"
    if not (first.rows.get(name) and other.rows.get(name)):
        return "one of the runs has no file of scored rows"
    pairs = pair_rows(first.rows[name], other.rows[name])
    if isinstance(pairs, str):
        return pairs
    high_risk = first.scores.sets[name].high_risk
    label = None if high_risk is None else high_risk.label
    return paired_difference(pairs, labels[0], first.scores.resampling, label)
