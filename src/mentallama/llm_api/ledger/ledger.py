"""The ledger: all completions in one SQLite file, committed before they count.

One table holds completions, one row per request hash; another holds costs, one row per run, so that erasing a person
does not erase what was paid. Only the file's owner can read it.
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

from mentallama.errors import MentallamaError
from mentallama.llm_api.ledger.schema import open_connections, translate_sqlite_errors
from mentallama.llm_api.types import Completion, Request
from mentallama.parallel import batched

COST_TOLERANCE = 1e-9
"""Relative rounding error allowed in sums of many small costs."""

QUERY_BATCH = 512
"""Hashes or rows per query."""

UPSERT_COMPLETION = """INSERT INTO completions (hash, example_id, model, state, text, finish_reason, reason, usage,
        cost, seconds, attempts, post_id, author, task, question, label, time)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (hash) DO UPDATE SET state = excluded.state, text = excluded.text,
        finish_reason = excluded.finish_reason, reason = excluded.reason, usage = excluded.usage,
        cost = excluded.cost, seconds = excluded.seconds, attempts = excluded.attempts, time = excluded.time
    WHERE completions.state = 'failed'"""
"""A completion is never overwritten, except one that failed."""

COMPLETION_COLUMNS = (
    "hash, example_id, model, state, text, finish_reason, reason, usage, cost, seconds, attempts"
)
TOTAL_SPENT_QUERY = "SELECT coalesce(sum(settled + uncertain + reserved), 0) FROM accounts WHERE id IS NOT ?"


class Ledger:
    """Completions by request hash, and their costs. The file is created if it does not exist.

    One thread may look up while another commits; several processes may share a ledger.

    Raises
    ------
    DataError
        The file is damaged, no ledger, or of a newer version.
    MentallamaError
        From every method: the disk is full, or another process holds the lock for too long.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        with translate_sqlite_errors(path):
            self._writing, self._reading = open_connections(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._reading.close()
        self._writing.close()

    # Completions

    def known_hashes(self, hashes: Sequence[str]) -> set[str]:
        """Return those hashes that have a completion, refused and failed ones included."""
        return {row[0] for batch in batched(hashes, QUERY_BATCH) for row in self._select("hash", batch)}

    def get_completions(self, hashes: Sequence[str]) -> dict[str, Completion]:
        """Return the completions of those hashes that have one."""
        rows = [
            row for batch in batched(hashes, QUERY_BATCH) for row in self._select(COMPLETION_COLUMNS, batch)
        ]
        with translate_sqlite_errors(self.path):
            return {row[0]: _completion_of_row(row) for row in rows}

    def commit(
        self,
        completed: Sequence[tuple[Request, Completion]],
        account: int | None = None,
        uncertain: float = 0.0,
    ) -> float:
        """Store completions in one transaction; on return they are on disk.

        Their costs, and `uncertain` (maybe billed, without a completion), are added to the account; without one, a new
        account is opened. Returns what all other accounts have spent or reserved.
        """
        now = time.time()
        rows = [_completion_row(request, completion, now) for request, completion in completed]
        settled = sum(completion.cost or 0.0 for _, completion in completed)
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
        """Delete failed completions, so that their requests are sent again; return their number."""
        with self._transaction() as file:
            return file.execute("DELETE FROM completions WHERE state = 'failed'").rowcount

    def erase(self, ids: set[str]) -> int:
        """Delete all completions about posts, examples or authors; return their number.

        No trace of them is left in the file or in its write-ahead log. Their costs stay counted.
        """
        removed = 0
        with self._transaction() as file:
            for batch in batched(sorted(ids), QUERY_BATCH):
                deletion = f"DELETE FROM completions WHERE {_about_condition(batch)}"
                removed += file.execute(deletion, batch * 3).rowcount
        with self._lock, translate_sqlite_errors(self.path):
            # secure_delete zeroes deleted cells, but pages that were split or merged may keep older copies
            self._writing.execute("VACUUM")
            busy, _, _ = self._writing.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise MentallamaError(
                f"{self.path}: another process is reading the ledger: stop it, then run the command again"
            )
        return removed

    def hashes_about(self, ids: set[str]) -> set[str]:
        """Hashes of all requests about posts, examples or authors."""
        hashes: set[str] = set()
        for batch in batched(sorted(ids), QUERY_BATCH):
            query = f"SELECT hash FROM completions WHERE {_about_condition(batch)}"
            hashes.update(row[0] for row in self._query(query, batch * 3))
        return hashes

    # Costs

    def total_spent(self) -> float:
        """Certain and possible cost of all runs, with attempts without a completion and reservations of killed runs."""
        with translate_sqlite_errors(self.path):
            return float(self._query(TOTAL_SPENT_QUERY, [None])[0][0])

    def open_account(self) -> int:
        """Open an account for one run and return its id."""
        with self._transaction() as file:
            return _insert_account(file)

    def reserve(self, account: int, amount: float, budget: float | None) -> tuple[bool, float]:
        """Record that requests in flight will cost up to `amount`.

        Refused if that raises the reservation and exceeds `budget` together with all accounts. Returns whether it was
        recorded, and what all other accounts have spent or reserved.
        """
        with self._transaction() as file:
            others = _total_spent(file, account)
            settled, reserved = file.execute(
                "SELECT settled + uncertain, reserved FROM accounts WHERE id = ?", [account]
            ).fetchone()
            # twice the tolerance of `BudgetAccount.fits`, so that nothing it allows is refused here
            limit = float("inf") if budget is None else budget * (1 + 2 * COST_TOLERANCE)
            fits = amount <= reserved or others + settled + amount <= limit
            if fits:
                file.execute("UPDATE accounts SET reserved = ? WHERE id = ?", (amount, account))
            return fits, others

    def release(self, account: int, uncertain: float) -> None:
        """Close a run's account: drop its reservation, of which `uncertain` may have been spent."""
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
                if self._writing.in_transaction:  # SQLite has already rolled back if the disk is full
                    self._writing.execute("ROLLBACK")
                raise

    def _query(self, query: str, values: Sequence[object]) -> list[Any]:
        with translate_sqlite_errors(self.path):
            return self._reading.execute(query, values).fetchall()

    def _select(self, columns: str, hashes: list[str]) -> list[Any]:
        return self._query(f"SELECT {columns} FROM completions WHERE hash IN {_placeholders(hashes)}", hashes)


def _completion_row(request: Request, completion: Completion, now: float) -> tuple[object, ...]:
    """Values in the order of `UPSERT_COMPLETION`."""
    return (
        completion.hash,
        completion.example_id,
        completion.model,
        completion.state,
        completion.text,
        completion.finish_reason,
        completion.reason,
        json.dumps(completion.usage),
        completion.cost,
        completion.seconds,
        completion.attempts,
        request.post_id,
        request.author,
        request.task,
        request.question,
        request.label,
        now,
    )


def _completion_of_row(row: Sequence[Any]) -> Completion:
    """Completion from values in the order of `COMPLETION_COLUMNS`."""
    values = dict(zip(COMPLETION_COLUMNS.split(", "), row, strict=True))
    return Completion(**values | {"usage": json.loads(values["usage"])})


def _about_condition(ids: Sequence[str]) -> str:
    """SQL condition that takes the ids three times as parameters."""
    values = _placeholders(ids)
    return f"post_id IN {values} OR example_id IN {values} OR author IN {values}"


def _placeholders(values: Sequence[object]) -> str:
    return f"({','.join('?' * len(values))})"


def _total_spent(file: sqlite3.Connection, excluded_account: int | None) -> float:
    return float(file.execute(TOTAL_SPENT_QUERY, [excluded_account]).fetchone()[0])


def _insert_account(file: sqlite3.Connection) -> int:
    return int(file.execute("INSERT INTO accounts (started) VALUES (?)", [time.time()]).lastrowid or 0)
