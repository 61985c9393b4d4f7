"""Result files of a batch, put into the folder's `results/` under any name that ends in .jsonl, and their index.

A line is `custom_id`, `response` (`status_code` and `body`, or null) and `error`: OpenAI's output and error files, and
what vLLM's `run_batch` writes. Lines stand in any order, and a call may have several: files are never taken away.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mentallama.errors import DataError, MentallamaError
from mentallama.llm_api.batch_api.request_files import read_request_metadata
from mentallama.llm_api.endpoint import Endpoint
from mentallama.llm_api.transport.http import AttemptOutcome, RetryableFailure, parse_response
from mentallama.llm_api.types import Request

RESULTS_FOLDER = "results"

NOT_EXECUTED_CODES = frozenset(("batch_expired", "batch_cancelled"))
"""Codes of requests that were not executed and cost nothing (OpenAI)."""

INSERT_RESULT = "INSERT INTO results (hash, mark, row, start, file) VALUES (?, ?, ?, ?, ?)"

BatchResultLine = dict[str, Any]


@dataclass
class RequestResults:
    """What the folder holds of one call: how many results there must be in the end, and where they stand."""

    n_expected: int = 0
    locations: list[tuple[Path, int, int]] = field(default_factory=list)
    """File, row, first byte; in the order of files and rows."""

    @property
    def is_pending(self) -> bool:
        """Whether the result of a request has not come."""
        return self.n_expected > len(self.locations)

    def lines(self) -> Iterator[BatchResultLine]:
        for path, row, start in self.locations:
            with path.open("rb") as file:
                file.seek(start)
                yield parse_result_line(file.readline(), path, row)


class BatchIndex:
    """Which calls were written and which results there are, in a temporary file: memory stays flat.

    `fault` is the first damaged place of a result file; what stands before it is indexed.
    """

    def __init__(self, folder: Path, database: sqlite3.Connection) -> None:
        self._database = database
        self._files = result_files(folder)
        database.executescript("""
            CREATE TABLE written (hash TEXT, results INTEGER);
            CREATE TABLE asked (hash TEXT PRIMARY KEY);
            CREATE TABLE results (hash TEXT, mark TEXT, file INTEGER, row INTEGER, start INTEGER,
                PRIMARY KEY (hash, mark) ON CONFLICT IGNORE);
            CREATE INDEX by_hash ON written (hash);
        """)
        before = ((about.custom_id, about.n_results) for about in read_request_metadata(folder))
        database.executemany("INSERT INTO written VALUES (?, ?)", before)
        self.fault = self._index_results()

    def _index_results(self) -> DataError | None:
        rows = (
            (*place, number) for number, path in enumerate(self._files) for place in _locate_results(path)
        )
        try:
            self._database.executemany(INSERT_RESULT, rows)
        except DataError as fault:
            return fault
        return None

    def lookup(self, calls: Sequence[Request]) -> dict[str, RequestResults]:
        """What there is of some calls, by hash."""
        hashes = [call.hash for call in calls]
        marks = f"({','.join('?' * len(hashes))})"
        found: dict[str, RequestResults] = defaultdict(RequestResults)
        query = f"SELECT hash, max(results) FROM written WHERE hash IN {marks} GROUP BY hash"
        for digest, results in self._query(query, hashes):
            found[digest].n_expected = results + 1
        query = f"SELECT hash, file, row, start FROM results WHERE hash IN {marks} ORDER BY file, row"
        for digest, number, row, start in self._query(query, hashes):
            found[digest].locations.append((self._files[number], row, start))
        return found

    def drop_repeated(self, calls: Sequence[Request]) -> list[Request]:
        """Those of the calls that were not asked about before: a run may hold the same call twice."""
        insert = "INSERT OR IGNORE INTO asked VALUES (?)"
        return [call for call in calls if self._database.execute(insert, [call.hash]).rowcount]

    def add_submitted(self, call: Request, results: int) -> None:
        """Note that a call with so many results is written now."""
        self._database.execute("INSERT INTO written VALUES (?, ?)", (call.hash, results))

    def count_unmatched(self) -> int:
        """Results of calls that nobody asked about."""
        return int(
            self._query("SELECT count(*) FROM results WHERE hash NOT IN (SELECT hash FROM asked)", [])[0][0]
        )

    def _query(self, query: str, values: Sequence[str]) -> list[Any]:
        return self._database.execute(query, values).fetchall()


@contextmanager
def open_index(folder: Path) -> Iterator[BatchIndex]:
    """Read the folder's files once.

    Raises
    ------
    BadData
        A file stands among the results that is none, or a record of what was written is missing.
    """
    with closing(sqlite3.connect("")) as database:  # a temporary file that ends with the connection
        yield BatchIndex(folder, database)


def result_files(folder: Path) -> list[Path]:
    files = sorted(path for path in (folder / RESULTS_FOLDER).glob("*") if not path.name.startswith("."))
    for path in files:
        if path.suffix != ".jsonl" or not path.is_file():
            raise DataError("result files end in .jsonl: unpack or rename it, or take it away", path)
    return files


def _locate_results(path: Path) -> Iterator[tuple[str, str, int, int]]:
    """Of each line: hash, a mark that no other result has, row and first byte."""
    start = 0
    with path.open("rb") as file:
        for row, raw in enumerate(file, 1):
            if raw.strip():
                line = parse_result_line(raw, path, row)
                mark = line.get("id")
                yield line["custom_id"], mark if isinstance(mark, str) else f"{path.name} {row}", row, start
            start += len(raw)


def parse_result_line(raw: bytes, path: Path, row: int) -> BatchResultLine:
    """A line of a result file; `BadData` where it is none."""
    try:
        line = json.loads(raw)
    except (ValueError, RecursionError):
        raise DataError("no JSON: the file is damaged or cut off; download it again", path, row) from None
    if not (isinstance(line, dict) and isinstance(line.get("custom_id"), str) and _has_result(line)):
        raise DataError("no result of a batch: it needs custom_id, and response or error", path, row)
    return line


def _has_result(line: BatchResultLine) -> bool:
    response = line.get("response")
    if response is None:
        return bool(line.get("error"))
    return isinstance(response, dict) and type(response.get("status_code")) is int


def parse_batch_result(
    endpoint: Endpoint, call: Request, line: BatchResultLine, fatal_errors: Counter[str]
) -> AttemptOutcome:
    """What a result means, by the same table as an answer to a call.

    What would stop live calls (no money left, an unknown model) is a failure here, and its sentence goes to `stops`:
    the line stays in its file, and the run must get past it.
    """
    response, error = line.get("response"), line.get("error")
    if response is None or (error and response["status_code"] == 0):
        code = error.get("code") if isinstance(error, dict) else None
        ran = code not in NOT_EXECUTED_CODES
        return RetryableFailure("expired" if not ran else "no response", connected=ran, maybe_billed=ran)
    status, body = response["status_code"], response.get("body")
    if body is None:
        body = error  # vLLM puts the server's error there
    try:
        return parse_response(endpoint, status, {}, json.dumps(body).encode(), "response_format" in call.body)
    except MentallamaError as stop:
        fatal_errors[str(stop)] += 1
        return RetryableFailure(f"HTTP {status}")
