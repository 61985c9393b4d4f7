"""Count what became of every response: by gate, set and label; by state of reading; by split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mentallama.check.output.gate_report_schema import ByLabel, ByTeacher, Kept, Unread
from mentallama.check.selection import Fate
from mentallama.records import SPLITS, Split, Status
from mentallama.tasks import Task

Place = tuple[str, str]
"""Set and label, the set's own; "" where the post has none."""


@dataclass
class Tally:
    """`add` every response once, then read the counts."""

    tasks: Mapping[str, Task]
    _rows: Counter[Place] = field(default_factory=Counter)
    _judged: Counter[tuple[str, Place]] = field(default_factory=Counter)
    _failed: Counter[tuple[str, Place]] = field(default_factory=Counter)
    _unjudged: Counter[tuple[str, str]] = field(default_factory=Counter)
    _alone: Counter[str] = field(default_factory=Counter)
    _states: Counter[tuple[Place, Status]] = field(default_factory=Counter)
    _kept: Counter[tuple[str, Split, str]] = field(default_factory=Counter)
    _models: dict[str, Counter[str]] = field(default_factory=dict)

    def add(self, fate: Fate) -> None:
        """Count a response."""
        row, verdicts = fate.row, fate.verdicts
        place = (row.task.set, row.example.label or "")
        self._rows[place] += 1
        self._states[place, row.reading.status] += 1
        for each in verdicts:
            if each.ok and each.reason:  # it passes because it could not be judged
                self._unjudged[each.gate, each.reason] += 1
            else:
                self._judged[each.gate, place] += 1
                self._failed[each.gate, place] += not each.ok
        if len(fate.reasons) == 1:
            self._alone.update(list(fate.reasons))
        model = self._models.setdefault(row.response.model, Counter())
        model.update({"responses": 1, "passed": not fate.reasons, "taken": fate.label is not None})
        if fate.label is not None:
            self._kept[row.task.set, row.post.split, fate.label] += 1

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

    def note(self, gate: str) -> str | None:
        """How many responses a gate could not judge, and the commonest reason; None where it judged all."""
        reasons = Counter({why: count for (name, why), count in self._unjudged.items() if name == gate})
        if not reasons:
            return None
        why = reasons.most_common(1)[0][0].removeprefix("not judged: ")
        return f"{reasons.total():,} not judged: {why}" + (", and other reasons" if len(reasons) > 1 else "")

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
