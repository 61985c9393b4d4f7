"""The journal: every prediction on disk as soon as it is made, so that a resumed run repeats no question.

One JSON line per prediction, in the order in which they arrive; a line cut off by a kill is dropped when the file is
opened again. The journal lies outside the stage's folder, which is replaced as a whole, and is deleted when the stage
is complete.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from pydantic import ValidationError

from mentallama.files.atomic import named_in_errors
from mentallama.records import Prediction, ReadingStatus, Record

SYNC_SECONDS = 2.0
"""Seconds of work that a power failure may lose. A kill loses nothing: every line is flushed to the system at once."""

_COUNTS_PREFIX = b'{"counts":'


class JournalCounts(Record):
    """Counts since the previous line of counts."""

    counts: Counter[str]


class Journal:
    """Predictions by example id; created if there is no file, continued if there is one.

    `counts` sums what analysts report (truncated posts, for example) over everything in the journal. The counts of a
    batch that a kill interrupted are lost.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self.counts = path, Counter[str]()
        self._offsets: dict[str, tuple[int, ReadingStatus]] = {}
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

    def __contains__(self, example_id: str) -> bool:
        return example_id in self._offsets

    def __len__(self) -> int:
        return len(self._offsets)

    def add(self, prediction: Prediction) -> None:
        """Append a prediction."""
        self._offsets[prediction.example_id] = self._end, prediction.reading.status
        self._append(prediction.model_dump_json(exclude_defaults=True).encode())

    def add_counts(self, counts: Counter[str]) -> None:
        """Append the counts since the previous call."""
        self.counts += counts
        self._append(JournalCounts(counts=counts).model_dump_json().encode())

    def line(self, example_id: str) -> str:
        """The JSON line of a prediction."""
        self._file.seek(self._offsets[example_id][0])
        return self._file.readline().decode("utf-8").rstrip("\n")

    def status(self, example_id: str) -> ReadingStatus:
        """The status of a prediction."""
        return self._offsets[example_id][1]

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
        try:
            if line.startswith(_COUNTS_PREFIX):
                self.counts += JournalCounts.model_validate_json(line).counts
            else:
                prediction = Prediction.model_validate_json(line)
                self._offsets[prediction.example_id] = offset, prediction.reading.status
        except ValidationError:
            return False
        return True
