"""Map a function over batches on several processes, in order and with bounded memory."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from itertools import chain, islice
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
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


@contextmanager
def process_pool(jobs: int) -> Iterator[ProcessPoolExecutor]:
    """Process pool whose workers end when this process does, even if it is killed, and at once if it fails.

    Ctrl-C, which a terminal sends to all processes of a command, reaches this process only.
    """
    # spawn: a fork would copy locks held by threads of progress bars and numerical libraries
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_exit_with_parent)
    resource_tracker.ensure_running()  # it resets the signal mask when it starts
    former = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # new processes inherit the mask
    try:
        pool.submit(int)  # starts all workers
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, former)
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in multiprocessing.active_children():
            worker.terminate()
        raise
    finally:
        pool.shutdown()


def _exit_with_parent() -> None:
    """End this worker when its parent ends; otherwise it would wait for work forever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=lambda: (wait([parent.sentinel]), os._exit(1)), daemon=True).start()
