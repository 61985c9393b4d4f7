"""Costs of a request, worst-case and actual, and the budget of a run.

The budget applies to the whole ledger: earlier runs, and other processes that use the ledger at the same time. Each run
has one account in it (`Ledger.open_account`): its settled costs, and the maximum it has ever reserved for requests in
flight. The reservation is raised before it is exceeded, so a killed run cannot have spent more than its account shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mentallama.config import EndpointSettings
from mentallama.llm_api.ledger.ledger import COST_TOLERANCE


def worst_case(settings: EndpointSettings, body: Mapping[str, Any], n_bytes: int) -> tuple[int, float]:
    """Upper bounds of a request's tokens and of its cost (0 without prices).

    `n_bytes` is the size of the encoded body. A token is at least one byte of the text, and the JSON around each
    message is longer than the few tokens that chat templates add; a schema is part of the body.
    """
    limits = [body.get(name) for name in ("max_tokens", "max_completion_tokens")]
    numbers = [limit for limit in limits if isinstance(limit, int)]
    choices, prompts = body.get("n"), body.get("prompt")
    texts = (choices if isinstance(choices, int) else 1) * (len(prompts) if isinstance(prompts, list) else 1)
    output = max(numbers, default=settings.max_tokens) * texts
    return n_bytes + output, _cost(settings, n_bytes, output) or 0.0


def actual_cost(settings: EndpointSettings, usage: Mapping[str, int]) -> float | None:
    """Cost of a request by its token counts; None without prices, or if the server returned no counts."""
    if not usage:
        return None
    return _cost(settings, usage["input"], usage["output"])


def _cost(settings: EndpointSettings, tokens_in: int, tokens_out: int) -> float | None:
    if settings.input_price is None or settings.output_price is None:
        return None
    return (tokens_in * settings.input_price + tokens_out * settings.output_price) / 1_000_000


class BudgetAccount:
    """Budget accounting of one run: settled, uncertain and reserved cost. `budget` is the whole ledger's, None: none.

    `spent_by_others` is what all other accounts have spent or reserved, as of the last transaction. `reserved` is what
    the ledger has on record for this run's requests in flight. Two runs never exceed the budget together: each counts
    the other's reservation as spent, never has more in flight than its own, and updates its view with every commit
    and reservation.
    """

    def __init__(self, budget: float | None, spent_by_others: float = 0.0) -> None:
        self.budget, self.spent_by_others = budget, spent_by_others
        self.settled = self.uncertain = self.in_flight = self.reserved = 0.0
        self._n_in_flight = 0

    @property
    def spent(self) -> float:
        """All that is or may be spent, without what is in flight here."""
        return self.spent_by_others + self.settled + self.uncertain

    def fits(self, cost: float) -> bool:
        if self.budget is None:
            return True
        return self.spent + self.in_flight + cost <= self.budget * (1 + COST_TOLERANCE)

    def reservation_needed(self, cost: float) -> float | None:
        """Amount to reserve in the ledger before a request that fits is sent; None if the reservation covers it.

        An eighth more than needed, so that not every request causes a write to the ledger.
        """
        needed = self.in_flight + cost
        if needed <= self.reserved:
            return None
        generous = needed * 1.125
        return generous if self.budget is None else max(needed, min(generous, self.budget - self.spent))

    def add_in_flight(self, cost: float) -> None:
        """Count a request that is sent and costs at most `cost`."""
        self._n_in_flight += 1
        self.in_flight += cost

    def settle(self, reserved: float, cost: float, uncertain: float) -> None:
        """Replace the `reserved` amount of a finished attempt by its cost, certain or uncertain."""
        self._n_in_flight -= 1
        # exactly 0 without requests: rounding errors must not add up
        self.in_flight = max(0.0, self.in_flight - reserved) if self._n_in_flight else 0.0
        self.settled += cost
        self.uncertain += uncertain

    def close(self, maybe_billed: bool) -> float:
        """End the run; return the amount in flight if it may have been billed, else 0."""
        uncertain = self.in_flight if maybe_billed else 0.0
        self.uncertain += uncertain
        self.in_flight = self.reserved = 0.0
        self._n_in_flight = 0
        return uncertain
