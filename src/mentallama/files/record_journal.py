"""A journal of records: each is on disk as soon as it is made, so that a resumed run repeats no work.

One JSON line per record, in the order in which they arrive; a line cut off by a kill is dropped when the file is opened
again. A journal lies outside the stage's folder, which is replaced as a whole, and is deleted when the stage is
complete.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Generic, Self, TypeVar

from pydantic import ValidationError

from mentallama.files.atomic import named_in_errors
from mentallama.records import Record

SYNC_SECONDS = 2.0
"""Seconds of work that a power failure may lose. A kill loses nothing: every line is flushed to the system at once."""

R = TypeVar("R", bound=Record)


class RecordJournal(Generic[R]):
    """Records by key; created if there is no file, continued if there is one.

    Parameters
    ----------
    record_type
        Type of the records.
    key
        A record's key; of two records with one key, the later counts.
    """

    def __init__(
        self,
        path: Path,
        record_type: type[R],
        key: Callable[[R], str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._record_type, self._key = record_type, key
        self._offsets: dict[str, int] = {}
        self._file = path.open("a+b")
        self._end = self._recover()
        self._clock, self._synced = clock, clock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with named_in_errors(self.path):
            self._file.close()

    def __contains__(self, key: str) -> bool:
        return key in self._offsets

    def __len__(self) -> int:
        return len(self._offsets)

    def add(self, record: R) -> None:
        """Append a record."""
        self._index(record, self._end)
        self._append(record.model_dump_json(exclude_defaults=True).encode())

    def line(self, key: str) -> str:
        """The JSON line of a record."""
        self._file.seek(self._offsets[key])
        return self._file.readline().decode("utf-8").rstrip("\n")

    def read(self, key: str) -> R:
        """A record."""
        return self._record_type.model_validate_json(self.line(key))

    def _index(self, record: R, offset: int) -> None:
        self._offsets[self._key(record)] = offset

    def _append(self, line: bytes) -> None:
        with named_in_errors(self.path):
            self._end += self._file.write(line + b"\n")
            self._file.flush()
        if self._clock() - self._synced >= SYNC_SECONDS:
            os.fsync(self._file.fileno())
            self._synced = self._clock()

    def _recover(self) -> int:
        """Index the file up to the first damaged line, cut off the rest, and return the end of what is valid."""
        end = 0
        self._file.seek(0)
        for line in self._file:
            if not (line.endswith(b"\n") and self._index_line(line, end)):
                break
            end += len(line)
        self._file.truncate(end)
        return end

    def _index_line(self, line: bytes, offset: int) -> bool:
        """Index a line; False if it is damaged."""
        try:
            self._index(self._record_type.model_validate_json(line), offset)
        except ValidationError:
            return False
        return True
