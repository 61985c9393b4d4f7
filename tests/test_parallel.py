"""Batches over processes: in order, lazily, with the same results whatever the number of processes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice

import pytest

from mentallama.errors import DataError
from mentallama.parallel import batched, map_batches


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
