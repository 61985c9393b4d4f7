"""The ledger's SQLite file: its tables, how it is opened, and what its faults mean to a user."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mentallama.errors import BadData, MentallamaError, WrongUse

APPLICATION = 0x6D6C6C67
"""Marks the file as a ledger (`PRAGMA application_id`): "mllg"."""

VERSION = 1
"""Of the tables (`PRAGMA user_version`)."""

BUSY_SECONDS = 60
"""How long a process waits for another that is writing."""

TABLES = (
    """CREATE TABLE answers (
        id INTEGER PRIMARY KEY, hash TEXT NOT NULL UNIQUE, example_id TEXT NOT NULL, model TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('answered', 'refused', 'aside')), text TEXT NOT NULL,
        finish_reason TEXT, reason TEXT, usage TEXT NOT NULL, cost REAL, seconds REAL NOT NULL,
        attempts INTEGER NOT NULL, post_id TEXT NOT NULL, author TEXT, task TEXT NOT NULL, question TEXT NOT NULL,
        label TEXT, time REAL NOT NULL)""",
    """CREATE TABLE accounts (
        id INTEGER PRIMARY KEY, started REAL NOT NULL, settled REAL NOT NULL DEFAULT 0,
        uncertain REAL NOT NULL DEFAULT 0, held REAL NOT NULL DEFAULT 0)""",
    f"PRAGMA application_id = {APPLICATION}",
    f"PRAGMA user_version = {VERSION}",
)

SETTINGS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",  # a commit is on the disk, also when the power fails
    "PRAGMA secure_delete = ON",
)

DAMAGED = "the ledger is damaged: restore it from a copy, or move it away"
FOREIGN = "not a ledger: move it away, or name another file as ledger"

FAULTS: dict[int, tuple[type[MentallamaError], str]] = {
    sqlite3.SQLITE_FULL: (
        MentallamaError,
        "the disk is full; what was committed is kept: make room and go on",
    ),
    sqlite3.SQLITE_IOERR: (MentallamaError, "the disk cannot be read or written; what was committed is kept"),
    sqlite3.SQLITE_BUSY: (MentallamaError, "another process is using the ledger: wait until it has ended"),
    sqlite3.SQLITE_LOCKED: (MentallamaError, "another process is using the ledger: wait until it has ended"),
    sqlite3.SQLITE_READONLY: (
        WrongUse,
        "the ledger cannot be written: check the rights of the file and its folder",
    ),
    sqlite3.SQLITE_PERM: (
        WrongUse,
        "the ledger cannot be written: check the rights of the file and its folder",
    ),
    sqlite3.SQLITE_CANTOPEN: (
        WrongUse,
        "the ledger cannot be opened: check the rights of the file and its folder",
    ),
    sqlite3.SQLITE_NOTADB: (BadData, FOREIGN),
    sqlite3.SQLITE_CORRUPT: (BadData, DAMAGED),
}
"""What SQLite's primary result codes mean."""


@contextmanager
def sentences(path: Path) -> Iterator[None]:
    """SQLite's errors as sentences; one that is not in the table stays as it is."""
    try:
        yield
    except sqlite3.Error as fault:
        code = getattr(fault, "sqlite_errorcode", 0) & 0xFF
        if code not in FAULTS:
            raise
        kind, sentence = FAULTS[code]
        raise BadData(sentence, path) if kind is BadData else kind(f"{path}: {sentence}") from None


def open_file(path: Path) -> tuple[sqlite3.Connection, sqlite3.Connection]:
    """A connection to write by and one to read by; the file is made where there is none.

    Raises
    ------
    BadData
        The file holds something else, or was written by a newer version; it is left as it was.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # SQLite gives its other files the same rights
    except OSError:
        raise WrongUse(
            f"{path}: the ledger cannot be opened: check the rights of the file and its folder"
        ) from None
    writing = _connect(path)
    try:
        if not _is_ledger(writing, path):
            _make(writing, path)
        for setting in SETTINGS:
            writing.execute(setting)
        return writing, _connect(path)
    except BaseException:
        writing.close()
        raise


def _connect(path: Path) -> sqlite3.Connection:
    # one connection is used by one thread at a time; the ledger sees to it
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000}")
    return connection


def _is_ledger(file: sqlite3.Connection, path: Path) -> bool:
    """Whether the file is a ledger; False where it is empty, `BadData` where it is something else."""
    (application,), (version,) = (
        file.execute(f"PRAGMA {name}").fetchone() for name in ("application_id", "user_version")
    )
    (tables,) = file.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application == APPLICATION and version > VERSION:
        raise BadData("the ledger was written by a newer version of mentallama: use that one", path)
    if application != APPLICATION and (application or version or tables):
        raise BadData(FOREIGN, path)
    return bool(application == APPLICATION)


def _make(file: sqlite3.Connection, path: Path) -> None:
    file.execute("BEGIN IMMEDIATE")  # another process may be making it at this moment
    if not _is_ledger(file, path):
        for statement in TABLES:
            file.execute(statement)
    file.execute("COMMIT")
