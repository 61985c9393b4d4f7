"""Damaged inputs are read, or refused with one sentence; `python -m tests.fuzz.run` tries many more of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from mentallama.errors import DataError
from tests.fuzz.readers import CANARY, READERS, Reader
from tests.fuzz.run import fuzz

INPUTS_PER_READER = 15


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_the_seed_is_read_and_damaged_inputs_end_in_no_traceback(reader: Reader, tmp_path: Path) -> None:
    path = tmp_path / reader.file
    path.write_bytes(reader.seed)
    reader.read(path)
    outcome = fuzz(INPUTS_PER_READER, 7, [reader])
    assert outcome.faults == []
    assert outcome.read.total() + outcome.refused.total() == INPUTS_PER_READER


def test_a_traceback_and_a_message_with_a_post_are_faults() -> None:
    def crash(path: Path) -> object:
        raise KeyError(path)

    def leak(path: Path) -> object:
        raise DataError(f"no label in {CANARY}", path)

    readers = [Reader("crash", "x", b"abc".upper, crash), Reader("leak", "x", b"abc".upper, leak)]
    problems = {fault.reader: fault.problem for fault in fuzz(2, 7, readers).faults}
    assert problems["crash"].startswith("KeyError at ")
    assert problems["leak"] == "the message shows a post"


def test_the_same_seed_gives_the_same_inputs() -> None:
    seen: list[bytes] = []
    reader = Reader("any", "x", b"label: yes".upper, lambda path: seen.append(path.read_bytes()))
    fuzz(20, 7, [reader])
    fuzz(20, 7, [reader])
    fuzz(20, 8, [reader])
    assert seen[:20] == seen[20:40] != seen[40:]
