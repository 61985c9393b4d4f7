"""Map a function over batches on several processes, in order and with bounded memory."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from itertools import chain, islice
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from multiprocessing.context import SpawnContext, SpawnProcess
from types import ModuleType
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")


def batched(items: Iterable[A], size: int) -> Iterator[list[A]]:
    """Split a stream into lists of `size` items; the last may be shorter. (`itertools.batched` needs Python 3.12.)"""
    stream = iter(items)
    while batch := list(islice(stream, size)):
        yield batch


def map_batches(function: Callable[[A], B], work: Iterable[A], jobs: int) -> Iterator[B]:
    """Yield `function(batch)` for each batch of `work`, in order.

    Runs in this process if `jobs` is 1 or there is only one batch. At most two batches per process are in flight, so
    memory stays bounded. `function`, batches and results must be picklable.
    """
    stream = iter(work)
    head = list(islice(stream, 2))
    if jobs == 1 or len(head) < 2:
        yield from map(function, chain(head, stream))
        return
    with process_pool(jobs) as pool:
        pending: deque[Future[B]] = deque()
        for batch in chain(head, stream):
            pending.append(pool.submit(function, batch))
            if len(pending) >= 2 * jobs:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def is_torchrun(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether torchrun started this process as one of several."""
    return int(environ.get("WORLD_SIZE", "1")) > 1


class WorkerProcess(SpawnProcess):
    """A worker that Ctrl-C, which a terminal sends to all processes of a command, does not reach.

    It does not import the program that started it either: a script of a user's that calls this package outside of
    `if __name__ == "__main__"` would otherwise run again in every worker. So a worker's function must not be defined
    in that script.
    """

    def start(self) -> None:
        """Start it, as every process that is created by `WorkerContext`."""
        program = sys.modules["__main__"]
        former = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # a new process inherits the mask
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            super().start()
        finally:
            sys.modules["__main__"] = program
            signal.pthread_sigmask(signal.SIG_SETMASK, former)


class WorkerContext(SpawnContext):
    """Starts workers by spawn: a fork would copy locks held by threads of progress bars and numerical libraries."""

    Process = WorkerProcess


@contextmanager
def process_pool(jobs: int) -> Iterator[ProcessPoolExecutor]:
    """Process pool whose workers end when this process does, even if it is killed, and at once if it fails."""
    resource_tracker.ensure_running()  # it resets the signal mask when it starts
    pool = ProcessPoolExecutor(jobs, mp_context=WorkerContext(), initializer=_exit_with_parent)
    try:
        yield pool
    except BaseException:
        for worker in multiprocessing.active_children():
            worker.terminate()
        # It waits for the pool's thread, which Python's own exit would otherwise meet as it ends.
        pool.shutdown(cancel_futures=True)
        raise
    finally:
        pool.shutdown()


def _exit_with_parent() -> None:
    """End this worker when its parent ends; otherwise it would wait for work forever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=lambda: (wait([parent.sentinel]), os._exit(1)), daemon=True).start()
