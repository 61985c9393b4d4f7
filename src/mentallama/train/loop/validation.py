"""Loss and weighted F1 on validation rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch

from mentallama.analysts.inference.batching import torch_errors
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
    """Loss summed over all rows and devices, without packing; the token budget is halved on out-of-memory.

    Raises
    ------
    MentallamaError
        The longest row does not fit into memory by itself; or out of memory on several devices, where the budget is
        fixed.
    """
    while True:
        micro_batches = plan_micro_batches(range(len(lengths)), lengths, token_budget, devices.world_size)
        try:
            with torch_errors():
                # Every device takes part in every pass; one without rows repeats another's and counts it as 0.
                local_sum = sum(
                    float(loss(batch[devices.rank] or batch[0])) * bool(batch[devices.rank])
                    for batch in micro_batches
                )
                return devices.all_reduce_sum(local_sum)[0]
        except torch.OutOfMemoryError:
            if token_budget <= max(lengths) or devices.world_size > 1:
                raise MentallamaError(
                    f"out of memory while evaluating validation rows with {token_budget} tokens per batch; use a "
                    "smaller max_batch_tokens or max_tokens"
                ) from None
            token_budget //= 2


def weighted_f1_by_set(pairs: Mapping[str, Sequence[tuple[str, str]]]) -> dict[str, float]:
    """Weighted F1 of each set in percent, from pairs of gold and predicted label."""
    return {name: 100 * weighted_f1_of_labels(*zip(*of_set, strict=True)) for name, of_set in pairs.items()}
