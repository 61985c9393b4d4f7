"""Batches over processes: in order, lazily, with the same results whatever the number of processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from mentallama.errors import DataError
from mentallama.parallel import batched, map_batches, process_pool


def with_process(numbers: list[int]) -> tuple[int, int]:
    return sum(numbers), os.getpid()


def fails_at_three(number: int) -> int:
    if number == 3:
        raise DataError("no header", "a.csv", 3)
    return number


@pytest.mark.parametrize(
    ("size", "parts"),
    [
        (1, [[0], [1], [2], [3], [4]]),
        (2, [[0, 1], [2, 3], [4]]),
        (5, [[0, 1, 2, 3, 4]]),
        (9, [[0, 1, 2, 3, 4]]),
    ],
)
def test_a_stream_is_cut_into_lists(size: int, parts: list[list[int]]) -> None:
    assert list(batched(range(5), size)) == parts
    assert list(batched([], size)) == []


def test_two_processes_give_what_one_gives_in_the_same_order() -> None:
    work = list(batched(range(40), 3))
    one, two = (list(map_batches(with_process, work, jobs)) for jobs in (1, 2))
    assert [total for total, _ in one] == [total for total, _ in two] == [sum(part) for part in work]
    assert {process for _, process in one} == {os.getpid()}
    assert os.getpid() not in {process for _, process in two}


def test_one_batch_needs_no_other_process() -> None:
    assert list(map_batches(with_process, [[1, 2]], 4)) == [(3, os.getpid())]
    assert list(map_batches(with_process, [], 4)) == []


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_endless_stream_is_read_no_further_than_needed(jobs: int) -> None:
    taken = 0

    def endless() -> Iterator[int]:
        nonlocal taken
        while True:
            taken += 1
            yield taken

    results = map_batches(abs, endless(), jobs)
    assert list(islice(results, 10)) == list(range(1, 11))
    results.close()  # type: ignore[attr-defined]
    # ten results, and at most two batches a process ahead of them
    assert 10 <= taken <= 10 + 2 * jobs


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_fault_in_a_worker_arrives_as_it_was_after_what_came_before(jobs: int) -> None:
    results = map_batches(fails_at_three, range(6), jobs)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(DataError, match=r"a.csv, row 3: no header") as fault:
        next(results)
    assert fault.value.row == 3


def ignores_interrupts(_: int) -> bool:
    return signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_an_interrupt_reaches_no_worker_and_still_reaches_this_process() -> None:
    with process_pool(2) as pool:
        assert all(pool.map(ignores_interrupts, range(8)))
    assert not ignores_interrupts(0)


def test_a_script_is_not_run_again_in_its_workers(tmp_path: Path) -> None:
    """As in a notebook, a user's script needs no `if __name__ == "__main__"`."""
    script = tmp_path / "script.py"
    script.write_text(
        "print('runs')\n"
        "from mentallama.parallel import map_batches\n"
        "print(list(map_batches(abs, [-1, -2, -3], 2)))\n",
        encoding="utf-8",
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("runs\n[1, 2, 3]\n", "")
