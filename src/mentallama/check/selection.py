"""Which responses are taken: of each example's that pass all gates, the first in the order of the recipe's teachers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from mentallama.check.gate_runner import GateRun
from mentallama.check.gates.label_match import accepted_label
from mentallama.check.human_review.disagreements import DECISIONS, DROP_DECISIONS, Decisions
from mentallama.check.judge import PARSED_GATE, GateResult
from mentallama.check.output.gate_report_schema import DroppedResponse
from mentallama.check.response_row import ResponseRow
from mentallama.config import GATE_NAMES
from mentallama.records import Verdict

GATE_ORDER = (PARSED_GATE, *GATE_NAMES)


@dataclass(frozen=True)
class Selection:
    """What becomes of a response: `reasons` say why it is dropped, by gate; `label` is what it is taken with.

    One that passes and is not taken has neither: another teacher's was taken.
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
    assessed: GateRun, decisions: Decisions, report_only: frozenset[str]
) -> Iterator[Selection]:
    """The fate of every response, in their order; those to one example stand together, by teacher."""
    pairs = zip(assessed.rows, assessed.results, strict=True)
    for _, group in groupby(pairs, key=lambda pair: pair[0].example.id):
        taken = False
        for row, found in group:
            reasons = {
                gate: found[gate][1] or ""
                for gate in GATE_ORDER
                if gate in found and not found[gate][0] and gate not in report_only
            }
            decided = decisions.get(row)
            if decided in DROP_DECISIONS:  # a person's word holds where the gate only reports, or is off
                reasons.setdefault("label_match", DECISIONS[decided])
            # A row that correctness let pass unjudged, or only reported, is about the label that it explains.
            label = None if reasons or taken else accepted_label(row, decisions) or row.reading.label
            taken = taken or label is not None
            yield Selection(row, to_verdicts(row, found), reasons, label)


def to_verdicts(row: ResponseRow, found: dict[str, GateResult]) -> tuple[Verdict, ...]:
    """As records, in the order of the gates."""
    return tuple(_verdict(row, gate, *found[gate]) for gate in GATE_ORDER if gate in found)


def _verdict(row: ResponseRow, gate: str, ok: bool, reason: str | None, score: float | None) -> Verdict:
    return Verdict(
        example_id=row.example.id,
        model=row.response.model,
        gate=gate,
        ok=ok,
        reason=reason,
        score=score,
    )
