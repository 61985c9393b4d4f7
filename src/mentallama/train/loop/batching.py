"""Plans of an epoch: the rows of each optimiser step, and their split into micro-batches.

The plan depends on lengths, seed and epoch alone, so that a resumed run, or one on more devices, sees the same rows in
the same steps.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

PackingBin = tuple[int, ...]
"""Indices of the rows that are concatenated into one sequence; a single row unless rows are packed."""

MicroBatch = tuple[tuple[PackingBin, ...], ...]
"""One forward and backward pass: for each device the bins that it computes, padded to one length."""

STEPS_PER_LENGTH_POOL = 16
"""Steps whose rows are sorted by length together: enough for little padding, few enough to stay random."""


def plan_steps(lengths: Sequence[int], batch_size: int, seed: int, epoch: int) -> list[tuple[int, ...]]:
    """Plan an epoch: every row once, rows of similar length in one step, steps in random order.

    Parameters
    ----------
    lengths
        Tokens of each row.
    batch_size
        Rows per step; one step of an epoch may have fewer.

    Returns
    -------
    list of tuple of int
        The row indices of each step.
    """
    rng = random.Random(f"{seed} {epoch}")
    order = list(range(len(lengths)))
    rng.shuffle(order)
    pool = STEPS_PER_LENGTH_POOL * batch_size
    steps = []
    for start in range(0, len(order), pool):
        by_length = sorted(order[start : start + pool], key=lengths.__getitem__)
        steps += [tuple(by_length[i : i + batch_size]) for i in range(0, len(by_length), batch_size)]
    rng.shuffle(steps)
    return steps


def plan_micro_batches(
    rows: Sequence[int],
    lengths: Sequence[int],
    token_budget: int,
    world_size: int = 1,
    packed_length: int | None = None,
) -> list[MicroBatch]:
    """Split a step's rows into micro-batches, and each of these over the devices.

    Parameters
    ----------
    token_budget
        Tokens, padding included, of one micro-batch on one device. A longer row is a micro-batch by itself.
    packed_length
        Pack rows into sequences of this many tokens (first fit, longest first); None: every row is a sequence.
    """
    bins: list[PackingBin] = (
        [(row,) for row in rows] if packed_length is None else _pack(rows, lengths, packed_length)
    )
    bin_lengths = {rows_of_bin: sum(lengths[row] for row in rows_of_bin) for rows_of_bin in bins}
    bins.sort(key=lambda rows_of_bin: (-bin_lengths[rows_of_bin], rows_of_bin))
    groups = _group_by_budget(bins, bin_lengths, token_budget, world_size)
    return [tuple(tuple(group[rank::world_size]) for rank in range(world_size)) for group in groups]


def _group_by_budget(
    bins: list[PackingBin], bin_lengths: dict[PackingBin, int], token_budget: int, world_size: int
) -> Iterator[list[PackingBin]]:
    """Consecutive bins that fit the budget when padded to the longest, which comes first."""
    start = 0
    while start < len(bins):
        count = world_size * max(1, token_budget // max(1, bin_lengths[bins[start]]))
        yield bins[start : start + count]
        start += count


def _pack(rows: Sequence[int], lengths: Sequence[int], capacity: int) -> list[PackingBin]:
    """First fit decreasing: at most 11/9 of the fewest bins (Johnson 1973)."""
    bins: list[list[int]] = []
    free: list[int] = []
    for row in sorted(rows, key=lambda row: (-lengths[row], row)):
        fitting = next((i for i, tokens in enumerate(free) if tokens >= lengths[row]), None)
        if fitting is None:
            bins.append([row])
            free.append(capacity - lengths[row])
        else:
            bins[fitting].append(row)
            free[fitting] -= lengths[row]
    return [tuple(rows_of_bin) for rows_of_bin in bins]
