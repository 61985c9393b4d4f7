"""The ledger's SQLite file: its tables, opening and migrating it, and messages for its errors."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mentallama.errors import DataError, MentallamaError, UsageError

APPLICATION_ID = 0x6D6C6C67
"""Marks the file as a ledger (`PRAGMA application_id`): "mllg"."""

SCHEMA_VERSION = 2
"""Version of the tables (`PRAGMA user_version`). Version 1 called them `answers` and `held`, and failures `aside`."""

BUSY_SECONDS = 60
"""Seconds that a process waits for another one that is writing."""

COLUMNS = (
    "id, hash, example_id, model, state, text, finish_reason, reason, usage, cost, seconds, attempts, post_id, author, "
    "task, question, label, time"
)

CREATE_COMPLETIONS = """CREATE TABLE completions (
        id INTEGER PRIMARY KEY, hash TEXT NOT NULL UNIQUE, example_id TEXT NOT NULL, model TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('answered', 'refused', 'failed')), text TEXT NOT NULL,
        finish_reason TEXT, reason TEXT, usage TEXT NOT NULL, cost REAL, seconds REAL NOT NULL,
        attempts INTEGER NOT NULL, post_id TEXT NOT NULL, author TEXT, task TEXT NOT NULL, question TEXT NOT NULL,
        label TEXT, time REAL NOT NULL)"""

SCHEMA = (
    CREATE_COMPLETIONS,
    """CREATE TABLE accounts (
        id INTEGER PRIMARY KEY, started REAL NOT NULL, settled REAL NOT NULL DEFAULT 0,
        uncertain REAL NOT NULL DEFAULT 0, reserved REAL NOT NULL DEFAULT 0)""",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)

MIGRATE_FROM_1 = (
    CREATE_COMPLETIONS,
    f"""INSERT INTO completions ({COLUMNS})
        SELECT {COLUMNS.replace("state", "replace(state, 'aside', 'failed')", 1)} FROM answers""",
    "DROP TABLE answers",
    "ALTER TABLE accounts RENAME COLUMN held TO reserved",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)

PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",  # a commit survives a power failure
)

DAMAGED_LEDGER = "the ledger is damaged: restore a backup, or move the file away"
NOT_A_LEDGER = "not a ledger: move the file away, or choose another file as ledger"

SQLITE_ERRORS: dict[int, tuple[type[MentallamaError], str]] = {
    sqlite3.SQLITE_FULL: (
        MentallamaError,
        "the disk is full; everything committed is kept: free some space and run the command again",
    ),
    sqlite3.SQLITE_IOERR: (
        MentallamaError,
        "the disk cannot be read or written; everything committed is kept",
    ),
    sqlite3.SQLITE_BUSY: (MentallamaError, "another process is using the ledger: wait until it has finished"),
    sqlite3.SQLITE_LOCKED: (
        MentallamaError,
        "another process is using the ledger: wait until it has finished",
    ),
    sqlite3.SQLITE_READONLY: (
        UsageError,
        "the ledger cannot be written: check the permissions of the file and its folder",
    ),
    sqlite3.SQLITE_PERM: (
        UsageError,
        "the ledger cannot be written: check the permissions of the file and its folder",
    ),
    sqlite3.SQLITE_CANTOPEN: (
        UsageError,
        "the ledger cannot be opened: check the permissions of the file and its folder",
    ),
    sqlite3.SQLITE_NOTADB: (DataError, NOT_A_LEDGER),
    sqlite3.SQLITE_CORRUPT: (DataError, DAMAGED_LEDGER),
    sqlite3.SQLITE_ERROR: (DataError, DAMAGED_LEDGER),  # a table or column is missing
    sqlite3.SQLITE_SCHEMA: (DataError, DAMAGED_LEDGER),
    sqlite3.SQLITE_MISMATCH: (DataError, DAMAGED_LEDGER),
    sqlite3.SQLITE_CONSTRAINT: (DataError, DAMAGED_LEDGER),
}
"""Exceptions and messages for SQLite's primary result codes."""


@contextmanager
def translate_sqlite_errors(path: Path) -> Iterator[None]:
    """Re-raise SQLite's errors, and those of reading damaged values, with a message for users.

    The error itself may repeat what an answer says of a post, so it is never shown.
    """
    try:
        yield
    except (sqlite3.Error, sqlite3.Warning) as error:
        kind, sentence = SQLITE_ERRORS.get(
            getattr(error, "sqlite_errorcode", 0) & 0xFF, (DataError, DAMAGED_LEDGER)
        )
        raise DataError(sentence, path) if kind is DataError else kind(f"{path}: {sentence}") from None
    except (ValueError, TypeError, OverflowError):  # not UTF-8, not JSON, another type than the column's
        raise DataError(DAMAGED_LEDGER, path) from None


def open_connections(path: Path) -> tuple[sqlite3.Connection, sqlite3.Connection]:
    """Open a connection for writing and one for reading; create the file if needed, and migrate an older version.

    Raises
    ------
    DataError
        The file is no ledger, or was written by a newer version; it is left unchanged.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(
            os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        )  # SQLite gives its other files the same permissions
    except OSError:
        raise UsageError(
            f"{path}: the ledger cannot be opened: check the permissions of the file and its folder"
        ) from None
    writing = _connect(path)
    try:
        if _schema_version(writing, path) < SCHEMA_VERSION:
            _update_schema(writing, path)
        for setting in PRAGMAS:
            writing.execute(setting)
        return writing, _connect(path)
    except BaseException:
        writing.close()
        raise


def _connect(path: Path) -> sqlite3.Connection:
    # `Ledger` uses each connection from one thread at a time
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000}")
    connection.execute("PRAGMA secure_delete = ON")
    return connection


def _schema_version(file: sqlite3.Connection, path: Path) -> int:
    """Version of the ledger's tables, 0 for an empty file; `DataError` if the file is no ledger or a newer one."""
    (application,), (version,) = (
        file.execute(f"PRAGMA {name}").fetchone() for name in ("application_id", "user_version")
    )
    (tables,) = file.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application == APPLICATION_ID and version > SCHEMA_VERSION:
        raise DataError("the ledger was written by a newer version of mentallama: use that version", path)
    if application != APPLICATION_ID and (application or version or tables):
        raise DataError(NOT_A_LEDGER, path)
    return int(version)


def _update_schema(file: sqlite3.Connection, path: Path) -> None:
    """Create the tables, or migrate those of an older version, in one transaction."""
    file.execute("BEGIN IMMEDIATE")
    version = _schema_version(file, path)  # another process may have created or migrated them in the meantime
    for statement in () if version == SCHEMA_VERSION else MIGRATE_FROM_1 if version else SCHEMA:
        file.execute(statement)
    file.execute("COMMIT")
