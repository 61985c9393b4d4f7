"""Which systems were scored on the same rows of a set: the only ones that are compared on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from mentallama.evaluate.scores import ScoredRow, Scores, compute_scores
from mentallama.evaluate.selective import with_selective_scores
from mentallama.explanation_metrics.base import ExplanationRow
from mentallama.explanation_metrics.scoring import SetExplanationScores, summarize_rows
from mentallama.files.record_files import read_records
from mentallama.metrics.bootstrap import Resampling
from mentallama.report.comparison.systems import RowKey, ScoredSystem
from mentallama.run_files import EXPLANATION_ROWS_FILE
from mentallama.tasks import Task
from mentallama.tasks.answer_kinds import AnswerKind


@dataclass(frozen=True)
class RowGroup:
    """Systems that were scored on the same `n` rows of a set, with the same labels, in the order of the page."""

    set: str
    systems: tuple[ScoredSystem, ...]
    n: int
    is_synthetic: bool

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the systems."""
        return tuple(system.name for system in self.systems)

    @property
    def kind(self) -> AnswerKind:
        """Kind of answer of the set."""
        return self.systems[0].scores.sets[self.set].kind

    @property
    def f1_counts(self) -> AnswerKind:
        """The kind of answer whose counts F1 is computed from: rows by label are the same for choice and ordinal."""
        return "choice" if self.kind == "ordinal" else self.kind

    def __contains__(self, system: ScoredSystem) -> bool:
        return any(one is system for one in self.systems)


def row_groups(systems: Sequence[ScoredSystem], set_name: str) -> tuple[RowGroup, ...]:
    """The systems with scores of a set, in groups with the same rows; a system without rows is a group of its own."""
    groups: dict[object, list[ScoredSystem]] = {}
    for system in systems:
        if set_name in system.scores.sets:
            groups.setdefault(_identity(system, set_name), []).append(system)
    return tuple(
        RowGroup(set_name, tuple(group), group[0].scores.sets[set_name].n, group[0].is_synthetic(set_name))
        for group in groups.values()
    )


def _identity(system: ScoredSystem, set_name: str) -> object:
    """Equal for systems that can be compared on the set."""
    rows = system.rows.get(set_name)
    if not rows:
        return id(system)
    labels = _labels(system, set_name)
    golds = frozenset((key, row.gold) for key, row in rows.items())
    return labels, system.is_synthetic(set_name), golds


def _labels(system: ScoredSystem, set_name: str) -> tuple[str, ...]:
    """The kind of answer that a set was scored as, and its classes."""
    scores = system.scores.sets[set_name]
    return scores.kind, *scores.per_class


def reasons_apart(groups: Sequence[RowGroup]) -> Iterator[tuple[RowGroup, RowGroup, str]]:
    """Every two groups of a set, and why they are not compared."""
    for first, second in combinations(groups, 2):
        yield first, second, _reason_apart(first, second)


def _reason_apart(first: RowGroup, second: RowGroup) -> str:
    pair = first.systems[0], second.systems[0]
    one, other = (system.rows.get(first.set) for system in pair)
    if first.is_synthetic is not second.is_synthetic:
        return "synthetic posts in one of them only"
    if not one or not other:
        return "one of them has no file of scored rows"
    labels = [_labels(system, first.set) for system in pair]
    if labels[0] != labels[1]:
        return "other labels"
    common = one.keys() & other.keys()
    if not common and not all(row.post_hash for rows in (one, other) for row in rows.values()):
        return "rows without hashes of their posts, as earlier versions wrote them; evaluate again"
    if len(common) < max(len(one), len(other)):
        return f"other rows: {len(one):,} and {len(other):,}, of which {len(common):,} are the same"
    differing = sum(one[key].gold != other[key].gold for key in common)
    return f"other labels on {differing:,} of {len(common):,} rows"


def on_shared_rows(
    systems: Sequence[ScoredSystem], tasks: Mapping[str, Task]
) -> tuple[tuple[ScoredSystem, ...], tuple[str, ...]]:
    """The systems, scored again on the rows of each set that all systems with the set share; and what is left out.

    A set keeps its rows if fewer than two systems have rows of it. One that they share no row of is left out.
    """
    notes: list[str] = []
    scored = {system.name: dict(system.rows) for system in systems}
    dropped: set[str] = set()
    for name in dict.fromkeys(name for system in systems for name in system.rows):
        of_set = [system.rows[name] for system in systems if name in system.rows]
        common = _common_keys(of_set)
        if not common:
            dropped.add(name)
            notes.append(f"{name} is left out: its {len(of_set)} systems share no row of it.")
        for by_set in scored.values():
            if name in by_set:
                by_set[name] = {key: row for key, row in by_set[name].items() if key in common}
    return tuple(_scored_again(system, scored[system.name], dropped, tasks) for system in systems), tuple(
        notes
    )


def _common_keys(of_set: Sequence[Mapping[RowKey, ScoredRow]]) -> frozenset[RowKey]:
    """The rows that all have, with one label."""
    shared = frozenset.intersection(*(frozenset(rows) for rows in of_set))
    return frozenset(key for key in shared if len({rows[key].gold for rows in of_set}) == 1)


def _scored_again(
    system: ScoredSystem,
    rows: Mapping[str, Mapping[RowKey, ScoredRow]],
    dropped: set[str],
    tasks: Mapping[str, Task],
) -> ScoredSystem:
    old = system.scores
    reduced = {name for name, of_set in system.rows.items() if len(rows[name]) < len(of_set)}
    kept = {name: part for name, part in rows.items() if name not in dropped}
    sets = {
        name: _scores(list(rows[name].values()), tasks[name], old.resampling) if name in reduced else part
        for name, part in old.sets.items()
        if name not in dropped
    }
    # The floor is that of all rows, and the label that it answers with is not known here.
    floors = {name: floor for name, floor in old.majority.items() if name not in reduced}
    scores = old.model_copy(
        update={
            "sets": sets,
            "majority": floors,
            "explanation_metrics": _explanations_again(system, kept, reduced, dropped),
        }
    )
    return replace(system, scores=scores, rows=kept, artifacts=replace(system.artifacts, scores=scores))


def _explanations_again(
    system: ScoredSystem,
    rows: Mapping[str, Mapping[RowKey, ScoredRow]],
    reduced: set[str],
    dropped: set[str],
) -> dict[str, SetExplanationScores] | None:
    """The scores of explanations of the rows; a set whose rows have no file of explanations loses its scores."""
    old = system.scores.explanation_metrics
    file = system.folder / EXPLANATION_ROWS_FILE
    if old is None:
        return None
    kept: dict[str, list[ExplanationRow]] = {
        name: [] for name in old if name in reduced - dropped and file.is_file()
    }
    wanted = {name: _numbered_ids(system.rows[name], rows[name]) for name in kept}
    seen: Counter[str] = Counter()
    for row in read_records(file, ExplanationRow) if kept else ():
        if row.set in wanted and (row.example_id, seen[row.example_id]) in wanted[row.set]:
            kept[row.set].append(row)
        seen[row.example_id] += 1
    again = {
        name: summarize_rows(of_set, list(old[name].columns), system.scores.resampling)
        for name, of_set in kept.items()
    }
    same = {name: part for name, part in old.items() if name not in reduced | dropped}
    return {name: part for name in old if (part := again.get(name) or same.get(name)) is not None}


def _numbered_ids(rows: Mapping[RowKey, ScoredRow], wanted: Collection[RowKey]) -> frozenset[tuple[str, int]]:
    """The ids of the wanted rows, each with the number of earlier rows of the set with the same id."""
    seen: Counter[str] = Counter()
    ids = []
    for key, row in rows.items():
        if key in wanted:
            ids.append((row.example_id, seen[row.example_id]))
        seen[row.example_id] += 1
    return frozenset(ids)


def _scores(rows: Sequence[ScoredRow], task: Task, resampling: Resampling) -> Scores:
    return with_selective_scores(compute_scores(rows, task, resampling), rows, task, resampling)
