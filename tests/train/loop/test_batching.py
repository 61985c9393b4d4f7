"""Batching: every row once per epoch, however steps are split into micro-batches and over devices."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mentallama.train.loop.batching import plan_micro_batches, plan_steps

LENGTHS = st.lists(st.integers(1, 60), min_size=1, max_size=90)


@given(LENGTHS, st.integers(1, 20), st.integers(0, 5))
def test_an_epoch_holds_every_row_once(lengths: list[int], batch: int, epoch: int) -> None:
    steps = plan_steps(lengths, batch, 7, epoch)
    assert sorted(row for step in steps for row in step) == list(range(len(lengths)))
    assert len(steps) == -(-len(lengths) // batch)
    assert all(len(step) <= batch for step in steps)


def test_epochs_differ_and_are_reproducible() -> None:
    lengths = list(range(1, 65))
    assert plan_steps(lengths, 4, 7, 0) == plan_steps(lengths, 4, 7, 0)
    assert plan_steps(lengths, 4, 7, 0) != plan_steps(lengths, 4, 7, 1)
    assert plan_steps(lengths, 4, 7, 0) != plan_steps(lengths, 4, 8, 0)


@given(LENGTHS, st.integers(1, 200), st.integers(1, 3))
def test_micro_batches_hold_every_row_once_within_the_token_budget(
    lengths: list[int], budget: int, devices: int
) -> None:
    batches = plan_micro_batches(range(len(lengths)), lengths, budget, devices)
    rows = [row for batch in batches for part in batch for packed in part for row in packed]
    assert sorted(rows) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == devices
        assert batch[0]  # the first device always has rows; the others repeat them if they have none
        for part in batch:
            longest = max((lengths[row] for (row,) in part), default=0)
            assert len(part) <= 1 or len(part) * longest <= budget


@given(LENGTHS, st.integers(60, 200))
def test_packed_sequences_never_exceed_the_capacity(lengths: list[int], capacity: int) -> None:
    batches = plan_micro_batches(range(len(lengths)), lengths, 400, 1, capacity)
    bins = [packed for batch in batches for part in batch for packed in part]
    assert sorted(row for packed in bins for row in packed) == list(range(len(lengths)))
    assert all(sum(lengths[row] for row in packed) <= capacity for packed in bins)
    assert len(bins) <= 11 / 9 * -(-sum(lengths) // capacity) * 2 + 1


def test_first_fit_by_hand() -> None:
    # longest first: 7 | 7+3? no, 10 holds 7 and 3; 5 and 4 fit together
    assert plan_micro_batches(range(4), [3, 7, 5, 4], 10, 1, 10) == [(((1, 0),),), (((2, 3),),)]
