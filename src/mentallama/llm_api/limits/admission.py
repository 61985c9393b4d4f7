"""Who may send, and when: calls in flight, pauses, limits per minute and the budget, in one turn after another."""

from __future__ import annotations

import asyncio

from mentallama.llm_api.ledger.group_commit import Writer
from mentallama.llm_api.limits.budget import Account
from mentallama.llm_api.limits.rate_limit import Pace


class OutOfBudget(Exception):
    """The next call does not fit, with nothing in flight that could still cost less than reserved."""


class Slots:
    """Slots for calls in flight. A slot is held from sending until the call is committed, or has failed."""

    def __init__(self, pace: Pace, account: Account, writer: Writer) -> None:
        self._pace, self._account, self._writer = pace, account, writer
        self._loop = asyncio.get_running_loop()
        self._turn = asyncio.Lock()  # first come, first served
        self._freed = asyncio.Event()
        self.flying = 0

    async def enter(self, tokens: int, amount: float) -> None:
        """Return once a call that may use so many tokens and cost so much may be sent.

        Raises
        ------
        OutOfBudget
            It does not fit the budget.
        """
        async with self._turn:
            while not await self._may_go(tokens, amount):
                pass
            self.flying += 1
            self._pace.sent(self._loop.time(), tokens)
            self._account.take(amount)

    def leave(self) -> None:
        self.flying -= 1
        self._freed.set()

    async def _may_go(self, tokens: int, amount: float) -> bool:
        """Whether nothing stands in the way; else wait for what does."""
        if self.flying >= self._pace.limit:
            await self._wait_for_slot()
            return False
        pause = self._pace.wait(self._loop.time(), tokens)
        if pause > 0:
            await asyncio.sleep(pause)
            return False
        return amount == 0 or await self._reserve(amount)

    async def _reserve(self, amount: float) -> bool:
        """Whether the call fits the budget, and the ledger holds enough for it; False to look again."""
        account = self._account
        if account.fits(amount):
            wanted = account.to_hold(amount)
            if wanted is not None:
                await self._hold(wanted)
            return wanted is None
        if account.held > account.flying or not self.flying:
            await self._hold(
                account.flying
            )  # others may use what is held here for nothing, and may have ended
        if account.fits(amount):
            return False
        if not self.flying:
            raise OutOfBudget
        await self._wait_for_slot()  # what is in flight will cost less than was reserved for it
        return False

    async def _hold(self, amount: float) -> None:
        held, self._account.others = await self._writer.hold(amount, self._account.most)
        if held:
            self._account.held = amount

    async def _wait_for_slot(self) -> None:
        self._freed.clear()
        await self._freed.wait()
