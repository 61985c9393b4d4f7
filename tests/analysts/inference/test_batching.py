"""Errors of torch: one type each, whatever the device says."""

from __future__ import annotations

import pytest
import torch

from mentallama.analysts.inference.batching import torch_errors, unless_out_of_memory
from mentallama.errors import UsageError


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError(),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:121] . DefaultCPUAllocator: can't allocate memory: 8 bytes"
        ),
        RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes"),
    ],
)
def test_memory_that_runs_out_is_one_kind_of_error(error: Exception) -> None:
    def fail() -> None:
        raise error

    assert unless_out_of_memory(fail) is None


def test_a_real_allocation_that_is_too_large_on_a_cpu() -> None:
    assert unless_out_of_memory(lambda: torch.empty(1 << 60, dtype=torch.uint8)) is None


def test_a_dtype_that_the_device_lacks_names_the_setting() -> None:
    with pytest.raises(UsageError, match="use dtype: float32"), torch_errors():
        raise RuntimeError("\"flash_attention_kernel\" not implemented for 'BFloat16'")


def test_other_errors_pass() -> None:
    with pytest.raises(RuntimeError, match="shape"), torch_errors():
        raise RuntimeError("shape mismatch")
