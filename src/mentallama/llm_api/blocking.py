"""Iterate over completions without an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from queue import SimpleQueue
from threading import Event, Thread

from mentallama.llm_api.dispatcher import LOOKUP_BATCH, dispatch
from mentallama.llm_api.endpoint import Endpoint
from mentallama.llm_api.ledger.completion_cache import CompletionCache
from mentallama.llm_api.transport.http import Transport, http_transport
from mentallama.llm_api.types import Completion, Limits, Request
from mentallama.parallel import batched

CompletedRequest = tuple[Request, Completion]


def iter_completions(
    requests: Iterable[Request],
    endpoint: Endpoint,
    limits: Limits,
    cache: CompletionCache,
    transport: Transport = http_transport,
) -> Iterator[CompletedRequest]:
    """Yield every request with its completion, in order of completion; rate limits and retries as in `dispatch`.

    `requests` is read in a background thread, slightly ahead of what is sent. Closing the iterator cancels the rest.
    What the cache holds is not sent; it counts the costs, which the budget of `limits` bounds.

    Raises
    ------
    MentallamaError, UsageError
        As `dispatch`, after everything that was completed before has been yielded.
    """
    results: SimpleQueue[CompletedRequest | None] = SimpleQueue()
    worker = _DispatchThread(results)
    thread = Thread(
        target=worker.run, args=(requests, endpoint, limits, cache, transport), name="dispatch", daemon=True
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
        self,
        requests: Iterable[Request],
        endpoint: Endpoint,
        limits: Limits,
        cache: CompletionCache,
        transport: Transport,
    ) -> None:
        store = _ReportingStore(cache, self._results.put)

        async def dispatch_all() -> None:
            self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
            self._started.set()
            unsent = _report_cached(requests, cache, self._results.put)
            await dispatch(unsent, endpoint, store, limits, transport=transport)

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


def _report_cached(
    requests: Iterable[Request], cache: CompletionCache, report: Callable[[CompletedRequest], None]
) -> Iterator[Request]:
    """Report the requests that the cache holds, and yield the others."""
    for batch in batched(requests, LOOKUP_BATCH):
        known = cache.get_completions([request.hash for request in batch])
        for request in batch:
            if request.hash in known:
                report((request, known[request.hash]))
            else:
                yield request


class _ReportingStore:
    """Reports each completion once the cache has committed it; looks nothing up."""

    def __init__(self, cache: CompletionCache, report: Callable[[CompletedRequest], None]) -> None:
        self._cache, self._report = cache, report
        self.total_spent, self.open_account = cache.total_spent, cache.open_account
        self.reserve, self.release, self.delete_failed = cache.reserve, cache.release, cache.delete_failed

    def known_hashes(self, _: Sequence[str]) -> set[str]:
        return set()

    def commit(
        self, completed: Sequence[CompletedRequest], account: int | None = None, uncertain: float = 0.0
    ) -> float:
        spent_by_others = self._cache.commit(completed, account, uncertain)
        for each in completed:
            self._report(each)
        return spent_by_others
