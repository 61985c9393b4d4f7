"""The ledger: commits are durable, erased rows leave no trace, and every error has a message."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mentallama.errors import DataError, MentallamaError, UsageError
from mentallama.llm_api.ledger.ledger import Ledger
from mentallama.llm_api.ledger.schema import APPLICATION_ID
from mentallama.llm_api.types import Completion, CompletionState, Request
from tests.factories.ledgers import all_completions, assert_intact
from tests.factories.project import ROOT


def done(
    number: int,
    text: str = "some words",
    state: CompletionState = "answered",
    cost: float | None = None,
    author: str | None = None,
) -> tuple[Request, Completion]:
    key = f"{number:032x}"
    call = Request(
        hash=key,
        body={"model": "m", "messages": []},
        example_id=f"example-{number}",
        post_id=f"post-{number}",
        author=author,
        task="DR",
        question="q",
        label="yes",
    )
    answer = Completion(
        hash=key,
        example_id=call.example_id,
        model="m",
        state=state,
        text=text,
        finish_reason="stop",
        reason="HTTP 500" if state == "failed" else None,
        usage={"input": 5, "output": number},
        cost=cost,
        seconds=0.25,
        attempts=2,
    )
    return call, answer


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "ledger.sqlite"


def test_answers_come_back_as_they_were(path: Path) -> None:
    rows = [done(1), done(2, "é \0 \u202e 你", "refused"), done(3, "", "failed", cost=0.5)]
    with Ledger(path) as ledger:
        assert ledger.known_hashes([rows[0][0].hash]) == set()
        ledger.commit(rows)
        assert all_completions(ledger) == [answer for _, answer in rows]
        assert ledger.known_hashes([call.hash for call, _ in rows] + ["0" * 32]) == {
            call.hash for call, _ in rows
        }
    with Ledger(path) as ledger:
        hashes = [call.hash for call, _ in rows]
        assert ledger.get_completions([hashes[1], "0" * 32]) == {hashes[1]: rows[1][1]}
        assert_intact(ledger.path)


def test_many_completions_are_looked_up_in_batches(path: Path) -> None:
    rows = [done(number) for number in range(1500)]
    with Ledger(path) as ledger:
        ledger.commit(rows)
        assert ledger.known_hashes([call.hash for call, _ in rows[::2]]) == {
            call.hash for call, _ in rows[::2]
        }
        assert [answer.usage["output"] for answer in all_completions(ledger)] == list(range(1500))


def test_only_a_failed_completion_is_overwritten(path: Path) -> None:
    with Ledger(path) as ledger:
        ledger.commit([done(1, "first"), done(2, "", "failed")])
        ledger.commit([done(1, "second"), done(2, "at last")])
        ledger.commit([done(1, "", "failed")])
        assert [(answer.state, answer.text) for answer in all_completions(ledger)] == [
            ("answered", "first"),
            ("answered", "at last"),
        ]


def test_failed_completions_can_be_deleted(path: Path) -> None:
    rows = [done(1), done(2, state="failed"), done(3, state="refused")]
    with Ledger(path) as ledger:
        ledger.commit(rows)
        assert ledger.delete_failed() == 1
        assert ledger.known_hashes([call.hash for call, _ in rows]) == {rows[0][0].hash, rows[2][0].hash}
        assert ledger.delete_failed() == 0


def test_only_the_owner_can_read_the_file(path: Path) -> None:
    with Ledger(path) as ledger:
        ledger.commit([done(1)])
        files = sorted(path.parent.iterdir())
        assert [file.name for file in files] == ["ledger.sqlite", "ledger.sqlite-shm", "ledger.sqlite-wal"]
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


# Forgetting


def test_erased_completions_are_in_no_file(path: Path) -> None:
    """Long and short answers among others, so that pages are split and spill over."""
    rows = [
        done(
            number, marker(number) * (1 + number * 37 % 500), author="me" if number % 3 else "them", cost=1.0
        )
        for number in range(400)
    ]
    with Ledger(path) as ledger:
        for start in range(0, 400, 7):
            ledger.commit(rows[start : start + 7])
        gone = {number for number in range(400) if number % 3 == 0} | {1, 2}
        assert b"Marker0003X" in contents(path)
        assert ledger.erase({"them", "post-1", "example-2", "nobody"}) == len(gone)
        raw = contents(path)  # while it is open: the log beside it too
        assert [number for number in sorted(gone) if marker(number).encode() in raw] == []
        assert all(marker(number).encode() in raw for number in range(400) if number not in gone)
        assert b"them" not in raw
        assert ledger.total_spent() == 400.0  # it was paid all the same
        assert_intact(ledger.path)
    assert b"Marker0003X" not in contents(path)


def marker(number: int) -> str:
    return f"Marker{number:04d}X "


def contents(path: Path) -> bytes:
    return b"".join(file.read_bytes() for file in path.parent.iterdir())


def test_many_ids_can_be_erased_at_once(path: Path) -> None:
    with Ledger(path) as ledger:
        ledger.commit([done(number) for number in range(1200)])
        assert ledger.erase({f"post-{number}" for number in range(1100)}) == 1100
        assert len(all_completions(ledger)) == 100


# Money


def test_settled_and_uncertain_costs(path: Path) -> None:
    with Ledger(path) as ledger:
        account = ledger.open_account()
        assert ledger.reserve(account, 4.0, 10.0) == (True, 0.0)
        assert ledger.total_spent() == 4.0
        ledger.commit([done(1, cost=1.5), done(2)], account, uncertain=0.25)
        assert ledger.total_spent() == 5.75
        other = ledger.open_account()
        assert ledger.reserve(other, 4.5, 10.0) == (False, 5.75)
        assert ledger.reserve(other, 4.0, 10.0) == (True, 5.75)
        assert ledger.reserve(account, 4.5, None) == (True, 4.0)
        assert ledger.reserve(account, 4.4, 1.0) == (True, 4.0)  # less than before always goes
        ledger.release(account, uncertain=0.5)
        assert ledger.total_spent() == 1.5 + 0.25 + 0.5 + 4.0
        ledger.commit([done(3, cost=2.0)])  # a batch file's, without an account
        assert ledger.total_spent() == 8.25
    with Ledger(path) as ledger:
        assert ledger.total_spent() == 8.25  # the other ended without a word: what it held may be spent


def test_an_account_that_spent_nothing_is_deleted(path: Path) -> None:
    with Ledger(path) as ledger:
        ledger.release(ledger.open_account(), 0.0)
        assert sqlite3.connect(path).execute("SELECT count(*) FROM accounts").fetchone() == (0,)


# Faults


def test_a_text_file_is_refused_and_left_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "notes"
    path.write_text("these are notes, not a ledger\n" * 100)
    with pytest.raises(DataError, match="not a ledger"):
        Ledger(path)
    assert path.read_text().startswith("these are notes")


def test_another_database_is_refused_and_left_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE posts (text)")
    other.close()
    before = path.read_bytes()
    with pytest.raises(DataError, match="not a ledger"):
        Ledger(path)
    assert path.read_bytes() == before


def test_a_newer_ledger_is_left_alone(path: Path) -> None:
    Ledger(path).close()
    with sqlite3.connect(path) as file:
        assert file.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
        file.execute("PRAGMA user_version = 99")
    file.close()
    with pytest.raises(DataError, match="newer version"):
        Ledger(path)


def test_a_damaged_ledger_is_reported(path: Path) -> None:
    with Ledger(path) as ledger:
        ledger.commit([done(number, "words " * 200) for number in range(300)])
    raw = bytearray(path.read_bytes())
    raw[4096 * 3 : 4096 * 20] = os.urandom(4096 * 17)
    path.write_bytes(raw)
    with Ledger(path) as ledger, pytest.raises(DataError, match=r"ledger\.sqlite: the ledger is damaged"):
        ledger.get_completions([f"{number:032x}" for number in range(300)])


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE completions SET text = CAST(x'E28099FF2074686520706F7374' AS TEXT)",
        "UPDATE completions SET usage = '{'",
        "UPDATE completions SET usage = '[1]'",
        "UPDATE completions SET usage = x'00'",
        "UPDATE completions SET cost = 'much'",
        "UPDATE completions SET attempts = 'often'",
        "ALTER TABLE completions RENAME COLUMN text TO words",
        "DROP TABLE completions",
    ],
)
def test_damaged_rows_and_tables_are_one_sentence_without_their_text(damage: str, path: Path) -> None:
    with Ledger(path) as ledger:
        ledger.commit([done(1, "a secret about the post")])
    with sqlite3.connect(path) as file:
        file.execute(damage)
    file.close()
    with pytest.raises(DataError) as found, Ledger(path) as ledger:
        ledger.get_completions([f"{1:032x}"])
    assert str(found.value) == f"{path}: the ledger is damaged: restore a backup, or move the file away"
    assert found.value.__suppress_context__


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.95])
def test_a_truncated_ledger_is_reported(kept: float, path: Path) -> None:
    with Ledger(path) as ledger:
        ledger.commit([done(number, "words " * 200) for number in range(100)])
    raw = path.read_bytes()
    path.write_bytes(raw[: int(len(raw) * kept)])
    with pytest.raises(DataError, match="the ledger is damaged"), Ledger(path) as ledger:
        ledger.get_completions([f"{number:032x}" for number in range(100)])


def test_a_full_disk_loses_nothing_that_was_committed(path: Path) -> None:
    rows = [done(number, "words " * 200, cost=1.0) for number in range(300)]
    with Ledger(path) as ledger:
        ledger.commit(rows[:10])
        pages = ledger._writing.execute("PRAGMA page_count").fetchone()[0]
        ledger._writing.execute(f"PRAGMA max_page_count = {pages + 3}")
        with pytest.raises(MentallamaError, match="the disk is full; everything committed is kept") as found:
            ledger.commit(rows[10:])
        assert type(found.value) is MentallamaError
        ledger._writing.execute(f"PRAGMA max_page_count = {pages + 3000}")
        assert len(all_completions(ledger)) == 10
        assert ledger.total_spent() == 10.0
        ledger.commit(rows[10:])
        assert_intact(ledger.path)
        assert len(all_completions(ledger)) == 300


def test_a_ledger_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the ledger cannot be opened"):
        Ledger(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="the ledger cannot be opened"):
        Ledger(tmp_path / "file" / "ledger.sqlite")


def test_a_lock_held_by_another_process_is_reported(path: Path) -> None:
    with Ledger(path) as ledger:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        ledger._writing.execute("PRAGMA busy_timeout = 1")
        with pytest.raises(MentallamaError, match="another process is using the ledger"):
            ledger.commit([done(1)])
        other.execute("ROLLBACK")
        other.close()
        ledger.commit([done(1)])
        assert len(all_completions(ledger)) == 1


# Several at once

WRITES = """
import sys
from pathlib import Path
from tests.llm_api.ledger.test_ledger import done
from mentallama.llm_api.ledger.ledger import Ledger
with Ledger(Path(sys.argv[1])) as ledger:
    account = ledger.open_account()
    for start in range(int(sys.argv[2]), 10_000, 40):
        ledger.commit([done(number, cost=0.5) for number in range(start, min(start + 4, 400))], account)
        if start >= int(sys.argv[3]):
            print("there", flush=True)
            sys.stdin.read()
"""


def writer(path: Path, first: int, last: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITES, str(path), str(first), str(last)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_processes_create_and_share_a_ledger_that_survives_kill_9(path: Path) -> None:
    """Four processes begin at once with no file there, interleave 4-row commits, and are killed at row 200."""
    writers = [writer(path, first, 200) for first in (0, 4, 8, 12)]
    for each in writers:
        assert each.stdout is not None
        assert each.stdout.readline() == "there\n"
        each.send_signal(signal.SIGKILL)
        each.wait()
        for stream in (each.stdin, each.stdout):
            assert stream is not None
            stream.close()
    with Ledger(path) as ledger:
        assert_intact(ledger.path)
        numbers = sorted(answer.usage["output"] for answer in all_completions(ledger))
        expected = [start + first for start in range(0, 201, 40) for first in range(16)]
        assert numbers == sorted(expected)
        assert ledger.total_spent() == len(expected) * 0.5


def test_a_thread_commits_while_another_looks_up(path: Path) -> None:
    with Ledger(path) as ledger, ThreadPoolExecutor(1) as thread:
        hashes = [f"{number:032x}" for number in range(300)]
        commits = [thread.submit(ledger.commit, [done(number)]) for number in range(300)]
        seen = 0
        while not all(each.done() for each in commits):
            now = len(ledger.known_hashes(hashes))
            assert now >= seen
            seen = now
        assert ledger.known_hashes(hashes) == set(hashes)


VERSION_1 = """
    CREATE TABLE answers (
        id INTEGER PRIMARY KEY, hash TEXT NOT NULL UNIQUE, example_id TEXT NOT NULL, model TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('answered', 'refused', 'aside')), text TEXT NOT NULL,
        finish_reason TEXT, reason TEXT, usage TEXT NOT NULL, cost REAL, seconds REAL NOT NULL,
        attempts INTEGER NOT NULL, post_id TEXT NOT NULL, author TEXT, task TEXT NOT NULL, question TEXT NOT NULL,
        label TEXT, time REAL NOT NULL);
    CREATE TABLE accounts (
        id INTEGER PRIMARY KEY, started REAL NOT NULL, settled REAL NOT NULL DEFAULT 0,
        uncertain REAL NOT NULL DEFAULT 0, held REAL NOT NULL DEFAULT 0);
    INSERT INTO answers VALUES (3, 'a1', 'e1', 'm', 'answered', 'paid for', 'stop', NULL, '{"input": 5}', 0.5, 1, 1,
        'p1', 'someone', 'DR', 'q', 'yes', 1), (4, 'a2', 'e2', 'm', 'aside', '', NULL, 'HTTP 500', '{}', NULL, 1, 2,
        'p2', NULL, 'DR', 'q', 'no', 1), (9, 'a3', 'e3', 'm', 'refused', 'aside', NULL, 'refusal', '{}', NULL, 1, 1,
        'p3', NULL, 'DR', 'q', NULL, 1);
    INSERT INTO accounts VALUES (1, 1, 0.5, 0.25, 2.0);
"""


def test_a_ledger_of_version_1_keeps_its_completions_and_costs(path: Path) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as file:
        file.executescript(VERSION_1)
        file.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        file.execute("PRAGMA user_version = 1")
    file.close()
    for _ in range(2):  # migrated once, then opened as it is
        with Ledger(path) as ledger:
            stored = all_completions(ledger)
            assert [(each.hash, each.state, each.text) for each in stored] == [
                ("a1", "answered", "paid for"),
                ("a2", "failed", ""),
                ("a3", "refused", "aside"),
            ]
            assert (stored[0].cost, stored[0].usage, stored[1].attempts) == (0.5, {"input": 5}, 2)
            assert ledger.total_spent() == 2.75
            assert ledger.hashes_about({"someone", "p2", "e3"}) == {"a1", "a2", "a3"}
    with Ledger(path) as ledger:
        assert ledger.delete_failed() == 1
