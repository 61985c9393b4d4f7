"""Count what became of every response: by gate, set and label; by state of reading; by split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mentallama.check.gatefile import ByLabel, ByTeacher, Kept, Unread
from mentallama.check.row import Row
from mentallama.records import SPLITS, Split, Status, Verdict
from mentallama.tasks import Task

Place = tuple[str, str]
"""Set and label, the set's own; "" where the post has none."""


@dataclass
class Tally:
    """`add` every response once, then read the counts. `dropping` are the gates whose verdict counts."""

    tasks: Mapping[str, Task]
    dropping: frozenset[str]
    _rows: Counter[Place] = field(default_factory=Counter)
    _judged: Counter[tuple[str, Place]] = field(default_factory=Counter)
    _failed: Counter[tuple[str, Place]] = field(default_factory=Counter)
    _alone: Counter[str] = field(default_factory=Counter)
    _states: Counter[tuple[Place, Status]] = field(default_factory=Counter)
    _kept: Counter[tuple[str, Split, str]] = field(default_factory=Counter)
    _models: dict[str, Counter[str]] = field(default_factory=dict)

    def add(self, row: Row, verdicts: Sequence[Verdict], taken: str | None) -> None:
        """Count a response; `taken` is the label that it is accepted with, None where it is not."""
        place = (row.task.set, row.example.label or "")
        self._rows[place] += 1
        self._states[place, row.reading.status] += 1
        for each in verdicts:
            self._judged[each.gate, place] += 1
            self._failed[each.gate, place] += not each.ok
        against = self.reasons(verdicts)
        if len(against) == 1:
            self._alone.update(against)
        model = self._models.setdefault(row.response.model, Counter())
        model.update({"responses": 1, "passed": not against, "taken": taken is not None})
        if taken is not None:
            self._kept[row.task.set, row.post.split, taken] += 1

    def reasons(self, verdicts: Sequence[Verdict]) -> dict[str, str]:
        """Why a response is dropped, by gate; empty where it passes."""
        return {
            each.gate: each.reason or "" for each in verdicts if not each.ok and each.gate in self.dropping
        }

    @property
    def responses(self) -> int:
        return self._rows.total()

    @property
    def accepted(self) -> int:
        return self._kept.total()

    def counts(self, gate: str) -> dict[str, int]:
        """How many responses a gate judged and failed, and dropped where no other gate would have."""
        return {
            "judged": sum(count for (name, _), count in self._judged.items() if name == gate),
            "failed": sum(count for (name, _), count in self._failed.items() if name == gate),
            "alone": self._alone[gate],
        }

    def dropped(self, gates: Sequence[str]) -> tuple[ByLabel, ...]:
        """Counts in the order of the gates, then of the catalogue."""
        return tuple(
            ByLabel(
                gate=gate,
                set=place[0],
                label=place[1],
                grave=self._grave(place),
                rows=self._judged[gate, place],
                failed=self._failed[gate, place],
            )
            for gate in gates
            for place in self._places()
            if self._judged[gate, place]
        )

    def unread(self) -> tuple[Unread, ...]:
        """States of reading, in the order of the catalogue."""
        return tuple(
            Unread(
                set=place[0],
                label=place[1],
                grave=self._grave(place),
                rows=self._rows[place],
                refused=self._states[place, "refused"],
                unread=self._states[place, "unread"],
                cut=self._states[place, "cut"],
            )
            for place in self._places()
        )

    def kept(self) -> tuple[Kept, ...]:
        """Accepted rows, in the order of the catalogue, then by split and label."""
        return tuple(
            Kept(set=name, split=split, label=label, rows=self._kept[name, split, label])
            for name, task in self.tasks.items()
            for split in SPLITS
            for label in task.labels
            if self._kept[name, split, label]
        )

    def teachers(self) -> tuple[ByTeacher, ...]:
        """In the order in which they were first seen."""
        return tuple(ByTeacher(model=model, **counts) for model, counts in self._models.items())

    def _places(self) -> list[Place]:
        order = ((name, label) for name, task in self.tasks.items() for label in (*task.labels, ""))
        return [place for place in order if self._rows[place]]

    def _grave(self, place: Place) -> bool:
        return self.tasks[place[0]].grave == place[1]
