"""The journal of predictions, with the counts that analysts report."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError

from mentallama.files.record_journal import RecordJournal
from mentallama.records import Prediction, ReadingStatus, Record

_COUNTS_PREFIX = b'{"counts":'


class JournalCounts(Record):
    """Counts since the previous line of counts."""

    counts: Counter[str]


class Journal(RecordJournal[Prediction]):
    """Predictions by example id.

    `counts` sums what analysts report (truncated posts, for example) over everything in the journal. The counts of a
    batch that a kill interrupted are lost.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.counts = Counter[str]()
        self._statuses: dict[str, ReadingStatus] = {}
        super().__init__(path, Prediction, lambda prediction: prediction.example_id, clock)

    def add_counts(self, counts: Counter[str]) -> None:
        """Append the counts since the previous call."""
        self.counts += counts
        self._append(JournalCounts(counts=counts).model_dump_json().encode())

    def status(self, example_id: str) -> ReadingStatus:
        """The status of a prediction."""
        return self._statuses[example_id]

    def _index(self, record: Prediction, offset: int) -> None:
        super()._index(record, offset)
        self._statuses[record.example_id] = record.reading.status

    def _index_line(self, line: bytes, offset: int) -> bool:
        if not line.startswith(_COUNTS_PREFIX):
            return super()._index_line(line, offset)
        try:
            self.counts += JournalCounts.model_validate_json(line).counts
        except ValidationError:
            return False
        return True
