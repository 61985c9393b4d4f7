"""Count all responses by gate, set and label, by status of the answer, and by split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mentallama.check.output.gate_report_schema import (
    AcceptedCount,
    AcceptedPartCount,
    LabelGateCounts,
    TeacherCounts,
    UnusableAnswers,
)
from mentallama.check.response_rows import NOT_JUDGED_PREFIX
from mentallama.check.selection import Selection
from mentallama.records import SPLITS, ReadingStatus, Split
from mentallama.tasks import Task
from mentallama.tasks.answer_values import answer_group, value_levels

SetLabel = tuple[str, str]
"""Set, and the label from the data set, or the group of an answer of several parts; "" if the post has none."""


@dataclass
class SelectionCounts:
    """Counts over all responses: `add` every selection once, then read them."""

    tasks: Mapping[str, Task]
    _responses: Counter[SetLabel] = field(default_factory=Counter)
    _judged: Counter[tuple[str, SetLabel]] = field(default_factory=Counter)
    _failed: Counter[tuple[str, SetLabel]] = field(default_factory=Counter)
    _unjudged: Counter[tuple[str, str]] = field(default_factory=Counter)
    _sole_drops: Counter[str] = field(default_factory=Counter)
    _statuses: Counter[tuple[SetLabel, ReadingStatus]] = field(default_factory=Counter)
    _accepted: Counter[tuple[str, Split, str]] = field(default_factory=Counter)
    _accepted_parts: Counter[tuple[str, Split, str, str]] = field(default_factory=Counter)
    _by_teacher: dict[str, Counter[str]] = field(default_factory=dict)

    def add(self, selection: Selection) -> None:
        """Count one response."""
        row, verdicts = selection.row, selection.verdicts
        key = (row.task.set, "" if row.example.label is None else answer_group(row.task, row.example.label))
        self._responses[key] += 1
        self._statuses[key, row.reading.status] += 1
        for verdict in verdicts:
            if verdict.ok and verdict.reason:  # passes because it could not be judged
                self._unjudged[verdict.gate, verdict.reason] += 1
            else:
                self._judged[verdict.gate, key] += 1
                self._failed[verdict.gate, key] += not verdict.ok
        if len(selection.drop_reasons) == 1:
            self._sole_drops.update(list(selection.drop_reasons))
        model = self._by_teacher.setdefault(row.response.model, Counter())
        model.update(
            {
                "responses": 1,
                "passed": not selection.drop_reasons,
                "accepted": selection.accepted_label is not None,
            }
        )
        if selection.accepted_label is not None:
            group = answer_group(row.task, selection.accepted_label)
            self._accepted[row.task.set, row.post.split, group] += 1
            if row.task.is_composite:
                levels = value_levels(row.task, selection.accepted_label)
                self._accepted_parts.update(
                    (row.task.set, row.post.split, *level) for level in levels.items()
                )

    @property
    def responses(self) -> int:
        return self._responses.total()

    @property
    def accepted(self) -> int:
        return self._accepted.total()

    def counts(self, gate: str) -> dict[str, int]:
        """How many responses a gate judged, how many failed, and how many no other gate would have dropped."""
        return {
            "judged": sum(count for (name, _), count in self._judged.items() if name == gate),
            "failed": sum(count for (name, _), count in self._failed.items() if name == gate),
            "sole_drops": self._sole_drops[gate],
        }

    def not_judged_note(self, gate: str) -> str | None:
        """How many responses a gate could not judge and the most frequent reason; None if it judged all."""
        reasons = Counter({reason: count for (name, reason), count in self._unjudged.items() if name == gate})
        if not reasons:
            return None
        reason = reasons.most_common(1)[0][0].removeprefix(NOT_JUDGED_PREFIX)
        return f"{reasons.total():,} not judged: {reason}" + (
            ", and other reasons" if len(reasons) > 1 else ""
        )

    def failed_by_label(self, gates: Sequence[str]) -> tuple[LabelGateCounts, ...]:
        """Counts by gate, set and label, in the order of the gates and then of the task catalogue."""
        return tuple(
            LabelGateCounts(
                gate=gate,
                set=key[0],
                label=key[1],
                high_risk=self._is_high_risk(key),
                judged=self._judged[gate, key],
                failed=self._failed[gate, key],
            )
            for gate in gates
            for key in self._set_labels()
            if self._judged[gate, key]
        )

    def unusable_answers(self) -> tuple[UnusableAnswers, ...]:
        """Statuses of the answers by set and label, in the order of the task catalogue."""
        return tuple(
            UnusableAnswers(
                set=key[0],
                label=key[1],
                high_risk=self._is_high_risk(key),
                rows=self._responses[key],
                refused=self._statuses[key, "refused"],
                unparsed=self._statuses[key, "unparsed"],
                truncated=self._statuses[key, "truncated"],
            )
            for key in self._set_labels()
        )

    def accepted_by_label(self) -> tuple[AcceptedCount, ...]:
        """Accepted rows by set, split and label, in the order of the task catalogue."""
        return tuple(
            AcceptedCount(set=name, split=split, label=label, rows=self._accepted[name, split, label])
            for name, task in self.tasks.items()
            for split in SPLITS
            for label in self._groups(task)
            if self._accepted[name, split, label]
        )

    def accepted_by_part(self) -> tuple[AcceptedPartCount, ...]:
        """Accepted rows by set, split, part and level, for answers of several parts, in the order of the catalogue."""
        return tuple(
            AcceptedPartCount(
                set=name,
                split=split,
                part=part.name,
                level=level,
                rows=self._accepted_parts[name, split, part.name, level],
            )
            for name, task in self.tasks.items()
            for split in SPLITS
            for part in (task.parts if task.is_composite else ())
            for level in part.levels
            if self._accepted_parts[name, split, part.name, level]
        )

    def teachers(self) -> tuple[TeacherCounts, ...]:
        """Counts by teacher, in the order of their first response."""
        return tuple(TeacherCounts(model=model, **counts) for model, counts in self._by_teacher.items())

    def _set_labels(self) -> list[SetLabel]:
        order = ((name, label) for name, task in self.tasks.items() for label in (*self._groups(task), ""))
        return [key for key in order if self._responses[key]]

    def _groups(self, task: Task) -> list[str]:
        """The groups of a task's answers (`answer_group`) that were counted or, of a single decision, all labels."""
        if not task.is_composite:
            return list(task.labels)
        found = {label for name, label in self._responses if name == task.set and label}
        found |= {label for name, _, label in self._accepted if name == task.set}
        return sorted(found, key=lambda group: int(group.split()[0]))

    def _is_high_risk(self, key: SetLabel) -> bool:
        return self.tasks[key[0]].high_risk_label == key[1]
