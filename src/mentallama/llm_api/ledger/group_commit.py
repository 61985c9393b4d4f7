"""Group commit: what finishes while the ledger is writing goes into the next transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from mentallama.llm_api.ledger.completion_store import Books
from mentallama.llm_api.types import Answer, Call

LINGER = 0.002
"""Seconds that the first of a batch waits for others: a flush to the disk for each call would cost more."""


@dataclass(slots=True)
class Entry:
    """A finished call, or (`done` None) a try whose answer was lost. `amount` was reserved for it."""

    done: tuple[Call, Answer] | None
    amount: float
    uncertain: float


class Writer:
    """Commits entries to the ledger in one thread, and tells of each batch in the loop's thread.

    `committed` is called with the entries and with what all other accounts have spent, before `keep` returns.
    """

    def __init__(self, ledger: Books, account: int, committed: Callable[[list[Entry], float], None]) -> None:
        self._ledger, self._account, self._committed = ledger, account, committed
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        self._waiting: list[tuple[Entry, asyncio.Future[None]]] = []
        self._writing: asyncio.Future[float] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.fault: BaseException | None = None

    async def keep(self, entry: Entry) -> None:
        """Return once the entry is on the disk.

        Raises
        ------
        MentallamaError
            The ledger could not be written.
        """
        kept = self._loop.create_future()
        self._waiting.append((entry, kept))
        if self._writing is None and self._timer is None:
            self._timer = self._loop.call_later(LINGER, self._write)
        await kept

    async def hold(self, amount: float, most: float | None) -> tuple[bool, float]:
        """`Ledger.hold`, in its turn."""
        return await self._loop.run_in_executor(self._thread, self._ledger.hold, self._account, amount, most)

    async def close(self) -> None:
        """Write what waits; then the thread ends."""
        while self._writing is not None or self._timer is not None:
            if self._timer is not None:
                self._timer.cancel()
                self._write()
            if self._writing is not None:
                await asyncio.wait([self._writing])
                await asyncio.sleep(0)  # for what follows a batch
        self._thread.shutdown()

    def _write(self) -> None:
        batch, self._waiting, self._timer = self._waiting, [], None
        done = [entry.done for entry, _ in batch if entry.done is not None]
        uncertain = sum(entry.uncertain for entry, _ in batch)
        self._writing = self._loop.run_in_executor(
            self._thread, self._ledger.commit, done, self._account, uncertain
        )
        self._writing.add_done_callback(lambda written: self._written(batch, written))

    def _written(
        self, batch: list[tuple[Entry, asyncio.Future[None]]], written: asyncio.Future[float]
    ) -> None:
        self._writing, fault = None, written.exception()
        self.fault = self.fault or fault
        if fault is None:
            try:
                self._committed([entry for entry, _ in batch], written.result())
            except Exception as found:  # whoever listens has failed; calls must not wait for ever
                fault = found
        for _, kept in batch:
            if kept.done():  # its call was cancelled meanwhile
                continue
            if fault is None:
                kept.set_result(None)
            else:
                kept.set_exception(fault)
        if self._waiting:
            self._timer = self._loop.call_later(LINGER, self._write)
