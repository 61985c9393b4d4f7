"""Count what became of every response: by gate, set and label; by state of reading; by split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mentallama.check.output.gate_report_schema import (
    AcceptedCount,
    LabelGateCounts,
    TeacherCounts,
    UnusableAnswers,
)
from mentallama.check.selection import Selection
from mentallama.records import SPLITS, ReadingStatus, Split
from mentallama.tasks import Task

SetLabel = tuple[str, str]
"""Set and label, the set's own; "" where the post has none."""


@dataclass
class SelectionCounts:
    """`add` every response once, then read the counts."""

    tasks: Mapping[str, Task]
    _responses: Counter[SetLabel] = field(default_factory=Counter)
    _judged: Counter[tuple[str, SetLabel]] = field(default_factory=Counter)
    _failed: Counter[tuple[str, SetLabel]] = field(default_factory=Counter)
    _unjudged: Counter[tuple[str, str]] = field(default_factory=Counter)
    _sole_drops: Counter[str] = field(default_factory=Counter)
    _statuses: Counter[tuple[SetLabel, ReadingStatus]] = field(default_factory=Counter)
    _accepted: Counter[tuple[str, Split, str]] = field(default_factory=Counter)
    _by_teacher: dict[str, Counter[str]] = field(default_factory=dict)

    def add(self, fate: Selection) -> None:
        """Count a response."""
        row, verdicts = fate.row, fate.verdicts
        place = (row.task.set, row.example.label or "")
        self._responses[place] += 1
        self._statuses[place, row.reading.status] += 1
        for each in verdicts:
            if each.ok and each.reason:  # it passes because it could not be judged
                self._unjudged[each.gate, each.reason] += 1
            else:
                self._judged[each.gate, place] += 1
                self._failed[each.gate, place] += not each.ok
        if len(fate.drop_reasons) == 1:
            self._sole_drops.update(list(fate.drop_reasons))
        model = self._by_teacher.setdefault(row.response.model, Counter())
        model.update(
            {"responses": 1, "passed": not fate.drop_reasons, "accepted": fate.accepted_label is not None}
        )
        if fate.accepted_label is not None:
            self._accepted[row.task.set, row.post.split, fate.accepted_label] += 1

    @property
    def responses(self) -> int:
        return self._responses.total()

    @property
    def accepted(self) -> int:
        return self._accepted.total()

    def counts(self, gate: str) -> dict[str, int]:
        """How many responses a gate judged and failed, and dropped where no other gate would have."""
        return {
            "judged": sum(count for (name, _), count in self._judged.items() if name == gate),
            "failed": sum(count for (name, _), count in self._failed.items() if name == gate),
            "sole_drops": self._sole_drops[gate],
        }

    def not_judged_note(self, gate: str) -> str | None:
        """How many responses a gate could not judge, and the commonest reason; None where it judged all."""
        reasons = Counter({why: count for (name, why), count in self._unjudged.items() if name == gate})
        if not reasons:
            return None
        why = reasons.most_common(1)[0][0].removeprefix("not judged: ")
        return f"{reasons.total():,} not judged: {why}" + (", and other reasons" if len(reasons) > 1 else "")

    def failed_by_label(self, gates: Sequence[str]) -> tuple[LabelGateCounts, ...]:
        """Counts in the order of the gates, then of the catalogue."""
        return tuple(
            LabelGateCounts(
                gate=gate,
                set=place[0],
                label=place[1],
                high_risk=self._is_high_risk(place),
                judged=self._judged[gate, place],
                failed=self._failed[gate, place],
            )
            for gate in gates
            for place in self._set_labels()
            if self._judged[gate, place]
        )

    def unusable_answers(self) -> tuple[UnusableAnswers, ...]:
        """States of reading, in the order of the catalogue."""
        return tuple(
            UnusableAnswers(
                set=place[0],
                label=place[1],
                high_risk=self._is_high_risk(place),
                rows=self._responses[place],
                refused=self._statuses[place, "refused"],
                unparsed=self._statuses[place, "unparsed"],
                truncated=self._statuses[place, "truncated"],
            )
            for place in self._set_labels()
        )

    def accepted_by_label(self) -> tuple[AcceptedCount, ...]:
        """Accepted rows, in the order of the catalogue, then by split and label."""
        return tuple(
            AcceptedCount(set=name, split=split, label=label, rows=self._accepted[name, split, label])
            for name, task in self.tasks.items()
            for split in SPLITS
            for label in task.labels
            if self._accepted[name, split, label]
        )

    def teachers(self) -> tuple[TeacherCounts, ...]:
        """In the order in which they were first seen."""
        return tuple(TeacherCounts(model=model, **counts) for model, counts in self._by_teacher.items())

    def _set_labels(self) -> list[SetLabel]:
        order = ((name, label) for name, task in self.tasks.items() for label in (*task.labels, ""))
        return [place for place in order if self._responses[place]]

    def _is_high_risk(self, place: SetLabel) -> bool:
        return self.tasks[place[0]].high_risk_label == place[1]
