"""A lock on a run's folder, so that no two processes write to it at the same time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mentallama.errors import UsageError
from mentallama.run_files import LOCK_PATH


@contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """Hold the folder's lock. The operating system releases it when the process ends, however it ends.

    Raises
    ------
    UsageError
        Another process holds it.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(folder / LOCK_PATH, blocking=False)
    try:
        lock.acquire()
    except Timeout:
        raise UsageError(
            f"{folder}: another process is working on this run; wait for it or use --out"
        ) from None
    try:
        yield
    finally:
        lock.release()
