"""Money: the most that a call can cost, what it did cost, and whether the next one fits.

The budget holds for the whole ledger: earlier runs, and other processes that use it at the same time. Each run keeps
one line there (`Ledger.open_account`): what it has spent, and the most it ever had reserved in flight. The second is
written before it is exceeded, so what a killed run may have spent without an answer is never more than its line says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mentallama.config import Teacher
from mentallama.llm_api.ledger.ledger import COST_TOLERANCE


def worst_case(settings: Teacher, body: Mapping[str, Any], n_bytes: int) -> tuple[int, float]:
    """The most tokens a call can use, and the most it can cost (0 without prices).

    `sent` is the number of bytes of the body. A token is at least one byte of the text, and the words around each
    message in JSON are longer than the few tokens that chat templates put there; a schema is counted with the rest.
    """
    limits = [body.get(name) for name in ("max_tokens", "max_completion_tokens")]
    asked = [limit for limit in limits if isinstance(limit, int)]
    choices = body.get("n")
    written = max(asked, default=settings.max_tokens) * (choices if isinstance(choices, int) else 1)
    return n_bytes + written, _cost(settings, n_bytes, written) or 0.0


def actual_cost(teacher: Teacher, usage: Mapping[str, int]) -> float | None:
    """What a call did cost; None without prices, or where the server did not count."""
    if not usage:
        return None
    return _cost(teacher, usage["input"], usage["output"])


def _cost(teacher: Teacher, read: int, written: int) -> float | None:
    if teacher.input_price is None or teacher.output_price is None:
        return None
    return (read * teacher.input_price + written * teacher.output_price) / 1_000_000


class BudgetAccount:
    """One run's money. `most`: the budget of the whole ledger, None for none.

    `others`: what everyone else has spent or may have, as of the last look. `held`: what the ledger knows to be
    reserved in flight at most. Two runs never exceed the budget together: each counts the other's `held` as spent,
    has never more in flight than its own, and looks again whenever it settles or holds.
    """

    def __init__(self, most: float | None, others: float = 0.0) -> None:
        self.budget, self.spent_by_others = most, others
        self.settled = self.uncertain = self.in_flight = self.reserved = 0.0
        self._calls = 0

    @property
    def spent(self) -> float:
        """All that is or may be spent, without what is in flight here."""
        return self.spent_by_others + self.settled + self.uncertain

    def fits(self, amount: float) -> bool:
        return self.budget is None or self.spent + self.in_flight + amount <= self.budget * (
            1 + COST_TOLERANCE
        )

    def reservation_needed(self, amount: float) -> float | None:
        """What the ledger must hold before a call that fits is sent; None where it holds enough.

        A little more than needed, so that the ledger is not written to for every call.
        """
        needed = self.in_flight + amount
        if needed <= self.reserved:
            return None
        roomy = needed * 1.125
        return roomy if self.budget is None else max(needed, min(roomy, self.budget - self.spent))

    def add_in_flight(self, amount: float) -> None:
        """A call is sent that costs `amount` at most."""
        self._calls += 1
        self.in_flight += amount

    def settle(self, amount: float, cost: float, uncertain: float) -> None:
        """What was taken has become a cost, an uncertain cost, or nothing."""
        self._calls -= 1
        self.in_flight = max(0.0, self.in_flight - amount) if self._calls else 0.0  # no crumbs of rounding
        self.settled += cost
        self.uncertain += uncertain

    def close(self, maybe_billed: bool) -> float:
        """The run ends; returns what is in flight and may have been spent, `lost` or else nothing."""
        perhaps = self.in_flight if maybe_billed else 0.0
        self.uncertain += perhaps
        self.in_flight = self.reserved = 0.0
        self._calls = 0
        return perhaps
