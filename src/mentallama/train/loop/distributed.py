"""One process or many: what torchrun has started, and the model sharded over it (FSDP2, Zhao et al. 2023)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

from mentallama.analysts.checkpoints.device import Device, choose_device
from mentallama.parallel import is_torchrun

PROCESS_GROUP_TIMEOUT = timedelta(days=7)
"""How long processes wait for the one that collects and checks before training begins."""


@dataclass(frozen=True)
class DistributedContext:
    """This process among all: `rank` of `world`, and the device it computes on."""

    device: torch.device
    rank: int = 0
    world_size: int = 1

    @property
    def is_main(self) -> bool:
        return self.rank == 0

    def all_reduce_sum(self, *numbers: float) -> list[float]:
        """Sums over all processes, the same on each."""
        if self.world_size == 1:
            return list(numbers)
        sums = torch.tensor(numbers, dtype=torch.float64, device=self.device)
        dist.all_reduce(sums)
        return [float(each) for each in sums]

    def broadcast(self, value: Any) -> Any:
        """What the first process says."""
        if self.world_size == 1:
            return value
        said = [value]
        dist.broadcast_object_list(said, src=0)
        return said[0]

    def barrier(self) -> None:
        if self.world_size > 1:
            dist.barrier()


def init_distributed(wanted: Device, environ: Mapping[str, str] = os.environ) -> DistributedContext:
    """The devices of this training; joins the other processes where torchrun has started several.

    Raises
    ------
    WrongUse
        A GPU is asked for and none is there.
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
    """What a process that is not the first waits for: the word of the first, None where there is no work."""
    return init_distributed("auto").broadcast(None)


def broadcast_to_workers(message: Any) -> None:
    """Give the other processes the word they wait for."""
    init_distributed("auto").broadcast(message)


def is_group_initialized() -> bool:
    """Whether the processes have found each other."""
    return dist.is_initialized()


def destroy_group() -> None:
    """End the group, where there is one."""
    if dist.is_initialized():
        dist.destroy_process_group()


def shard_model(model: torch.nn.Module, devices: DistributedContext, dtype: torch.dtype) -> torch.nn.Module:
    """Lay the weights over all devices, a layer at a time; with one device they only move there.

    Passes compute in `dtype`; gradients are summed, and weights held, in float32.
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
