"""The schema of `comparison.json`: everything on a page of several systems, for programs."""

from __future__ import annotations

from mentallama.evaluate.score_file import ScoreFile
from mentallama.records import Record
from mentallama.report.comparison.comparison import Comparison, mean_over_sets
from mentallama.report.comparison.row_groups import reasons_apart


class ComparedRows(Record):
    """Systems that were scored on the same `rows` rows of a set, by name."""

    set: str
    rows: int
    synthetic: bool
    systems: tuple[str, ...]


class NotCompared(Record):
    """Systems of two groups of a set that are not compared, and why."""

    set: str
    first: tuple[str, ...]
    second: tuple[str, ...]
    reason: str


class DifferenceOfSystems(Record):
    """Weighted F1 of `second` minus that of `first` on the same rows, in points, with its 95 % interval.

    `only_first` and `only_second` count the rows that only one of the two got right; `mcnemar_p` tests them.
    `bootstrap_p` tests the difference, and `adjusted_p` is corrected for the number of sets of the two (Holm).
    `high_risk_recall` is the difference in recall of the high-risk label; None without such a label. `verdict` says in
    words what follows for `second`: it is never better if it finds fewer of the high-risk label beyond the interval.
    """

    set: str
    first: str
    second: str
    rows: int
    difference: float
    interval: tuple[float, float] | None
    only_first: int
    only_second: int
    mcnemar_p: float
    bootstrap_p: float | None
    adjusted_p: float | None
    high_risk_recall: float | None
    high_risk_recall_interval: tuple[float, float] | None
    verdict: str


class MeanScores(Record):
    """Systems that were scored on the same rows of all of `sets`: unweighted means of weighted F1, best first."""

    sets: tuple[str, ...]
    synthetic: bool
    weighted_f1: dict[str, float]


class ComparisonFile(Record):
    """The content of `comparison.json`; `scores` has the content of every system's `scores.json`,
    `differences` every two systems; the baseline is the first of its pairs.

    `shared_rows`: the scores are those on the rows that all systems with a set share, and `left_out` says which sets
    have none.
    """

    baseline: str
    shared_rows: bool
    left_out: tuple[str, ...]
    rows: tuple[ComparedRows, ...]
    not_compared: tuple[NotCompared, ...]
    leaderboards: tuple[MeanScores, ...]
    differences: tuple[DifferenceOfSystems, ...]
    scores: dict[str, ScoreFile]


def comparison_file(comparison: Comparison) -> ComparisonFile:
    """The record of a comparison."""
    return ComparisonFile(
        baseline=comparison.baseline.name,
        shared_rows=comparison.shared_only,
        left_out=comparison.left_out,
        rows=tuple(
            ComparedRows(set=group.set, rows=group.n, synthetic=group.is_synthetic, systems=group.names)
            for groups in comparison.groups.values()
            for group in groups
        ),
        not_compared=tuple(
            NotCompared(set=name, first=first.names, second=second.names, reason=reason)
            for name, groups in comparison.groups.items()
            for first, second, reason in reasons_apart(groups)
        ),
        leaderboards=tuple(
            MeanScores(
                sets=board.sets,
                synthetic=board.is_synthetic,
                weighted_f1={system.name: mean_over_sets(system, board.sets) for system in board.systems},
            )
            for board in comparison.leaderboards
        ),
        differences=tuple(
            DifferenceOfSystems(
                set=name,
                first=first,
                second=second,
                rows=part.rows,
                difference=part.difference,
                interval=part.interval,
                only_first=part.only_first,
                only_second=part.only_second,
                mcnemar_p=part.mcnemar_p,
                bootstrap_p=part.bootstrap_p,
                adjusted_p=part.adjusted_p,
                high_risk_recall=None if part.recall is None else part.recall.difference,
                high_risk_recall_interval=None if part.recall is None else part.recall.interval,
                verdict=part.verdict,
            )
            for (first, second), by_set in comparison.pairwise.items()
            for name, part in by_set.items()
        ),
        scores={system.name: system.scores for system in comparison.systems},
    )
