"""Request files for OpenAI's Batch API, vLLM's `run_batch` and compatible services.

A folder holds `requests-0001.jsonl` and so on, to be uploaded: each line has `custom_id` (the request's hash),
`method`, `url` and `body`. Beside each, `metadata-0001.jsonl` records what its requests are about, so that a person's
requests can be erased and pending requests are known.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from mentallama.errors import DataError
from mentallama.files.atomic import atomic_write
from mentallama.files.record_files import open_jsonl, read_records
from mentallama.llm_api.transport.http import encode_body
from mentallama.llm_api.types import Request
from mentallama.records import Record

RESULTS_FOLDER = "results"
"""Folder, below that of the request files, for the provider's result files."""

RETRY_MARKER = ".retry"
"""File that makes the next round write failed requests again."""

MAX_REQUESTS_PER_FILE = 50_000
"""OpenAI's limit; Azure's is higher."""

MAX_BYTES_PER_FILE = 190_000_000
"""OpenAI and Azure accept 200 MB."""

BATCH_ENDPOINT = "/v1/chat/completions"
"""The path that OpenAI and vLLM expect, whatever the base URL of the server."""


class RequestMetadata(Record):
    """The question and the post of a request.

    `custom_id` is the request's hash. `n_results` is the number of results that it had when it was written: it is
    pending until there is one more.
    """

    custom_id: str
    example_id: str
    post_id: str
    author: str | None = None
    task: str
    question: str
    label: str | None = None
    n_results: int = 0


UnansweredRequest = tuple[Request, int]
"""A request to be written, and the number of results that it has."""

RequestLines = tuple[str, bytes]
"""A line of the metadata file, and the matching line of the request file."""


def format_request(unanswered: UnansweredRequest) -> RequestLines:
    request, n_results = unanswered
    fields = request.model_dump(exclude={"hash", "body"})
    metadata = RequestMetadata(custom_id=request.hash, n_results=n_results, **fields)
    head = json.dumps({"custom_id": request.hash, "method": "POST", "url": BATCH_ENDPOINT})[:-1]
    line = head.encode() + b', "body": ' + encode_body(request.body) + b"}"
    return metadata.model_dump_json(exclude_defaults=True), line


def split_into_files(
    lines: Iterable[RequestLines],
    max_requests: int = MAX_REQUESTS_PER_FILE,
    max_bytes: int = MAX_BYTES_PER_FILE,
) -> Iterator[tuple[int, RequestLines]]:
    """Yield each line with the number of its file, from 0.

    A file has at most `max_requests` lines and `max_bytes` bytes, line breaks included, or one line that is longer.
    """
    number = count = filled = 0
    for line in lines:
        length = len(line[1]) + 1
        if count == max_requests or (count and filled + length > max_bytes):
            number, count, filled = number + 1, 0, 0
        count, filled = count + 1, filled + length
        yield number, line


def write_requests(folder: Path, unanswered: Iterable[UnansweredRequest]) -> Iterator[tuple[Path, int]]:
    """Write request files, streaming; yield each path with its number of requests, once the file is complete.

    Numbering continues after the existing files. The same requests give the same files.
    """
    first = max(_file_numbers(folder), default=0) + 1
    for number, group in groupby(split_into_files(map(format_request, unanswered)), key=itemgetter(0)):
        path = folder / f"requests-{first + number:04d}.jsonl"
        # the metadata file appears first: requests without metadata would be written, and paid for, twice
        with atomic_write(path) as partial, atomic_write(_metadata_path(path)) as partial_metadata:
            count = _write(partial, partial_metadata, (lines for _, lines in group))
        yield path, count


def _write(path: Path, metadata_path: Path, lines: Iterable[RequestLines]) -> int:
    count = 0
    with path.open("wb") as request_file, open_jsonl(metadata_path, "w") as metadata_file:
        for count, (metadata, request) in enumerate(lines, 1):
            request_file.write(request + b"\n")
            metadata_file.write(metadata + "\n")
    return count


def _metadata_path(path: Path) -> Path:
    return path.with_name(path.name.replace("requests", "metadata"))


def _file_numbers(folder: Path) -> list[int]:
    names = (re.fullmatch(r"requests-(\d+)\.jsonl", path.name) for path in folder.glob("requests-*.jsonl"))
    return [int(match[1]) for match in names if match]


def read_request_metadata(folder: Path) -> Iterator[RequestMetadata]:
    """Yield the metadata of all requests in the folder's request files, file by file.

    Raises
    ------
    DataError
        The metadata file of a request file is missing or damaged.
    """
    for number in sorted(_file_numbers(folder)):
        path = folder / f"requests-{number:04d}.jsonl"
        metadata_path = _metadata_path(path)
        if not metadata_path.is_file():
            raise DataError(
                f"{metadata_path.name} is missing beside it: restore it, or delete the request file too", path
            )
        yield from read_records(metadata_path, RequestMetadata)
