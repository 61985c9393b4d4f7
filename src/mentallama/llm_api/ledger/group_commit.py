"""Group commit: completions that arrive while the ledger is writing share the next transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from mentallama.llm_api.types import Completion, CompletionStore, Request

COMMIT_DELAY_SECONDS = 0.002
"""Seconds that the first entry of a batch waits for others: one disk flush per request would take longer."""


@dataclass(slots=True)
class LedgerEntry:
    """A completed request, or (`completed` None) an attempt that may be billed without a completion.

    `reserved` is the amount that was reserved for it, `uncertain` the amount that may be billed.
    """

    completed: tuple[Request, Completion] | None
    reserved: float
    uncertain: float


class GroupCommitter:
    """Commits entries to the ledger in a background thread.

    `on_committed` is called in the event loop's thread, before `commit` returns, with the entries of the batch and with
    what all other accounts have spent.
    """

    def __init__(
        self,
        ledger: CompletionStore,
        account: int,
        on_committed: Callable[[list[LedgerEntry], float], None],
    ) -> None:
        self._ledger, self._account, self._on_committed = ledger, account, on_committed
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        self._queue: list[tuple[LedgerEntry, asyncio.Future[None]]] = []
        self._writing: asyncio.Future[float] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.error: BaseException | None = None

    async def commit(self, entry: LedgerEntry) -> None:
        """Return once the entry is on disk.

        Raises
        ------
        MentallamaError
            The ledger could not be written.
        """
        committed = self._loop.create_future()
        self._queue.append((entry, committed))
        if self._writing is None and self._timer is None:
            self._timer = self._loop.call_later(COMMIT_DELAY_SECONDS, self._write)
        await committed

    async def reserve(self, amount: float, budget: float | None) -> tuple[bool, float]:
        """`Ledger.reserve`, in the thread that writes."""
        return await self._loop.run_in_executor(
            self._thread, self._ledger.reserve, self._account, amount, budget
        )

    async def close(self) -> None:
        """Write what is queued, and end the thread."""
        while self._writing is not None or self._timer is not None:
            if self._timer is not None:
                self._timer.cancel()
                self._write()
            if self._writing is not None:
                await asyncio.wait([self._writing])
                await asyncio.sleep(0)  # let `_finish_batch` run
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
        self._writing, error = None, written.exception()
        self.error = self.error or error
        if error is None:
            try:
                self._on_committed([entry for entry, _ in batch], written.result())
            except Exception as callback_error:  # requests must not wait forever for their commit
                error = callback_error
        for _, committed in batch:
            if committed.done():  # its request was cancelled in the meantime
                continue
            if error is None:
                committed.set_result(None)
            else:
                committed.set_exception(error)
        if self._queue:
            self._timer = self._loop.call_later(COMMIT_DELAY_SECONDS, self._write)
