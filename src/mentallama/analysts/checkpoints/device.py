"""Where a model computes, and in which numbers."""

from __future__ import annotations

from typing import Literal

import torch

from mentallama.errors import UsageError

Device = Literal["auto", "cpu", "cuda"]
Dtype = Literal["auto", "float32", "bfloat16"]


def choose_device(wanted: Device, local_rank: int = 0) -> torch.device:
    """The device of a setting; `place` is the process's number on its machine.

    Raises
    ------
    WrongUse
        A GPU is asked for and none is there.
    """
    there = torch.cuda.is_available()
    if wanted == "cuda" and not there:
        raise UsageError(
            "device: cuda is asked for and torch sees no GPU here; use device: cpu, or install a CUDA build of torch"
        )
    return torch.device("cuda", local_rank) if there and wanted != "cpu" else torch.device("cpu")


def choose_dtype(wanted: Dtype, device: torch.device) -> torch.dtype:
    """What passes are computed in."""
    if wanted == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    return torch.float32 if wanted == "float32" else torch.bfloat16
