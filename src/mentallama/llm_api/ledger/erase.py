"""Which calls were about a person: in a run's ledgers, and in the records of its batch files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from mentallama.files.record_files import read_records
from mentallama.llm_api.batch_api.request_files import RequestMetadata
from mentallama.llm_api.ledger.ledger import Ledger


def request_hashes_about(folder: Path, ledgers: Iterable[Path], ids: set[str]) -> set[str]:
    """The hashes of all calls about some posts, examples or authors: results of a batch have no other name.

    `folder` is the run's; `ledgers` are those outside it.
    """
    found = {
        each.custom_id
        for path in folder.rglob("metadata-*.jsonl")
        for each in read_records(path, RequestMetadata)
        if not ids.isdisjoint((each.post_id, each.example_id, each.author))
    }
    for path in (*folder.rglob("*.sqlite"), *ledgers):
        with Ledger(path) as ledger:
            found |= ledger.hashes_about(ids)
    return found
