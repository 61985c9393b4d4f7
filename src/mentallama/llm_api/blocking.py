"""Ask without a ledger: answers come one by one, as they are there, to a caller without an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from queue import SimpleQueue
from threading import Event, Thread

from mentallama.llm_api.dispatcher import dispatch
from mentallama.llm_api.endpoint import Endpoint
from mentallama.llm_api.ledger.completion_store import CallbackStore
from mentallama.llm_api.run_stats import Limits
from mentallama.llm_api.transport.local import Transport, local_transport
from mentallama.llm_api.types import Completion, Request

CompletedRequest = tuple[Request, Completion]


def iter_completions(
    requests: Iterable[Request], endpoint: Endpoint, limits: Limits, sending: Transport = local_transport
) -> Iterator[CompletedRequest]:
    """Every call with its answer, in the order in which they end; paced and retried as by `dispatch`.

    `calls` is read in another thread, a little ahead of what is sent. Closing the iterator stops asking.

    Raises
    ------
    MentallamaError, WrongUse
        As `dispatch`; what was answered before has been yielded.
    """
    found: SimpleQueue[CompletedRequest | None] = SimpleQueue()
    asking = _DispatchThread(found)
    thread = Thread(target=asking.run, args=(requests, endpoint, limits, sending), name="asking", daemon=True)
    thread.start()
    try:
        while (pair := found.get()) is not None:
            yield pair
    finally:
        asking.stop()
        thread.join()
    if asking.fault is not None:
        raise asking.fault


class _DispatchThread:
    """What the thread does."""

    def __init__(self, found: SimpleQueue[CompletedRequest | None]) -> None:
        self._results, self._started = found, Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[object] | None = None
        self.fault: BaseException | None = None

    def run(self, calls: Iterable[Request], endpoint: Endpoint, limits: Limits, sending: Transport) -> None:
        books = CallbackStore(lambda call, answer: self._results.put((call, answer)))

        async def all_of_them() -> None:
            self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
            self._started.set()
            await dispatch(calls, endpoint, books, limits, sending=sending)

        try:
            asyncio.run(all_of_them())
        except asyncio.CancelledError:
            pass  # whoever listened has gone
        except BaseException as fault:
            self.fault = fault
        finally:
            self._started.set()
            self._results.put(None)

    def stop(self) -> None:
        """End what is on its way; nothing where all has ended."""
        self._started.wait()
        if self._loop is not None and self._task is not None and not self._loop.is_closed():
            try:
                self._loop.call_soon_threadsafe(self._task.cancel)
            except RuntimeError:  # closed meanwhile
                return
