"""Map a function over batches on several processes, in order and with bounded memory."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import chain, islice
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
        try:
            for batch in chain(head, stream):
                pending.append(pool.submit(function, batch))
                if len(pending) >= 2 * jobs:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


def is_torchrun(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether torchrun started this process as one of several."""
    return int(environ.get("WORLD_SIZE", "1")) > 1


def process_pool(jobs: int) -> ProcessPoolExecutor:
    """Process pool whose workers exit when this process does, even if it is killed."""
    # spawn: a fork would copy locks held by threads of progress bars and numerical libraries
    return ProcessPoolExecutor(
        jobs, mp_context=multiprocessing.get_context("spawn"), initializer=_exit_with_parent
    )


def _exit_with_parent() -> None:
    """End this worker when its parent ends; otherwise it would wait for work forever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=lambda: (wait([parent.sentinel]), os._exit(1)), daemon=True).start()
