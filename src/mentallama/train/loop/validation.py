"""How well rows that are not learnt from are done: their loss, with less at once where memory is short, and labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from sklearn.metrics import f1_score

from mentallama.errors import MentallamaError
from mentallama.train.loop.batching import Bin, plan_passes
from mentallama.train.loop.distributed import Devices


def summed_loss(
    loss: Callable[[Sequence[Bin]], torch.Tensor], lengths: Sequence[int], room: int, devices: Devices
) -> float:
    """The summed loss of all rows, over all devices; each row is a sequence of its own.

    Raises
    ------
    MentallamaError
        Not even the longest row alone fits into memory.
    """
    while True:
        passes = plan_passes(range(len(lengths)), lengths, room, devices.world)
        try:
            # All devices take part in every pass; one that has no rows counts for nothing.
            mine = sum(
                float(loss(each[devices.rank] or each[0])) * bool(each[devices.rank]) for each in passes
            )
            return devices.total(mine)[0]
        except torch.OutOfMemoryError:
            if room <= max(lengths) or devices.world > 1:
                raise MentallamaError(
                    f"out of memory while validation rows are measured with {room} tokens at once; use a smaller "
                    "tokens_at_once or max_tokens"
                ) from None
            room //= 2


def weighted_f1_by_set(pairs: Mapping[str, Sequence[tuple[str, str]]]) -> dict[str, float]:
    """Weighted F1 in percent of each set's rows, given as gold label and what was told."""
    return {
        name: 100 * float(f1_score(*zip(*own, strict=True), average="weighted", zero_division=0))
        for name, own in pairs.items()
    }
