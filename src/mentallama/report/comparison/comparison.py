"""Several systems side by side: who shares rows with whom, differences from a baseline, and leaderboards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from pathlib import Path
from statistics import mean
from typing import get_args

from mentallama.errors import UsageError
from mentallama.evaluate.published.paper_results import in_paper_order
from mentallama.report.comparison.paired_differences import (
    PairedDifference,
    adjust_over_sets,
    pair_rows,
    paired_difference,
)
from mentallama.report.comparison.row_groups import RowGroup, on_shared_rows, row_groups
from mentallama.report.comparison.systems import ScoredSystem, distinct_names, read_system
from mentallama.tasks import Task
from mentallama.tasks.answer_kinds import AnswerKind
from mentallama.text.suggestions import did_you_mean


@dataclass(frozen=True)
class Leaderboard:
    """Systems that were scored on the same rows of all of `sets`, the best mean of weighted F1 first."""

    sets: tuple[str, ...]
    systems: tuple[ScoredSystem, ...]
    is_synthetic: bool


@dataclass(frozen=True)
class Comparison:
    """Systems, and the one that the others are compared with.

    `groups` are by set, in the paper's order. `pairwise` has the differences of the second system of a pair from its
    first, by set, for every two systems; the baseline is always the first of a pair. `shared_only`: systems are scored
    on the rows that all of them share, and `left_out` says which sets have none.
    """

    systems: tuple[ScoredSystem, ...]
    baseline: ScoredSystem
    groups: Mapping[str, tuple[RowGroup, ...]]
    pairwise: Mapping[tuple[str, str], Mapping[str, PairedDifference]]
    leaderboards: tuple[Leaderboard, ...]
    shared_only: bool = False
    left_out: tuple[str, ...] = ()

    def lines(self, *, synthetic: bool) -> list[RowGroup]:
        """The groups of all sets whose rows are about synthetic posts, or about posts of people."""
        return [
            group for groups in self.groups.values() for group in groups if group.is_synthetic is synthetic
        ]

    @property
    def differences(self) -> dict[tuple[str, str], PairedDifference]:
        """The differences of the other systems from the baseline, in order of the sets."""
        others = [system.name for system in self.systems if system is not self.baseline]
        return {
            (name, other): difference
            for name in self.groups
            for other in others
            if (difference := self.pairwise[self.baseline.name, other].get(name)) is not None
        }

    def set_name(self, name: str) -> str:
        """The name of a set as tables and plots spell it."""
        return self.baseline.artifacts.set_name(name)


def read_comparison(
    folders: Sequence[Path],
    tasks: Mapping[str, Task],
    *,
    names: Sequence[str] | None = None,
    baseline: str | None = None,
    shared_only: bool = False,
) -> Comparison:
    """Read systems and compare them.

    Parameters
    ----------
    folders
        Runs, or folders that `evaluate --out` wrote.
    names
        Names of the systems; None: the last parts of their folders.
    baseline
        Name of the system that the others are compared with; None: the first.
    shared_only
        Score the systems on the rows that all of them share.

    Raises
    ------
    UsageError
        A folder has no scores or is named twice, or no system is called as the baseline.
    DataError
        A file does not match its schema, or rows are not those of the scores.
    """
    names = distinct_names(folders) if names is None else names
    check_names(names, baseline)
    systems = tuple(read_system(name, folder, tasks) for name, folder in zip(names, folders, strict=True))
    left_out: tuple[str, ...] = ()
    if shared_only:
        systems, left_out = on_shared_rows(systems, tasks)
    first = systems[0 if baseline is None else list(names).index(baseline)]
    sets = in_paper_order(dict.fromkeys(name for system in systems for name in system.scores.sets))
    groups = {name: row_groups(systems, name) for name in sets}
    return Comparison(
        systems=systems,
        baseline=first,
        groups=groups,
        pairwise={
            (one.name, other.name): differences_by_set(one, other, groups)
            for one, other in combinations((first, *(each for each in systems if each is not first)), 2)
        },
        leaderboards=tuple(leaderboards(systems, groups)),
        shared_only=shared_only,
        left_out=left_out,
    )


def check_names(names: Sequence[str], baseline: str | None) -> None:
    """Raise `UsageError` if there are fewer than two systems, or none is called as the baseline."""
    if len(names) < 2:
        raise UsageError("a comparison needs two systems or more; mentallama report RUN shows one run")
    if baseline is not None and baseline not in names:
        raise UsageError(f"no system is called {baseline!r}; {did_you_mean(baseline, list(names))}")


def differences_by_set(
    first: ScoredSystem, second: ScoredSystem, groups: Mapping[str, Sequence[RowGroup]]
) -> dict[str, PairedDifference]:
    """The differences of two systems on the sets whose rows they share, p-values corrected for their number."""
    shared = [
        name for name, of_set in groups.items() if any(first in group and second in group for group in of_set)
    ]
    return adjust_over_sets({name: _difference(first, second, name) for name in shared})


def _difference(first: ScoredSystem, second: ScoredSystem, set_name: str) -> PairedDifference:
    scores = first.scores.sets[set_name]
    return paired_difference(
        pair_rows(first.rows[set_name], second.rows[set_name]),
        list(scores.per_class),
        first.scores.resampling,
        None if scores.high_risk is None else scores.high_risk.label,
        first.artifacts.tasks.get(set_name),
    )


_KIND_ORDER: tuple[AnswerKind, ...] = get_args(AnswerKind)


def leaderboards(
    systems: Sequence[ScoredSystem], groups: Mapping[str, Sequence[RowGroup]]
) -> Iterator[Leaderboard]:
    """For the rows of every system, the systems that were scored on all of them, if these are at least two.

    Of leaderboards with the same systems only the one with the most sets is kept. Sets whose F1 counts other things, as
    rows by label or tokens in quotations, have leaderboards of their own.
    """
    counted = sorted(
        {group.f1_counts for of_set in groups.values() for group in of_set}, key=_KIND_ORDER.index
    )
    for synthetic, f1_counts in product((False, True), counted):
        by_members: dict[frozenset[str], list[RowGroup]] = {}
        for system in systems:
            covered = [
                group
                for of_set in groups.values()
                for group in of_set
                if system in group and group.is_synthetic is synthetic and group.f1_counts == f1_counts
            ]
            members = frozenset(
                other.name for other in systems if covered and all(other in group for group in covered)
            )
            if len(members) > 1 and len(covered) > len(by_members.get(members, ())):
                by_members[members] = covered
        for names, covered in by_members.items():
            sets = tuple(group.set for group in covered)
            ranked = sorted(
                (system for system in systems if system.name in names),
                key=lambda system: -mean_over_sets(system, sets),
            )
            yield Leaderboard(sets, tuple(ranked), synthetic)


def mean_over_sets(system: ScoredSystem, sets: Sequence[str], metric: str = "weighted_f1") -> float:
    """The unweighted mean of a metric over sets, all of which the system has."""
    return mean(system.scores.sets[name].metrics[metric] for name in sets)
