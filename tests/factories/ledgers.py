"""Views of a ledger for tests: all its completions, and the integrity of its file."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from mentallama.llm_api.ledger.ledger import Ledger
from mentallama.llm_api.types import Completion


def all_completions(ledger: Ledger) -> list[Completion]:
    """All completions in the order of their first commit."""
    with closing(sqlite3.connect(ledger.path)) as file:
        hashes = [row[0] for row in file.execute("SELECT hash FROM completions ORDER BY id")]
    completions = ledger.get_completions(hashes)
    return [completions[digest] for digest in hashes]


def assert_intact(path: Path) -> None:
    """SQLite finds no damage in the ledger's file."""
    with closing(sqlite3.connect(path)) as file:
        assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
