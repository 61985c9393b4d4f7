"""Request files of a batch, as OpenAI's Batch API, vLLM's `run_batch` and others take them up.

A folder holds `requests-0001.jsonl` and so on, to be uploaded: a line is `custom_id` (the call's hash), `method`,
`url` and `body`. Beside each, `metadata-0001.jsonl` says what its requests are about, so that a person can be forgotten,
and so that it is known what is out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from mentallama.errors import DataError
from mentallama.files.record_files import atomic_write, open_jsonl, read_records
from mentallama.llm_api.transport.http import encode_body
from mentallama.llm_api.types import Request
from mentallama.records import Record

MAX_REQUESTS_PER_FILE = 50_000
"""Requests a file: OpenAI's limit, and Azure's is higher."""

MAX_BYTES_PER_FILE = 190_000_000
"""Bytes a file: OpenAI and Azure take 200 MB."""

BATCH_ENDPOINT = "/v1/chat/completions"
"""The one that OpenAI and vLLM know, whatever the server's own path."""


class RequestMetadata(Record):
    """What a request is about. `custom_id` is the call's hash, `n_results` how many it had when this was written: the
    request is out until there is one more."""

    custom_id: str
    example_id: str
    post_id: str
    author: str | None = None
    task: str
    question: str
    label: str | None = None
    n_results: int = 0


UnansweredRequest = tuple[Request, int]
"""A call to be written, and how many results it has."""

RequestLines = tuple[str, bytes]
"""A line of `about`, and the line of the request that it is about."""


def format_request(again: UnansweredRequest) -> RequestLines:
    call, results = again
    about = RequestMetadata(
        custom_id=call.hash, n_results=results, **call.model_dump(exclude={"hash", "body"})
    )
    head = json.dumps({"custom_id": call.hash, "method": "POST", "url": BATCH_ENDPOINT})[:-1]
    return about.model_dump_json(exclude_defaults=True), head.encode() + b', "body": ' + encode_body(
        call.body
    ) + b"}"


def split_into_files(
    lines: Iterable[RequestLines],
    max_requests: int = MAX_REQUESTS_PER_FILE,
    max_bytes: int = MAX_BYTES_PER_FILE,
) -> Iterator[tuple[int, RequestLines]]:
    """Each line with the number of its file, from 0: a file has `most` lines and `size` bytes at most, line breaks
    counted, or one line that is longer."""
    number = count = filled = 0
    for line in lines:
        length = len(line[1]) + 1
        if count == max_requests or (count and filled + length > max_bytes):
            number, count, filled = number + 1, 0, 0
        count, filled = count + 1, filled + length
        yield number, line


def write_requests(folder: Path, unanswered: Iterable[UnansweredRequest]) -> Iterator[tuple[Path, int]]:
    """Write calls as request files, streaming; yields each with its number of requests, once it is whole.

    Numbers go on after those there are. The same calls give the same files.
    """
    first = max(_file_numbers(folder), default=0) + 1
    for number, group in groupby(split_into_files(map(format_request, unanswered)), key=itemgetter(0)):
        path = folder / f"requests-{first + number:04d}.jsonl"
        # the record appears first: a request file that nobody knew of would be paid for twice
        with atomic_write(path) as partial, atomic_write(_metadata_path(path)) as beside:
            count = _write(partial, beside, (line for _, line in group))
        yield path, count


def _write(path: Path, beside: Path, lines: Iterable[RequestLines]) -> int:
    count = 0
    with path.open("wb") as requests, open_jsonl(beside, "w") as abouts:
        for count, (about, request) in enumerate(lines, 1):
            requests.write(request + b"\n")
            abouts.write(about + "\n")
    return count


def _metadata_path(path: Path) -> Path:
    return path.with_name(path.name.replace("requests", "metadata"))


def _file_numbers(folder: Path) -> list[int]:
    found = (re.fullmatch(r"requests-(\d+)\.jsonl", path.name) for path in folder.glob("requests-*.jsonl"))
    return [int(each[1]) for each in found if each]


def read_request_metadata(folder: Path) -> Iterator[RequestMetadata]:
    """What the requests in the folder's request files are about, file by file.

    Raises
    ------
    BadData
        The record of a file is missing or damaged.
    """
    for number in sorted(_file_numbers(folder)):
        path = folder / f"requests-{number:04d}.jsonl"
        if not _metadata_path(path).is_file():
            raise DataError(
                f"{_metadata_path(path).name} is missing beside it: put it back, or delete this one too", path
            )
        yield from read_records(_metadata_path(path), RequestMetadata)
