"""Find the requests about a person, in a run's ledgers and in the metadata of its batch files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from mentallama.files.record_files import read_records
from mentallama.llm_api.batch_api.request_files import RequestMetadata
from mentallama.llm_api.ledger.ledger import Ledger


def request_hashes_about(folder: Path, ledgers: Iterable[Path], ids: set[str]) -> set[str]:
    """Hashes of all requests about posts, examples or authors: batch results are identified by nothing else.

    `folder` is the run's folder; `ledgers` are those outside it.
    """
    hashes = {
        metadata.custom_id
        for path in folder.rglob("metadata-*.jsonl")
        for metadata in read_records(path, RequestMetadata)
        if not ids.isdisjoint((metadata.post_id, metadata.example_id, metadata.author))
    }
    for path in (*folder.rglob("*.sqlite"), *ledgers):
        with Ledger(path) as ledger:
            hashes |= ledger.hashes_about(ids)
    return hashes
