"""Answers on disk while a table is being answered, so that memory stays flat and a killed command repeats no question.

A SQLite file in the folder beside the output. An answer is found by the hash of its text and its question; the text
itself is not stored. The folder is deleted once every question has an answer and the output is written.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from mentallama.analysts.answer import Answer
from mentallama.errors import MentallamaError, UsageError
from mentallama.files.manifest import FileDigest
from mentallama.tasks import QuestionKey

STORE_FILE = "answers.sqlite3"

COMMIT_SECONDS = 1.0
"""Seconds of answers that a kill may lose."""

_SCHEMA = """
    CREATE TABLE IF NOT EXISTS answers (
        text BLOB, task TEXT, question TEXT, label TEXT, probability REAL, probabilities TEXT, status TEXT, reason TEXT,
        explanation TEXT, evidence TEXT, PRIMARY KEY (text, task, question)) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT);
"""


_to_json = json.JSONEncoder(ensure_ascii=False).encode  # json.dumps makes an encoder for each value

_INSERT = "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


@dataclass(frozen=True)
class StoredAnswer:
    """An answer without its post; `text` is the `text_hash` of the post, `probabilities` and `evidence` are JSON."""

    text: bytes
    task: str
    question: str
    label: str | None
    probability: float | None
    probabilities: str
    status: str
    reason: str | None
    explanation: str
    evidence: str

    @classmethod
    def of(cls, answer: Answer) -> StoredAnswer:
        return cls(
            text_hash(answer.post),
            answer.task,
            answer.question,
            answer.label,
            answer.probability,
            _to_json(answer.probabilities),
            answer.status,
            answer.reason,
            answer.explanation,
            _to_json([dict(quotation) for quotation in answer.evidence]),
        )


def text_hash(text: str) -> bytes:
    """16 bytes that stand for a text."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


class AnswerStore:
    """The answers of one model with one set of settings, which `identity` stands for; continued if the file exists.

    Raises
    ------
    UsageError
        The file holds the answers of another model or of other settings.
    OSError
        From every method: the disk is full.
    MentallamaError
        From every method: the file is damaged.
    """

    def __init__(self, path: Path, identity: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._path, self._clock = path, clock
        with self._errors_named():
            self._file = sqlite3.connect(path, isolation_level=None)
            self._file.execute("PRAGMA journal_mode = WAL")
            self._file.execute(
                "PRAGMA synchronous = NORMAL"
            )  # a power failure may lose the last commits, no more
            self._file.executescript(_SCHEMA)
        if self._fact("identity") not in {None, identity}:
            self._file.close()
            raise UsageError(
                f"{path.parent}: this folder holds answers of another model, other settings or another version; give "
                "those again to go on with them, choose another --out, or delete the folder"
            )
        self._set_fact("identity", identity)
        self._committed = clock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self.commit()
        except (OSError, MentallamaError):
            if exc is None:  # else the first error is the one to report
                raise
        finally:
            self._file.close()

    def add(self, answer: StoredAnswer) -> None:
        """Store an answer; it is on disk after `COMMIT_SECONDS`, or when the store is closed."""
        with self._errors_named():
            if not self._file.in_transaction:
                self._file.execute("BEGIN")
            self._file.execute(_INSERT, astuple(answer))
        if self._clock() - self._committed >= COMMIT_SECONDS:
            self.commit()

    def commit(self) -> None:
        """Bring everything to the disk."""
        with self._errors_named():
            if self._file.in_transaction:
                self._file.execute("COMMIT")
        self._committed = self._clock()

    def answers(self, text: bytes) -> dict[QuestionKey, StoredAnswer]:
        """The answers about a text, by question."""
        with self._errors_named():
            rows = self._file.execute("SELECT * FROM answers WHERE text = ?", (text,)).fetchall()
        return {(row[1], row[2]): StoredAnswer(*row) for row in rows}

    def answered(self, text: bytes) -> set[QuestionKey]:
        """The questions about a text that have an answer."""
        with self._errors_named():
            return set(self._file.execute("SELECT task, question FROM answers WHERE text = ?", (text,)))

    def forget_failed(self) -> int:
        """Delete the answers of failed calls, so that they are asked again; returns their number."""
        with self._errors_named():
            return self._file.execute("DELETE FROM answers WHERE status = 'failed'").rowcount

    @property
    def has_answers(self) -> bool:
        """Whether anything is stored."""
        return self._exists("SELECT 1 FROM answers LIMIT 1")

    @property
    def has_readings(self) -> bool:
        """Whether the model answered anything: not all was skipped, and not all calls failed."""
        return self._exists("SELECT 1 FROM answers WHERE status NOT IN ('skipped', 'failed') LIMIT 1")

    def _exists(self, query: str) -> bool:
        with self._errors_named():
            return self._file.execute(query).fetchone() is not None

    def failure_reasons(self) -> list[str]:
        """The reasons of some of the failed calls."""
        with self._errors_named():
            rows = self._file.execute("SELECT reason FROM answers WHERE status = 'failed' LIMIT 1000")
            return [str(reason) for (reason,) in rows]

    def is_first_identifier(self, identifier: str) -> bool:
        """Whether an identifier has not been passed before, since `forget_identifiers`."""
        with self._errors_named():
            insert = "INSERT OR IGNORE INTO identifiers VALUES (?)"
            return self._file.execute(insert, (text_hash(identifier),)).rowcount == 1

    def forget_identifiers(self) -> None:
        """Begin with no identifiers; they are not kept when the store is closed."""
        with self._errors_named():
            self._file.executescript(
                "DROP TABLE IF EXISTS temp.identifiers; CREATE TEMP TABLE identifiers (text BLOB PRIMARY KEY)"
            )

    @property
    def output(self) -> FileDigest | None:
        """The file that was written from these answers."""
        value = self._fact("output")
        return None if value is None else FileDigest.model_validate_json(value)

    @output.setter
    def output(self, digest: FileDigest) -> None:
        self._set_fact("output", digest.model_dump_json())

    def _fact(self, name: str) -> str | None:
        with self._errors_named():
            row = self._file.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def _set_fact(self, name: str, value: str) -> None:
        with self._errors_named():
            self._file.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    @contextmanager
    def _errors_named(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if code == sqlite3.SQLITE_FULL:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path)) from None
            if code == sqlite3.SQLITE_IOERR:
                raise OSError(errno.EIO, os.strerror(errno.EIO), str(self._path)) from None
            if code in {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM}:
                raise OSError(errno.EACCES, os.strerror(errno.EACCES), str(self._path)) from None
            raise MentallamaError(
                f"{self._path}: the answers so far cannot be read ({type(error).__name__}); delete the folder "
                f"{self._path.parent} and start again"
            ) from None
