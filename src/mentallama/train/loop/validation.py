"""How well rows that are not learnt from are done: their loss, with less at once where memory is short, and labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch

from mentallama.errors import MentallamaError
from mentallama.metrics.classification import weighted_f1_of_labels
from mentallama.train.loop.batching import PackingBin, plan_micro_batches
from mentallama.train.loop.distributed import DistributedContext


def summed_loss(
    loss: Callable[[Sequence[PackingBin]], torch.Tensor],
    lengths: Sequence[int],
    token_budget: int,
    devices: DistributedContext,
) -> float:
    """The summed loss of all rows, over all devices; each row is a sequence of its own.

    Raises
    ------
    MentallamaError
        Not even the longest row alone fits into memory.
    """
    while True:
        passes = plan_micro_batches(range(len(lengths)), lengths, token_budget, devices.world_size)
        try:
            # All devices take part in every pass; one that has no rows counts for nothing.
            mine = sum(
                float(loss(each[devices.rank] or each[0])) * bool(each[devices.rank]) for each in passes
            )
            return devices.all_reduce_sum(mine)[0]
        except torch.OutOfMemoryError:
            if token_budget <= max(lengths) or devices.world_size > 1:
                raise MentallamaError(
                    f"out of memory while validation rows are measured with {token_budget} tokens at once; use a smaller "
                    "max_batch_tokens or max_tokens"
                ) from None
            token_budget //= 2


def weighted_f1_by_set(pairs: Mapping[str, Sequence[tuple[str, str]]]) -> dict[str, float]:
    """Weighted F1 in percent of each set's rows, given as gold label and what was told."""
    return {name: 100 * weighted_f1_of_labels(*zip(*own, strict=True)) for name, own in pairs.items()}
