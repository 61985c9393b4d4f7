"""The ledger: every finished call, in one SQLite file, committed before it counts.

One table holds the answers, one line per request hash; another holds the money, one line per run, so that forgetting a
person does not forget what was paid. The file is readable by its owner only.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from mentallama.errors import DataError, MentallamaError
from mentallama.llm_api.ledger.schema import DAMAGED_LEDGER, open_connections, translate_sqlite_errors
from mentallama.llm_api.types import Completion, Request
from mentallama.parallel import batched

COST_TOLERANCE = 1e-9
"""Sums of many small costs are this exact."""

QUERY_BATCH = 512
"""Hashes or rows looked up at a time."""

UPSERT_COMPLETION = """INSERT INTO completions (hash, example_id, model, state, text, finish_reason, reason, usage, cost, seconds,
        attempts, post_id, author, task, question, label, time)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (hash) DO UPDATE SET state = excluded.state, text = excluded.text,
        finish_reason = excluded.finish_reason, reason = excluded.reason, usage = excluded.usage,
        cost = excluded.cost, seconds = excluded.seconds, attempts = excluded.attempts, time = excluded.time
    WHERE completions.state = 'failed'"""
"""What was answered stays; what was set aside may still be answered."""

COMPLETION_COLUMNS = (
    "hash, example_id, model, state, text, finish_reason, reason, usage, cost, seconds, attempts"
)
TOTAL_SPENT_QUERY = "SELECT coalesce(sum(settled + uncertain + reserved), 0) FROM accounts WHERE id IS NOT ?"


class Ledger:
    """Answers by request hash, and what they cost. Made where there is none.

    Looking up and committing may be done from two threads; several processes may use one ledger.

    Raises
    ------
    BadData
        The file is damaged, no ledger, or one of a newer version.
    MentallamaError
        From every method: the disk is full, or another process does not let go.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        with translate_sqlite_errors(path):
            self._writing, self._reading = open_connections(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, at: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._reading.close()
        self._writing.close()

    # Answers

    def known_hashes(self, hashes: Sequence[str]) -> set[str]:
        """Those of the hashes that the ledger answers, refused and set aside included."""
        return {row[0] for part in batched(hashes, QUERY_BATCH) for row in self._select("hash", part)}

    def get_completions(self, hashes: Sequence[str]) -> dict[str, Completion]:
        """The answers there are, by hash."""
        return {
            row[0]: _completion_of_row(row)
            for part in batched(hashes, QUERY_BATCH)
            for row in self._select(COMPLETION_COLUMNS, part)
        }

    def iter_completions(self) -> Iterator[Completion]:
        """All answers in the order of their first commit; few are held at a time, and nothing is kept locked."""
        last = 0
        while rows := self._query(
            f"SELECT id, {COMPLETION_COLUMNS} FROM completions WHERE id > ? ORDER BY id LIMIT {QUERY_BATCH}",
            [last],
        ):
            yield from (_completion_of_row(row[1:]) for row in rows)
            last = rows[-1][0]

    def commit(
        self, done: Sequence[tuple[Request, Completion]], account: int | None = None, uncertain: float = 0.0
    ) -> float:
        """Keep finished calls in one transaction; on return they are on the disk.

        Their costs, and `uncertain` (spent perhaps, with no answer), are put down to the account; without one, a new
        account is opened. Returns what all other accounts have spent or hold.
        """
        now = time.time()
        rows = [_completion_row(call, answer, now) for call, answer in done]
        settled = sum(answer.cost or 0.0 for _, answer in done)
        with self._transaction() as file:
            file.executemany(UPSERT_COMPLETION, rows)
            if settled or uncertain:
                account = account or _insert_account(file)
                file.execute(
                    "UPDATE accounts SET settled = settled + ?, uncertain = uncertain + ? WHERE id = ?",
                    (settled, uncertain, account),
                )
            return _total_spent(file, account)

    def delete_failed(self) -> int:
        """Drop what was set aside, so that it is asked again; returns how many."""
        with self._transaction() as file:
            return file.execute("DELETE FROM completions WHERE state = 'failed'").rowcount

    def erase(self, ids: set[str]) -> int:
        """Remove every answer about a post, an example or an author; returns how many.

        Nothing of them is left in the file or in the log beside it. What they cost stays counted.
        """
        removed = 0
        with self._transaction() as file:
            for part in batched(sorted(ids), QUERY_BATCH):
                removed += file.execute(
                    f"DELETE FROM completions WHERE {_about_condition(part)}", part * 3
                ).rowcount
        with self._lock, translate_sqlite_errors(self.path):
            # deleted cells are zeroed, but pages that were split or merged may hold older copies in their gaps
            self._writing.execute("VACUUM")
            busy, _, _ = self._writing.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise MentallamaError(
                f"{self.path}: another process is reading the ledger: end it, then forget again"
            )
        return removed

    def hashes_about(self, ids: set[str]) -> set[str]:
        """The hashes of all calls about posts, examples or authors."""
        found: set[str] = set()
        for part in batched(sorted(ids), QUERY_BATCH):
            found.update(
                row[0]
                for row in self._query(
                    f"SELECT hash FROM completions WHERE {_about_condition(part)}", part * 3
                )
            )
        return found

    def check_integrity(self) -> None:
        """Look through the whole file; a fault is `BadData`."""
        if self._query("PRAGMA integrity_check", []) != [("ok",)]:
            raise DataError(DAMAGED_LEDGER, self.path)

    # Money

    def total_spent(self) -> float:
        """What all runs have spent, or may have: calls whose answer was lost, and what killed runs had in flight."""
        return float(self._query(TOTAL_SPENT_QUERY, [None])[0][0])

    def open_account(self) -> int:
        """A line for one run's money."""
        with self._transaction() as file:
            return _insert_account(file)

    def reserve(self, account: int, amount: float, budget: float | None) -> tuple[bool, float]:
        """Write down that up to `amount` will be in flight, unless it is more than before and exceeds `most` with all
        other accounts. Returns whether it was written, and what all other accounts have spent or hold.
        """
        with self._transaction() as file:
            others = _total_spent(file, account)
            settled, reserved = file.execute(
                "SELECT settled + uncertain, reserved FROM accounts WHERE id = ?", [account]
            ).fetchone()
            fits = (
                budget is None
                or amount <= reserved
                or others + settled + amount <= budget * (1 + 2 * COST_TOLERANCE)
            )
            if fits:
                file.execute("UPDATE accounts SET reserved = ? WHERE id = ?", (amount, account))
            return fits, others

    def release(self, account: int, uncertain: float) -> None:
        """A run has ended and holds nothing more; `uncertain` of what it had in flight may have been spent."""
        with self._transaction() as file:
            file.execute(
                "UPDATE accounts SET reserved = 0, uncertain = uncertain + ? WHERE id = ?",
                (uncertain, account),
            )
            file.execute("DELETE FROM accounts WHERE id = ? AND settled = 0 AND uncertain = 0", [account])

    # The file

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, translate_sqlite_errors(self.path):
            self._writing.execute("BEGIN IMMEDIATE")
            try:
                yield self._writing
                self._writing.execute("COMMIT")
            except BaseException:
                if self._writing.in_transaction:  # SQLite rolls back by itself when the disk is full
                    self._writing.execute("ROLLBACK")
                raise

    def _query(self, query: str, values: Sequence[object]) -> list[Any]:
        with translate_sqlite_errors(self.path):
            return self._reading.execute(query, values).fetchall()

    def _select(self, columns: str, hashes: list[str]) -> list[Any]:
        return self._query(f"SELECT {columns} FROM completions WHERE hash IN {_placeholders(hashes)}", hashes)


def _completion_row(call: Request, answer: Completion, now: float) -> tuple[object, ...]:
    """In the order of `UPSERT_COMPLETION`."""
    return (
        answer.hash,
        answer.example_id,
        answer.model,
        answer.state,
        answer.text,
        answer.finish_reason,
        answer.reason,
        json.dumps(answer.usage),
        answer.cost,
        answer.seconds,
        answer.attempts,
        call.post_id,
        call.author,
        call.task,
        call.question,
        call.label,
        now,
    )


def _completion_of_row(row: Sequence[Any]) -> Completion:
    """In the order of `COMPLETION_COLUMNS`."""
    values = dict(zip(COMPLETION_COLUMNS.split(", "), row, strict=True))
    return Completion(**values | {"usage": json.loads(values["usage"])})


def _about_condition(ids: Sequence[str]) -> str:
    """A condition; it needs the ids three times."""
    marks = _placeholders(ids)
    return f"post_id IN {marks} OR example_id IN {marks} OR author IN {marks}"


def _placeholders(values: Sequence[object]) -> str:
    return f"({','.join('?' * len(values))})"


def _total_spent(file: sqlite3.Connection, excluded_account: int | None) -> float:
    return float(file.execute(TOTAL_SPENT_QUERY, [excluded_account]).fetchone()[0])


def _insert_account(file: sqlite3.Connection) -> int:
    return int(file.execute("INSERT INTO accounts (started) VALUES (?)", [time.time()]).lastrowid or 0)
