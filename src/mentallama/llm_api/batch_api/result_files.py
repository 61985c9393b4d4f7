"""Result files of a batch, in the folder's `results/` under any name that ends in .jsonl, and their index.

A line has `custom_id`, `response` (`status_code` and `body`, or null) and `error`, as in OpenAI's output and error
files and in the output of vLLM's `run_batch`. Lines may be in any order, and a request may have several: result files
are never deleted.
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
from mentallama.llm_api.batch_api.request_files import RESULTS_FOLDER, read_request_metadata
from mentallama.llm_api.endpoint import Endpoint
from mentallama.llm_api.transport.http import AttemptOutcome, RetryableFailure, encode_body, parse_response
from mentallama.llm_api.types import Request

NOT_EXECUTED_CODES = frozenset(("batch_expired", "batch_cancelled"))
"""OpenAI's error codes of requests that were not executed and are not billed."""

INSERT_RESULT = "INSERT INTO results (hash, result_id, row, start, file) VALUES (?, ?, ?, ?, ?)"

BatchResultLine = dict[str, Any]
"""A parsed line of a result file."""


@dataclass
class RequestResults:
    """Results of one request: how many are expected, and where the lines are."""

    n_expected: int = 0
    locations: list[tuple[Path, int, int]] = field(default_factory=list)
    """File, row and byte offset, in the order of files and rows."""

    @property
    def is_pending(self) -> bool:
        """Whether a written request has no result yet."""
        return self.n_expected > len(self.locations)

    def lines(self) -> Iterator[BatchResultLine]:
        for path, row, start in self.locations:
            with path.open("rb") as file:
                file.seek(start)
                yield parse_result_line(file.readline(), path, row)


class BatchIndex:
    """Index of written requests and of results, in a temporary SQLite file, so that memory stays flat.

    `error` describes the first damaged line of a result file; everything before it is indexed.
    """

    def __init__(self, folder: Path, database: sqlite3.Connection) -> None:
        self._database = database
        self._files = result_files(folder)
        database.executescript("""
            CREATE TABLE written (hash TEXT, n_results INTEGER);
            CREATE TABLE requested (hash TEXT PRIMARY KEY);
            CREATE TABLE results (hash TEXT, result_id TEXT, file INTEGER, row INTEGER, start INTEGER,
                PRIMARY KEY (hash, result_id) ON CONFLICT IGNORE);
            CREATE INDEX by_hash ON written (hash);
        """)
        written = ((request.custom_id, request.n_results) for request in read_request_metadata(folder))
        database.executemany("INSERT INTO written VALUES (?, ?)", written)
        self.error = self._index_results()

    def _index_results(self) -> DataError | None:
        rows = (
            (*location, number)
            for number, path in enumerate(self._files)
            for location in _locate_results(path)
        )
        try:
            self._database.executemany(INSERT_RESULT, rows)
        except DataError as error:
            return error
        return None

    def lookup(self, requests: Sequence[Request]) -> dict[str, RequestResults]:
        """Results of some requests, by hash."""
        hashes = [request.hash for request in requests]
        values = f"({','.join('?' * len(hashes))})"
        results: dict[str, RequestResults] = defaultdict(RequestResults)
        query = f"SELECT hash, max(n_results) FROM written WHERE hash IN {values} GROUP BY hash"
        for digest, n_results in self._query(query, hashes):
            results[digest].n_expected = n_results + 1
        query = f"SELECT hash, file, row, start FROM results WHERE hash IN {values} ORDER BY file, row"
        for digest, number, row, start in self._query(query, hashes):
            results[digest].locations.append((self._files[number], row, start))
        return results

    def drop_repeated(self, requests: Sequence[Request]) -> list[Request]:
        """Return the requests that were not passed here before: a run may ask the same thing twice."""
        insert = "INSERT OR IGNORE INTO requested VALUES (?)"
        return [request for request in requests if self._database.execute(insert, [request.hash]).rowcount]

    def add_submitted(self, request: Request, n_results: int) -> None:
        """Record that a request with `n_results` results so far is being written."""
        self._database.execute("INSERT INTO written VALUES (?, ?)", (request.hash, n_results))

    def count_unmatched(self) -> int:
        """Number of results whose request was never passed to `drop_repeated`."""
        query = "SELECT count(*) FROM results WHERE hash NOT IN (SELECT hash FROM requested)"
        return int(self._query(query, [])[0][0])

    def _query(self, query: str, values: Sequence[str]) -> list[Any]:
        return self._database.execute(query, values).fetchall()


@contextmanager
def open_index(folder: Path) -> Iterator[BatchIndex]:
    """Build the index from the folder's files.

    Raises
    ------
    DataError
        There is a file of another type among the results, or the metadata of a request file is missing.
    """
    with closing(sqlite3.connect("")) as database:  # a temporary file, deleted when the connection closes
        yield BatchIndex(folder, database)


def result_files(folder: Path) -> list[Path]:
    """Result files of a batch folder, sorted; `DataError` for a file that is not .jsonl."""
    files = sorted(path for path in (folder / RESULTS_FOLDER).glob("*") if not path.name.startswith("."))
    for path in files:
        if path.suffix != ".jsonl" or not path.is_file():
            raise DataError("result files end in .jsonl: unpack, rename or remove this file", path)
    return files


def _locate_results(path: Path) -> Iterator[tuple[str, str, int, int]]:
    """Yield hash, unique result id, row and byte offset of each line."""
    start = 0
    with path.open("rb") as file:
        for row, raw in enumerate(file, 1):
            if raw.strip():
                line = parse_result_line(raw, path, row)
                result_id = line.get("id")
                if not isinstance(result_id, str):
                    result_id = f"{path.name} {row}"
                yield line["custom_id"], result_id, row, start
            start += len(raw)


def parse_result_line(raw: bytes, path: Path, row: int) -> BatchResultLine:
    """Parse a line of a result file; `DataError` if it is not one."""
    try:
        line = json.loads(raw)
    except (ValueError, RecursionError):
        raise DataError("not JSON: the file is damaged or incomplete; download it again", path, row) from None
    if not (isinstance(line, dict) and isinstance(line.get("custom_id"), str) and _has_result(line)):
        raise DataError("not a batch result: it needs custom_id, and response or error", path, row)
    return line


def _has_result(line: BatchResultLine) -> bool:
    response = line.get("response")
    if response is None:
        return bool(line.get("error"))
    return isinstance(response, dict) and type(response.get("status_code")) is int


def parse_batch_result(
    endpoint: Endpoint, request: Request, line: BatchResultLine, fatal_errors: Counter[str]
) -> AttemptOutcome:
    """Interpret a result by the same rules as a live response.

    An error that would end a run of live requests (no credit, an unknown model) is a retryable failure here, and its
    message is counted in `fatal_errors`: the line stays in its file, and must not block the run for ever.
    """
    response, error = line.get("response"), line.get("error")
    if response is None or (error and response["status_code"] == 0):
        code = error.get("code") if isinstance(error, dict) else None
        executed = code not in NOT_EXECUTED_CODES
        reason = "no response" if executed else "expired"
        return RetryableFailure(reason, connected=executed, maybe_billed=executed)
    status, body = response["status_code"], response.get("body")
    if body is None:
        body = error  # vLLM puts the server's error into `error`
    try:
        has_response_format = "response_format" in request.body
        payload = encode_body(request.body)
        return parse_response(endpoint, status, {}, json.dumps(body).encode(), has_response_format, payload)
    except MentallamaError as error:
        fatal_errors[str(error)] += 1
        return RetryableFailure(f"HTTP {status}")
