"""Which rows an optimiser step sees, and in which passes: decided by numbers alone, so that a resumed training, and one
on more devices, sees the same rows in the same steps.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

PackingBin = tuple[int, ...]
"""Places of rows that stand behind one another in one sequence; one row alone where nothing is packed."""
MicroBatch = tuple[tuple[PackingBin, ...], ...]
"""One forward and backward pass: for each device its bins, which are padded to one length."""

STEPS_PER_LENGTH_POOL = 16
"""Steps whose rows are sorted by length together: enough for even lengths, few enough for chance."""


def plan_steps(lengths: Sequence[int], batch_size: int, seed: int, epoch: int) -> list[tuple[int, ...]]:
    """The rows of each step of an epoch: every row once, rows of like length together, steps in random order.

    Parameters
    ----------
    lengths
        Tokens of each row.
    batch_size
        Rows of a step; the epoch's last step may have fewer.
    """
    chance = random.Random(f"{seed} {epoch}")
    order = list(range(len(lengths)))
    chance.shuffle(order)
    pool = STEPS_PER_LENGTH_POOL * batch_size
    steps = []
    for start in range(0, len(order), pool):
        alike = sorted(order[start : start + pool], key=lengths.__getitem__)
        steps += [tuple(alike[at : at + batch_size]) for at in range(0, len(alike), batch_size)]
    chance.shuffle(steps)
    return steps


def plan_micro_batches(
    rows: Sequence[int],
    lengths: Sequence[int],
    token_budget: int,
    world_size: int = 1,
    packed_length: int | None = None,
) -> list[MicroBatch]:
    """Divide a step's rows among passes and devices.

    Parameters
    ----------
    room
        Tokens, padding counted, that one device holds in a pass. A row that is longer goes alone.
    capacity
        Pack rows into sequences of so many tokens (first fit, longest first); None: every row a sequence of its own.
    """
    bins: list[PackingBin] = (
        [(row,) for row in rows] if packed_length is None else _pack(rows, lengths, packed_length)
    )
    long = {each: sum(lengths[row] for row in each) for each in bins}
    bins.sort(key=lambda each: (-long[each], each))
    parts = _group_by_budget(bins, long, token_budget, world_size)
    return [tuple(tuple(part[device::world_size]) for device in range(world_size)) for part in parts]


def _group_by_budget(
    bins: list[PackingBin], bin_lengths: dict[PackingBin, int], room: int, devices: int
) -> Iterator[list[PackingBin]]:
    """Neighbours that fit together, the longest first."""
    start = 0
    while start < len(bins):
        count = devices * max(1, room // max(1, bin_lengths[bins[start]]))
        yield bins[start : start + count]
        start += count


def _pack(rows: Sequence[int], lengths: Sequence[int], capacity: int) -> list[PackingBin]:
    """First fit decreasing: at most 11/9 of the fewest bins (Johnson 1973)."""
    bins: list[list[int]] = []
    left: list[int] = []
    for row in sorted(rows, key=lambda row: (-lengths[row], row)):
        at = next((at for at, free in enumerate(left) if free >= lengths[row]), None)
        if at is None:
            bins.append([row])
            left.append(capacity - lengths[row])
        else:
            bins[at].append(row)
            left[at] -= lengths[row]
    return [tuple(each) for each in bins]
