"""Group commit: what finishes while the ledger is writing goes into the next transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from mentallama.llm_api.ledger.completion_store import CompletionStore
from mentallama.llm_api.types import Completion, Request

COMMIT_DELAY_SECONDS = 0.002
"""Seconds that the first of a batch waits for others: a flush to the disk for each call would cost more."""


@dataclass(slots=True)
class LedgerEntry:
    """A finished call, or (`done` None) a try whose answer was lost. `amount` was reserved for it."""

    completed: tuple[Request, Completion] | None
    reserved: float
    uncertain: float


class GroupCommitter:
    """Commits entries to the ledger in one thread, and tells of each batch in the loop's thread.

    `committed` is called with the entries and with what all other accounts have spent, before `keep` returns.
    """

    def __init__(
        self, ledger: CompletionStore, account: int, committed: Callable[[list[LedgerEntry], float], None]
    ) -> None:
        self._ledger, self._account, self._on_committed = ledger, account, committed
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        self._queue: list[tuple[LedgerEntry, asyncio.Future[None]]] = []
        self._writing: asyncio.Future[float] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.fault: BaseException | None = None

    async def commit(self, entry: LedgerEntry) -> None:
        """Return once the entry is on the disk.

        Raises
        ------
        MentallamaError
            The ledger could not be written.
        """
        kept = self._loop.create_future()
        self._queue.append((entry, kept))
        if self._writing is None and self._timer is None:
            self._timer = self._loop.call_later(COMMIT_DELAY_SECONDS, self._write)
        await kept

    async def reserve(self, amount: float, budget: float | None) -> tuple[bool, float]:
        """`Ledger.hold`, in its turn."""
        return await self._loop.run_in_executor(
            self._thread, self._ledger.reserve, self._account, amount, budget
        )

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
        batch, self._queue, self._timer = self._queue, [], None
        done = [entry.completed for entry, _ in batch if entry.completed is not None]
        uncertain = sum(entry.uncertain for entry, _ in batch)
        self._writing = self._loop.run_in_executor(
            self._thread, self._ledger.commit, done, self._account, uncertain
        )
        self._writing.add_done_callback(lambda written: self._finish_batch(batch, written))

    def _finish_batch(
        self, batch: list[tuple[LedgerEntry, asyncio.Future[None]]], written: asyncio.Future[float]
    ) -> None:
        self._writing, fault = None, written.exception()
        self.fault = self.fault or fault
        if fault is None:
            try:
                self._on_committed([entry for entry, _ in batch], written.result())
            except Exception as found:  # whoever listens has failed; calls must not wait for ever
                fault = found
        for _, kept in batch:
            if kept.done():  # its call was cancelled meanwhile
                continue
            if fault is None:
                kept.set_result(None)
            else:
                kept.set_exception(fault)
        if self._queue:
            self._timer = self._loop.call_later(COMMIT_DELAY_SECONDS, self._write)
