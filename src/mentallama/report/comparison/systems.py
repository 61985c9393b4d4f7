"""The systems of a comparison: their scores and scored rows, read from runs or from folders of `evaluate --out`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mentallama.errors import DataError, UsageError
from mentallama.evaluate.kinds.part_counts import part_confusions
from mentallama.evaluate.score_file import ScoreFile
from mentallama.evaluate.scores import NO_LABEL_STATUSES, ScoredRow, Scores
from mentallama.files.record_files import read_records
from mentallama.report.comparability import is_synthetic
from mentallama.report.run_artifacts import RunArtifacts, find_scores, read_run_artifacts
from mentallama.run_files import PREDICTIONS_PATH, SCORED_ROWS_FILE, SCORES_FILE
from mentallama.tasks import Task

RowKey = tuple[str, str, int]
"""Post, question, and which of the rows that ask this question about equal posts: the identity of a row in any run."""

SystemKind = Literal["scores", "outputs"]
"""A folder with scores, or one with a model's outputs, `SET.csv`, which have to be scored first."""


@dataclass(frozen=True)
class ScoredSystem:
    """A system with its name on the page, its scores, and its scored rows by set.

    `folder` is that of its `scores.json`. A set has no rows here if the folder has no file of scored rows.
    """

    name: str
    folder: Path
    scores: ScoreFile
    artifacts: RunArtifacts
    rows: Mapping[str, Mapping[RowKey, ScoredRow]]

    def is_synthetic(self, set_name: str) -> bool:
        """Whether any of the set's rows is about a synthetic post."""
        return is_synthetic(self.artifacts, set_name)


def distinct_names(folders: Sequence[Path]) -> list[str]:
    """The last parts of the paths, as many as tell each from the others.

    >>> distinct_names([Path("/runs/a/run"), Path("/runs/b/run"), Path("/runs/c")])
    ['a/run', 'b/run', 'c']

    Raises
    ------
    UsageError
        A folder is named twice.
    """
    paths = [folder.resolve() for folder in folders]
    twice = [str(folder) for folder, path in zip(folders, paths, strict=True) if paths.count(path) > 1]
    if twice:
        raise UsageError(f"{twice[0]}: this folder is named twice")
    return [
        next(
            name
            for depth in range(1, len(path.parts) + 1)
            if [_last_parts(other, depth) for other in paths].count(name := _last_parts(path, depth)) == 1
        )
        for path in paths
    ]


def _last_parts(path: Path, depth: int) -> str:
    return "/".join(path.parts[-depth:])


def system_kind(folder: Path, tasks: Mapping[str, Task]) -> SystemKind:
    """Whether a folder of a system holds scores, or outputs that have to be scored.

    Raises
    ------
    UsageError
        Neither scores nor outputs, or there is no such folder.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder}: there is no such folder")
    if find_scores(folder) is not None:
        return "scores"
    if any((folder / f"{name}.csv").is_file() for name in tasks):
        return "outputs"
    if (folder / PREDICTIONS_PATH).is_file():
        raise UsageError(f"{folder}: this run has no scores yet; finish it with mentallama evaluate RECIPE")
    raise UsageError(
        f"{folder}: there are no scores in this folder, and no outputs named after a set, such as "
        f"{next(iter(tasks))}.csv; give runs that were evaluated, folders of evaluate --out, or folders of outputs"
    )


def read_system(name: str, folder: Path, tasks: Mapping[str, Task]) -> ScoredSystem:
    """Read a run, or a folder that `evaluate --out` wrote.

    Raises
    ------
    UsageError
        The folder has no scores.
    DataError
        A file does not match its schema, or the rows are not those that the scores were computed from.
    """
    path = find_scores(folder)
    artifacts = read_run_artifacts(folder, tasks)
    if path is None or artifacts.scores is None:
        raise UsageError(
            f"{folder}: there are no scores in this folder; systems are compared once evaluate is done"
        )
    by_set: dict[str, list[ScoredRow]] = {}
    rows = path.with_name(SCORED_ROWS_FILE)
    for row in read_records(rows, ScoredRow) if rows.is_file() else ():
        by_set.setdefault(row.set, []).append(row)
    if by_set:
        _check_rows(artifacts.scores, by_set, rows, tasks)
    keyed = {key: keyed_rows(part) for key, part in by_set.items() if key in artifacts.scores.sets}
    return ScoredSystem(name, path.parent, artifacts.scores, artifacts, keyed)


def keyed_rows(rows: Iterable[ScoredRow]) -> dict[RowKey, ScoredRow]:
    """The rows of one set by the post and the question that they are about; equal posts are told apart by order."""
    seen: Counter[tuple[str, str]] = Counter()
    keyed = {}
    for row in rows:
        about = (row.post_hash or row.post_id, row.question)
        keyed[*about, seen[about]] = row
        seen[about] += 1
    return keyed


def _are_rows_of(scores: Scores, rows: Sequence[ScoredRow], task: Task | None) -> bool:
    """Whether confusion counts of the rows, of answers of several parts by part, are those of the scores."""
    if scores.kind in {"choice", "ordinal"}:
        counted = Counter((row.gold, row.predicted or row.status) for row in rows)
        return counted == {
            (gold, column): count
            for gold, line in scores.confusion.items()
            for column, count in line.items()
            if count
        }
    if task is None or task.kind != scores.kind:
        return False
    golds, outcomes = [row.gold for row in rows], [row.predicted or row.status for row in rows]
    try:
        found = part_confusions(task, golds, outcomes, NO_LABEL_STATUSES)
    except ValueError:
        return False
    return found == {name: part.confusion for name, part in scores.parts.items()}


def _check_rows(
    scores: ScoreFile, rows: Mapping[str, Sequence[ScoredRow]], file: Path, tasks: Mapping[str, Task]
) -> None:
    """Refuse rows that are not those of the scores: of another evaluation, doubled, or left out."""
    for name, of_set in scores.sets.items():
        given = rows.get(name, ())
        if not _are_rows_of(of_set, given, tasks.get(name)):
            ids = len(given) - len({row.example_id for row in given})
            repeated = f", {ids:,} of them with the id of another row" if ids else ""
            raise DataError(
                f"{len(given):,} rows of {name}{repeated}, which are not the {of_set.n:,} rows that {SCORES_FILE} was "
                "computed from; evaluate again",
                file,
            )
