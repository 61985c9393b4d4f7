"""Who may send, and when: calls in flight, pauses, limits per minute and the budget, in one turn after another."""

from __future__ import annotations

import asyncio

from mentallama.llm_api.ledger.group_commit import GroupCommitter
from mentallama.llm_api.limits.budget import BudgetAccount
from mentallama.llm_api.limits.rate_limit import RateLimiter


class BudgetExceeded(Exception):
    """The next call does not fit, with nothing in flight that could still cost less than reserved."""


class AdmissionControl:
    """Slots for calls in flight. A slot is held from sending until the call is committed, or has failed."""

    def __init__(self, pace: RateLimiter, account: BudgetAccount, writer: GroupCommitter) -> None:
        self._limiter, self._account, self._committer = pace, account, writer
        self._loop = asyncio.get_running_loop()
        self._queue_lock = asyncio.Lock()  # first come, first served
        self._slot_freed = asyncio.Event()
        self.in_flight = 0

    async def acquire(self, tokens: int, amount: float) -> None:
        """Return once a call that may use so many tokens and cost so much may be sent.

        Raises
        ------
        OutOfBudget
            It does not fit the budget.
        """
        async with self._queue_lock:
            while not await self._try_admit(tokens, amount):
                pass
            self.in_flight += 1
            self._limiter.record_sent(self._loop.time(), tokens)
            self._account.add_in_flight(amount)

    def release(self) -> None:
        self.in_flight -= 1
        self._slot_freed.set()

    async def _try_admit(self, tokens: int, amount: float) -> bool:
        """Whether nothing stands in the way; else wait for what does."""
        if self.in_flight >= self._limiter.concurrency:
            await self._wait_for_slot()
            return False
        pause = self._limiter.wait_time(self._loop.time(), tokens)
        if pause > 0:
            await asyncio.sleep(pause)
            return False
        return amount == 0 or await self._fits_budget(amount)

    async def _fits_budget(self, amount: float) -> bool:
        """Whether the call fits the budget, and the ledger holds enough for it; False to look again."""
        account = self._account
        if account.fits(amount):
            wanted = account.reservation_needed(amount)
            if wanted is not None:
                await self._set_reservation(wanted)
            return wanted is None
        if account.reserved > account.in_flight or not self.in_flight:
            await self._set_reservation(
                account.in_flight
            )  # others may use what is held here for nothing, and may have ended
        if account.fits(amount):
            return False
        if not self.in_flight:
            raise BudgetExceeded
        await self._wait_for_slot()  # what is in flight will cost less than was reserved for it
        return False

    async def _set_reservation(self, amount: float) -> None:
        held, self._account.spent_by_others = await self._committer.reserve(amount, self._account.budget)
        if held:
            self._account.reserved = amount

    async def _wait_for_slot(self) -> None:
        self._slot_freed.clear()
        await self._slot_freed.wait()
