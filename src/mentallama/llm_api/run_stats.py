"""How far a run over an endpoint may go, and what it has done."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from mentallama.llm_api.types import Completion


@dataclass(frozen=True)
class Limits:
    """How far a run may go. `total`: how many calls there are, for sentences, where that is known."""

    max_concurrency: int = 64
    timeout: float = 120.0
    max_attempts: int = 6
    budget: float | None = None
    total_requests: int | None = None
    initial_backoff: float = 0.5
    """Seconds before a second try, on average; doubled for every further one."""
    max_outage: float = 20.0
    """Seconds for which an endpoint that was there may be gone."""


@dataclass
class RunStats:
    """What a run has done so far. `known`: calls that the ledger had answered before. `repeated`: tries after the
    first. Costs are this run's; `spent` is what the whole ledger says."""

    cached: int = 0
    attempts: int = 0
    answered: int = 0
    refused: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    retries: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float = 0.0
    uncertain: float = 0.0
    ledger_spent: float = 0.0

    @property
    def done(self) -> int:
        """Calls with an answer of any kind in the ledger."""
        return self.cached + self.answered + self.refused + self.failed.total()

    def add(self, answer: Completion) -> None:
        if answer.state == "failed":
            self.failed[answer.reason or ""] += 1
        else:
            self.answered += answer.state == "answered"
            self.refused += answer.state == "refused"
        self.tokens_in += answer.usage.get("input", 0)
        self.tokens_out += answer.usage.get("output", 0)
