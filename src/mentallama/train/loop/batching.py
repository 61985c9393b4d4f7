"""Which rows an optimiser step sees, and in which passes: decided by numbers alone, so that a resumed training, and one
on more devices, sees the same rows in the same steps.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

Bin = tuple[int, ...]
"""Places of rows that stand behind one another in one sequence; one row alone where nothing is packed."""
Pass = tuple[tuple[Bin, ...], ...]
"""One forward and backward pass: for each device its bins, which are padded to one length."""

POOL = 16
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
    pool = POOL * batch_size
    steps = []
    for start in range(0, len(order), pool):
        alike = sorted(order[start : start + pool], key=lengths.__getitem__)
        steps += [tuple(alike[at : at + batch_size]) for at in range(0, len(alike), batch_size)]
    chance.shuffle(steps)
    return steps


def plan_passes(
    rows: Sequence[int], lengths: Sequence[int], room: int, devices: int = 1, capacity: int | None = None
) -> list[Pass]:
    """Divide a step's rows among passes and devices.

    Parameters
    ----------
    room
        Tokens, padding counted, that one device holds in a pass. A row that is longer goes alone.
    capacity
        Pack rows into sequences of so many tokens (first fit, longest first); None: every row a sequence of its own.
    """
    bins: list[Bin] = [(row,) for row in rows] if capacity is None else _pack(rows, lengths, capacity)
    long = {each: sum(lengths[row] for row in each) for each in bins}
    bins.sort(key=lambda each: (-long[each], each))
    parts = _cut(bins, long, room, devices)
    return [tuple(tuple(part[device::devices]) for device in range(devices)) for part in parts]


def _cut(bins: list[Bin], long: dict[Bin, int], room: int, devices: int) -> Iterator[list[Bin]]:
    """Neighbours that fit together, the longest first."""
    start = 0
    while start < len(bins):
        count = devices * max(1, room // max(1, long[bins[start]]))
        yield bins[start : start + count]
        start += count


def _pack(rows: Sequence[int], lengths: Sequence[int], capacity: int) -> list[Bin]:
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
