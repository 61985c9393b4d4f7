"""Two thousand requests, a fifth of them faulty, and twenty-five kills: no paid answer is lost or paid for twice.

What is asked for twice is counted on the server's side; the key tells the server which start a request came from.
"""

from __future__ import annotations

import json
import random
import signal
import sqlite3
import subprocess
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mentallama.llm_api.ledger.ledger import Ledger
from tests.factories.ask_driver import ROOT, calls, command, environment
from tests.factories.endpoint_server import REFUSALS, server_process
from tests.factories.ledgers import all_completions, assert_intact

CALLS, KILLS, IN_FLIGHT = 2000, 25, 32
FAULTS = {
    "429": 0.03,
    "500": 0.04,
    "503": 0.03,
    "cut": 0.04,
    "malformed": 0.03,
    "hang": 0.003,
    "filter": 0.01,
    "refusal": 0.01,
    "filtered": 0.01,
}
"""Together 20 %."""
LINE = 68
"""Bytes of a line in the server's log, about."""
ENDS = {"ok", *REFUSALS}
"""What needs no second try."""


def start(url: str, path: Path, number: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command(url, path, CALLS, IN_FLIGHT, timeout=1.0), cwd=ROOT, env=environment(START=str(number))
    )


def look(path: Path, query: str) -> list[tuple[Any, ...]]:
    """Ask the ledger's file from outside as it is written; nothing where it has no tables yet."""
    if not path.exists() or not path.stat().st_size:
        return []
    file = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=60)
    try:
        return file.execute(query).fetchall()
    except sqlite3.OperationalError:
        return []
    finally:
        file.close()


def rows(path: Path) -> int:
    return sum(row[0] for row in look(path, "SELECT count(*) FROM completions"))


def committed(path: Path) -> set[str]:
    return {row[0] for row in look(path, "SELECT hash FROM completions")}


def size(log: Path) -> int:
    return log.stat().st_size if log.exists() else 0


def requests(log: Path) -> list[tuple[str, str, int]]:
    """What happened, hash, and the start it came from; in order. A line that is being written is left out."""
    lines = [json.loads(line) for line in log.read_bytes().split(b"\n")[:-1]] if log.exists() else []
    return [(line["what"], line["hash"], int(line["key"])) for line in lines]


def wait_for(reached: Callable[[], bool], run: subprocess.Popen[bytes]) -> None:
    """Until a run has come so far; its end before that is a fault of the test."""
    while not reached():
        assert run.poll() is None, f"the run ended with {run.returncode} before it could be killed"
        time.sleep(0.002)


@pytest.mark.slow
def test_kill_9_at_any_moment_loses_nothing_and_repeats_only_what_was_in_flight(tmp_path: Path) -> None:
    path, log, draw = tmp_path / "ledger.sqlite", tmp_path / "seen.jsonl", random.Random(11)
    options = [f"--fault={kind}={share}" for kind, share in FAULTS.items()]
    kept: list[set[str]] = []
    with server_process("--log", str(log), "--delay=0.01", "--seed=5", "--retry-after=0.02", *options) as url:
        for number in range(KILLS):
            at, more = size(log) if number % 3 == 0 else rows(path), draw.randint(0, 100)
            with start(url, path, number) as run:
                if number % 3 == 0:  # so many requests and answers after the server saw the first
                    wait_for(lambda: size(log) > at + more * LINE, run)  # noqa: B023
                else:  # so many answers after the first was committed
                    wait_for(lambda: rows(path) > at + more, run)  # noqa: B023
                run.send_signal(signal.SIGKILL)
            assert run.returncode == -signal.SIGKILL
            kept.append(committed(path))
        with start(url, path, KILLS) as run:
            assert run.wait() == 0
        wanted = {call.hash for call in calls(url, CALLS)}
    events = requests(log)

    with Ledger(path) as ledger:
        assert_intact(ledger.path)
        answers = {answer.hash: answer for answer in all_completions(ledger)}
    assert set(answers) == wanted
    assert all(answer.reason for answer in answers.values() if answer.state == "failed")
    states = Counter(answer.state for answer in answers.values())
    assert states["answered"] > 0.9 * CALLS
    assert states["refused"] > 20

    sends: dict[int, list[str]] = defaultdict(list)
    for what, digest, number in events:
        if what == "seen":
            sends[number].append(digest)
    for number, safe in enumerate(kept):
        later = {digest for after in range(number + 1, KILLS + 1) for digest in sends[after]}
        assert not later & safe, (
            f"{len(later & safe)} calls that the ledger answered at kill {number} were sent again"
        )
    assert (
        sum(repeated_after(events, kept, number) for number in range(KILLS)) > 0
    )  # kills did meet calls in flight
    assert all(repeated_after(events, kept, number) <= IN_FLIGHT for number in range(KILLS))

    faults = Counter(what for what, _, _ in events)
    shares = sum(count for what, count in faults.items() if what not in {"ok", "seen"}) / faults["seen"]
    assert 0.15 < shares < 0.25
    assert_counted(events, answers.keys())


def repeated_after(events: list[tuple[str, str, int]], kept: list[set[str]], number: int) -> int:
    """Calls of one start that were in flight, for the server or for the ledger, when it was killed, and were sent
    again. A call whose last try had failed was not in flight: it waited for its next try."""
    last = {digest: what for what, digest, start in events if start == number}
    flying = {digest for digest, what in last.items() if what in ENDS | {"seen"}} - kept[number]
    again = {digest for what, digest, start in events if start > number and what == "seen"}
    return len(flying & again)


def assert_counted(events: list[tuple[str, str, int]], hashes: object) -> None:
    """Every request is a call's first, follows a fault, or follows a kill: there is no other reason to send one."""
    last: dict[str, tuple[str, int]] = {}
    first = after_fault = after_kill = 0
    for what, digest, start in events:
        if what != "seen":
            if last[digest][1] == start:  # an answer to a dead run changes nothing
                last[digest] = what, start
            continue
        if digest not in last:
            first += 1
        elif last[digest][1] < start:
            after_kill += 1
        else:
            assert last[digest][0] not in ENDS, "a call was sent again though the server had answered it"
            after_fault += 1
        last[digest] = "seen", start
    assert first == CALLS == len(list(hashes))  # type: ignore[call-overload]
    assert after_fault > 100
    assert after_kill > 0
