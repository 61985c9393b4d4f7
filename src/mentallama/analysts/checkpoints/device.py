"""The device and the dtype that a model runs in."""

from __future__ import annotations

from typing import Literal

import torch

from mentallama.errors import UsageError

Device = Literal["auto", "cpu", "cuda"]
Dtype = Literal["auto", "float32", "bfloat16"]


def choose_device(wanted: Device, local_rank: int = 0) -> torch.device:
    """The device for a setting; `local_rank` is the index of this process on its machine.

    Raises
    ------
    UsageError
        `cuda` is requested and torch sees no GPU.
    """
    available = torch.cuda.is_available()
    if wanted == "cuda" and not available:
        raise UsageError(
            "device: cuda is requested, but torch sees no GPU here; use device: cpu, or install a CUDA build of torch"
        )
    return torch.device("cuda", local_rank) if available and wanted != "cpu" else torch.device("cpu")


def choose_dtype(wanted: Dtype, device: torch.device) -> torch.dtype:
    """The dtype for a setting; `auto` is bfloat16 on a GPU and float32 on a CPU."""
    if wanted == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    return torch.float32 if wanted == "float32" else torch.bfloat16
