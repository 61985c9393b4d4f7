"""Limits and running totals of one run over an endpoint."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from mentallama.llm_api.types import Completion


@dataclass(frozen=True)
class Limits:
    """Limits of a run. `total_requests` is used in messages only; None if unknown."""

    max_concurrency: int = 64
    timeout: float = 120.0
    """Seconds per attempt."""
    max_attempts: int = 6
    budget: float | None = None
    total_requests: int | None = None
    initial_backoff: float = 0.5
    """Mean seconds before the second attempt; doubled for each further one."""
    max_outage: float = 20.0
    """Seconds without any connection before a run gives up on an endpoint that was reachable before."""


@dataclass
class RunStats:
    """Running totals. `cached` counts requests that the ledger had already completed. `cost` and `uncertain` (maybe
    billed, without a completion) belong to this run, `ledger_spent` to the whole ledger."""

    cached: int = 0
    attempts: int = 0
    answered: int = 0
    refused: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    """Failed requests by reason."""
    retries: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float = 0.0
    uncertain: float = 0.0
    ledger_spent: float = 0.0

    @property
    def done(self) -> int:
        """Requests with a completion in the ledger, whatever its state."""
        return self.cached + self.answered + self.refused + self.failed.total()

    def add(self, completion: Completion) -> None:
        if completion.state == "failed":
            self.failed[completion.reason or ""] += 1
        else:
            self.answered += completion.state == "answered"
            self.refused += completion.state == "refused"
        self.tokens_in += completion.usage.get("input", 0)
        self.tokens_out += completion.usage.get("output", 0)
