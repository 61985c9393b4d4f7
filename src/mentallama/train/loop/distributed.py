"""Training in one process, or under torchrun in several, with the model sharded over them (FSDP2, Zhao et al. 2023)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

from mentallama.analysts.base import Device
from mentallama.analysts.checkpoints.loading import choose_device
from mentallama.parallel import is_torchrun

PROCESS_GROUP_TIMEOUT = timedelta(days=7)
"""How long workers wait for the main process, which runs the stages before training alone."""


@dataclass(frozen=True)
class DistributedContext:
    """This process: its rank among `world_size` processes, and the device that it computes on."""

    device: torch.device
    rank: int = 0
    world_size: int = 1

    @property
    def is_main(self) -> bool:
        return self.rank == 0

    def all_reduce_sum(self, *numbers: float) -> list[float]:
        """Sum each number over all processes; every process gets the sums."""
        if self.world_size == 1:
            return list(numbers)
        sums = torch.tensor(numbers, dtype=torch.float64, device=self.device)
        dist.all_reduce(sums)
        return [float(total) for total in sums]

    def broadcast(self, value: Any) -> Any:
        """The main process's value, on every process."""
        if self.world_size == 1:
            return value
        values = [value]
        dist.broadcast_object_list(values, src=0)
        return values[0]

    def single_process(self) -> DistributedContext:
        """The same device as if this process were the only one: for work that every process does in full."""
        return replace(self, rank=0, world_size=1)

    def barrier(self) -> None:
        """Wait until all processes have arrived here."""
        if self.world_size > 1:
            dist.barrier()


def init_distributed(wanted: Device, environ: Mapping[str, str] = os.environ) -> DistributedContext:
    """Choose the device, and join the process group if torchrun has started several processes.

    Raises
    ------
    UsageError
        A GPU was requested and there is none.
    """
    device = choose_device(wanted, int(environ.get("LOCAL_RANK", "0")))
    if not is_torchrun(environ):
        return DistributedContext(device)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if not dist.is_initialized():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PROCESS_GROUP_TIMEOUT)
    return DistributedContext(device, dist.get_rank(), dist.get_world_size())


def wait_for_main() -> Any:
    """Block a worker until the main process broadcasts a message, and return it; None means that there is no work."""
    return init_distributed("auto").broadcast(None)


def broadcast_to_workers(message: Any) -> None:
    """Send the message that `wait_for_main` returns in the workers."""
    init_distributed("auto").broadcast(message)


def is_group_initialized() -> bool:
    """Whether this process has joined a process group."""
    return dist.is_initialized()


def destroy_group() -> None:
    """Leave the process group, if there is one."""
    if dist.is_initialized():
        dist.destroy_process_group()


def shard_model(model: torch.nn.Module, devices: DistributedContext, dtype: torch.dtype) -> torch.nn.Module:
    """Shard the weights over all devices, layer by layer; with a single device, move them there.

    Sharded passes compute in `dtype`; gradients are reduced, and weights kept, in float32.
    """
    if devices.world_size == 1:
        return model.to(devices.device)
    policy = MixedPrecisionPolicy(param_dtype=dtype, reduce_dtype=torch.float32)
    layers = set(getattr(model, "_no_split_modules", None) or ())
    mesh = init_device_mesh(devices.device.type, (devices.world_size,))
    for module in model.modules():
        if type(module).__name__ in layers:
            fully_shard(module, mesh=mesh, mp_policy=policy)
    fully_shard(model, mesh=mesh, mp_policy=policy)
    return model
