"""Iterate over completions without an event loop and without a ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from queue import SimpleQueue
from threading import Event, Thread

from mentallama.llm_api.dispatcher import dispatch
from mentallama.llm_api.endpoint import Endpoint
from mentallama.llm_api.transport.http import Transport, http_transport
from mentallama.llm_api.types import Completion, Limits, Request

CompletedRequest = tuple[Request, Completion]


def iter_completions(
    requests: Iterable[Request], endpoint: Endpoint, limits: Limits, transport: Transport = http_transport
) -> Iterator[CompletedRequest]:
    """Yield every request with its completion, in order of completion; rate limits and retries as in `dispatch`.

    `requests` is read in a background thread, slightly ahead of what is sent. Closing the iterator cancels the rest.

    Raises
    ------
    MentallamaError, UsageError
        As `dispatch`, after everything that was completed before has been yielded.
    """
    results: SimpleQueue[CompletedRequest | None] = SimpleQueue()
    worker = _DispatchThread(results)
    thread = Thread(
        target=worker.run, args=(requests, endpoint, limits, transport), name="dispatch", daemon=True
    )
    thread.start()
    try:
        while (result := results.get()) is not None:
            yield result
    finally:
        worker.stop()
        thread.join()
    if worker.error is not None:
        raise worker.error


class _DispatchThread:
    """Runs `dispatch` in its own event loop and puts results on a queue, None at the end."""

    def __init__(self, results: SimpleQueue[CompletedRequest | None]) -> None:
        self._results, self._started = results, Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[object] | None = None
        self.error: BaseException | None = None

    def run(
        self, requests: Iterable[Request], endpoint: Endpoint, limits: Limits, transport: Transport
    ) -> None:
        store = CallbackStore(lambda request, completion: self._results.put((request, completion)))

        async def dispatch_all() -> None:
            self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
            self._started.set()
            await dispatch(requests, endpoint, store, limits, transport=transport)

        try:
            asyncio.run(dispatch_all())
        except asyncio.CancelledError:
            pass  # the consumer closed the iterator
        except BaseException as error:
            self.error = error
        finally:
            self._started.set()
            self._results.put(None)

    def stop(self) -> None:
        """Cancel requests in flight; no effect after the end."""
        self._started.wait()
        if self._loop is not None and self._task is not None and not self._loop.is_closed():
            try:
                self._loop.call_soon_threadsafe(self._task.cancel)
            except RuntimeError:  # closed in the meantime
                return


class CallbackStore:
    """A `CompletionStore` that passes each completion to a callback and stores nothing; it counts no costs."""

    def __init__(self, callback: Callable[[Request, Completion], None]) -> None:
        self._callback = callback

    def total_spent(self) -> float:
        return 0.0

    def open_account(self) -> int:
        return 0

    def known_hashes(self, _: Sequence[str]) -> set[str]:
        return set()

    def commit(
        self, completed: Sequence[CompletedRequest], _account: int | None = None, _uncertain: float = 0.0
    ) -> float:
        for request, completion in completed:
            self._callback(request, completion)
        return 0.0

    def reserve(self, _account: int, _amount: float, _budget: float | None) -> tuple[bool, float]:
        return True, 0.0

    def release(self, _account: int, _uncertain: float) -> None:
        """Do nothing: nothing is reserved."""

    def delete_failed(self) -> int:
        return 0
