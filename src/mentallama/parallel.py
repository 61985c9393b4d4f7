"""Run a function of one batch over many batches on several processes, in order, with bounded memory."""

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
    """Cut a stream into lists of `size`; the last may be shorter."""
    stream = iter(items)
    while batch := list(islice(stream, size)):
        yield batch


def map_batches(function: Callable[[A], B], work: Iterable[A], jobs: int) -> Iterator[B]:
    """Yield `function(each)` in order.

    Runs in this process where one job is asked for or there is only one batch. At most two batches a process are
    in flight, so a long stream is never held. `function` and its results must be picklable.
    """
    stream = iter(work)
    head = list(islice(stream, 2))
    if jobs == 1 or len(head) < 2:
        yield from map(function, chain(head, stream))
        return
    with process_pool(jobs) as pool:
        flying: deque[Future[B]] = deque()
        try:
            for each in chain(head, stream):
                flying.append(pool.submit(function, each))
                if len(flying) >= 2 * jobs:
                    yield flying.popleft().result()
            while flying:
                yield flying.popleft().result()
        finally:
            for future in flying:
                future.cancel()


def is_torchrun(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether torchrun started this process together with others."""
    return int(environ.get("WORLD_SIZE", "1")) > 1


def process_pool(jobs: int) -> ProcessPoolExecutor:
    """A pool whose processes end with this one, also when it is killed."""
    # spawn: a fork would copy the threads of progress bars and numerical libraries half-way through their work
    return ProcessPoolExecutor(
        jobs, mp_context=multiprocessing.get_context("spawn"), initializer=_exit_with_parent
    )


def _exit_with_parent() -> None:
    """A worker whose parent was killed would wait for work for ever; this ends it."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=lambda: (wait([parent.sentinel]), os._exit(1)), daemon=True).start()
