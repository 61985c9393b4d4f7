"""The journal: every answer on the disk as it is made, so that a killed run is not asked twice.

One JSON line an answer, appended, in the order in which they come; a line that a kill has cut is dropped when the file
is opened again. It stands outside the stage's folder, which is replaced whole, and ends with the stage.
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

from mentallama.records import Prediction, ReadingStatus, Record

SYNC_SECONDS = 2.0
"""What a power failure may cost; a kill costs nothing, for every line is handed to the system at once."""

_COUNTS_PREFIX = b'{"counts":'


class JournalCounts(Record):
    """What has been counted since the line before that."""

    counts: Counter[str]


class Journal:
    """Answers by example. Made where there is no file, taken up where there is one.

    `counts` are what analysts have counted (posts that were cut, say), over all that was journaled. What is counted in
    the batch in which a run is killed is lost.
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
        self, kind: type[BaseException] | None, fault: BaseException | None, at: TracebackType | None
    ) -> None:
        self._file.close()

    def __contains__(self, example_id: str) -> bool:
        return example_id in self._offsets

    def __len__(self) -> int:
        return len(self._offsets)

    def add(self, prediction: Prediction) -> None:
        """Append an answer."""
        self._offsets[prediction.example_id] = self._end, prediction.reading.status
        self._append(prediction.model_dump_json(exclude_defaults=True).encode())

    def add_counts(self, counts: Counter[str]) -> None:
        """Append what has been counted since the last time."""
        self.counts += counts
        self._append(JournalCounts(counts=counts).model_dump_json().encode())

    def line(self, example_id: str) -> str:
        """An answer as the JSON line that it stands in."""
        self._file.seek(self._offsets[example_id][0])
        return self._file.readline().decode("utf-8").rstrip("\n")

    def status(self, example_id: str) -> ReadingStatus:
        """What came of an answer."""
        return self._offsets[example_id][1]

    def _append(self, line: bytes) -> None:
        self._end += self._file.write(line + b"\n")
        self._file.flush()
        if self._clock() - self._synced >= SYNC_SECONDS:
            os.fsync(self._file.fileno())
            self._synced = self._clock()

    def _recover(self) -> int:
        """Read what is there up to the first line that is damaged; what follows it is cut off."""
        end = 0
        self._file.seek(0)
        for line in self._file:
            if not (line.endswith(b"\n") and self._index_line(line, end)):
                break
            end += len(line)
        self._file.truncate(end)
        return end

    def _index_line(self, line: bytes, place: int) -> bool:
        try:
            if line.startswith(_COUNTS_PREFIX):
                self.counts += JournalCounts.model_validate_json(line).counts
            else:
                found = Prediction.model_validate_json(line)
                self._offsets[found.example_id] = place, found.reading.status
        except ValidationError:
            return False
        return True
