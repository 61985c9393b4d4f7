"""Select the accepted responses: for each example, the first that passes all gates, in the recipe's order of
teachers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from mentallama.check.gate_runner import GateRun
from mentallama.check.gates.label_match import GATE as LABEL_MATCH
from mentallama.check.human_review.disagreements import DECISIONS, DROP_DECISIONS, Decisions, disagrees
from mentallama.check.output.gate_report_schema import DroppedResponse
from mentallama.check.response_rows import ResponseRow
from mentallama.records import Verdict


@dataclass(frozen=True)
class Selection:
    """Whether a response is accepted, and why not.

    `drop_reasons` say why it is dropped, by gate; `accepted_label` is the label that it is accepted with. A response
    that passes all gates but comes after another teacher's accepted one has neither.
    """

    row: ResponseRow
    verdicts: tuple[Verdict, ...]
    drop_reasons: dict[str, str]
    accepted_label: str | None

    def dropped_record(self) -> DroppedResponse:
        """Its line in `dropped.jsonl`."""
        return DroppedResponse(
            example_id=self.row.example.id,
            post_id=self.row.post.id,
            model=self.row.response.model,
            set=self.row.task.set,
            question=self.row.example.question,
            label=self.row.example.label,
            split=self.row.post.split,
            reasons=self.drop_reasons,
        )


def select_responses(
    gate_run: GateRun, decisions: Decisions, report_only: frozenset[str]
) -> Iterator[Selection]:
    """Yield the selection of every response, in the order of the rows; rows of one example must be adjacent."""
    pairs = zip(gate_run.rows, gate_run.results, strict=True)
    for _, group in groupby(pairs, key=lambda pair: pair[0].example.id):
        one_accepted = False
        for row, results in group:
            judged = [(gate, *results[gate]) for gate in gate_run.gates if gate in results]
            drop_reasons = {
                gate: reason or "" for gate, ok, reason, _ in judged if not ok and gate not in report_only
            }
            decision = decisions.get(row)
            if decision in DROP_DECISIONS:  # holds even where the gate is disabled or only reports
                drop_reasons.setdefault(LABEL_MATCH, DECISIONS[decision])
            # Where label_match did not judge the row or only reports, the row is accepted with its answer's label.
            accepts = not drop_reasons and not one_accepted
            label = (accepted_label(row, decisions) or row.reading.label) if accepts else None
            one_accepted = one_accepted or label is not None
            yield Selection(row, _verdicts(row, judged), drop_reasons, label)


def _verdicts(
    row: ResponseRow, judged: Iterable[tuple[str, bool, str | None, float | None]]
) -> tuple[Verdict, ...]:
    return tuple(
        Verdict(
            example_id=row.example.id,
            model=row.response.model,
            gate=gate,
            ok=ok,
            reason=reason,
            score=score,
        )
        for gate, ok, reason, score in judged
    )


def accepted_label(row: ResponseRow, decisions: Decisions) -> str | None:
    """The label that a passing row is accepted with: the data set's, or the teacher's if a reviewer decided so.

    None if the labels disagree and no reviewer decided for the teacher's, and if there is no label at all.
    """
    if disagrees(row):
        return row.reading.label if decisions.get(row) == "teacher" else None
    return row.example.label or row.reading.label
