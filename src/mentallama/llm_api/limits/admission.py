"""Admission of requests: concurrency, pauses, rate limits and budget, checked for one request after another."""

from __future__ import annotations

import asyncio

from mentallama.llm_api.ledger.group_commit import GroupCommitter
from mentallama.llm_api.limits.budget import BudgetAccount
from mentallama.llm_api.limits.rate_limit import RateLimiter


class BudgetExceeded(Exception):
    """The next request does not fit the budget, and no request in flight could still cost less than reserved."""


class AdmissionControl:
    """Slots for requests in flight. A slot is taken before sending and released once the result is committed."""

    def __init__(self, limiter: RateLimiter, account: BudgetAccount, committer: GroupCommitter) -> None:
        self._limiter, self._account, self._committer = limiter, account, committer
        self._loop = asyncio.get_running_loop()
        self._queue_lock = asyncio.Lock()  # first come, first served
        self._slot_freed = asyncio.Event()
        self.in_flight = 0

    async def acquire(self, tokens: int, cost: float) -> None:
        """Wait until a request that may use up to `tokens` and cost up to `cost` may be sent.

        Raises
        ------
        BudgetExceeded
            It does not fit the budget.
        """
        async with self._queue_lock:
            while not await self._try_admit(tokens, cost):
                pass
            self.in_flight += 1
            self._limiter.record_sent(self._loop.time(), tokens)
            self._account.add_in_flight(cost)

    def release(self) -> None:
        self.in_flight -= 1
        self._slot_freed.set()

    async def _try_admit(self, tokens: int, cost: float) -> bool:
        """Return True if all limits allow the request; else wait for the first that does not, and return False."""
        if self.in_flight >= self._limiter.concurrency:
            await self._wait_for_slot()
            return False
        pause = self._limiter.wait_time(self._loop.time(), tokens)
        if pause > 0:
            await asyncio.sleep(pause)
            return False
        return cost == 0 or await self._fits_budget(cost)

    async def _fits_budget(self, cost: float) -> bool:
        """Whether the request fits the budget and the ledger's reservation covers it; False: check again."""
        account = self._account
        if account.fits(cost):
            reservation = account.reservation_needed(cost)
            if reservation is not None:
                await self._set_reservation(reservation)
            return reservation is None
        if account.reserved > account.in_flight or not self.in_flight:
            # give back what is not needed here, and learn what other runs have given back
            await self._set_reservation(account.in_flight)
        if account.fits(cost):
            return False
        if not self.in_flight:
            raise BudgetExceeded
        await self._wait_for_slot()  # requests in flight mostly cost less than was reserved for them
        return False

    async def _set_reservation(self, amount: float) -> None:
        reserved, self._account.spent_by_others = await self._committer.reserve(amount, self._account.budget)
        if reserved:
            self._account.reserved = amount

    async def _wait_for_slot(self) -> None:
        self._slot_freed.clear()
        await self._slot_freed.wait()
