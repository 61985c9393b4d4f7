"""Batches of bounded size, halved on out-of-memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, Self, TypeVar

import torch

from mentallama.errors import MentallamaError, UsageError
from mentallama.progress import LogFn

MAX_LENGTH_RATIO = 4 / 3
"""The longest item of a batch is at most this many times as long as the shortest, to limit padding, unless a budget
says otherwise."""

SMALL_BATCH_TOKENS = 512
"""Batches of at most this many tokens may mix any lengths: one more pass would cost more than the padding."""


_CPU_OUT_OF_MEMORY = ("can't allocate memory", "not enough memory")
"""Messages of torch's CPU allocator when memory runs out, on Linux and elsewhere."""


class Batchable(Protocol):
    """An item of `n_tokens` tokens that may be split; one that cannot be split returns itself from `halves`."""

    @property
    def n_tokens(self) -> int: ...

    def halves(self) -> list[Self]: ...


Item = TypeVar("Item", bound=Batchable)
Result = TypeVar("Result")


@dataclass
class TokenBudget:
    """Limits of one batch: tokens including padding, cells (tokens x tokens) of its attention mask, and how many times
    as long as the shortest item the longest may be."""

    max_tokens: int
    log: LogFn
    max_mask_cells: int = 1 << 28
    max_length_ratio: float = MAX_LENGTH_RATIO

    def fits(self, count: int, longest: int, shortest: int) -> bool:
        """Whether `count` items may be padded to the longest and processed together."""
        fits = count * longest <= self.max_tokens and count * longest * longest <= self.max_mask_cells
        return fits and (shortest * self.max_length_ratio >= longest or count * longest <= SMALL_BATCH_TOKENS)

    def shrink(self, failed_tokens: int) -> None:
        """Halve the limit, with a warning, after a batch of `failed_tokens` tokens ran out of memory."""
        self.max_tokens = max(1, min(self.max_tokens, failed_tokens) // 2)
        self.log(f"out of memory: batches are limited to {self.max_tokens} tokens from here on")
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def out_of_memory_error(tokens: int) -> MentallamaError:
    return MentallamaError(
        f"out of memory with a single question of {tokens} tokens; "
        "use a smaller model, dtype: bfloat16, or a larger device"
    )


def run_in_batches(
    items: Iterable[Item], budget: TokenBudget, run: Callable[[Sequence[Item]], Result]
) -> Iterator[tuple[list[Item], Result]]:
    """Run items of similar length together, the longest first; yield each batch with its result.

    Raises
    ------
    MentallamaError
        Memory does not suffice for a single item, split as far as possible.
    """
    waiting = deque(sorted(items, key=lambda item: -item.n_tokens))
    while waiting:
        batch = [waiting.popleft()]
        while waiting:
            lengths = batch[0].n_tokens, waiting[0].n_tokens
            if not budget.fits(len(batch) + 1, max(lengths), min(lengths)):
                break
            batch.append(waiting.popleft())
        result = unless_out_of_memory(lambda batch=batch: run(batch))  # type: ignore[misc]
        if result is not None:
            yield batch, result[0]
            continue
        longest = max(item.n_tokens for item in batch)
        pieces = batch if len(batch) > 1 else batch[0].halves()
        if len(pieces) == 1:
            raise out_of_memory_error(longest)
        budget.shrink(len(batch) * longest)
        waiting.extendleft(reversed(pieces))


def unless_out_of_memory(run: Callable[[], Result]) -> tuple[Result] | None:
    """The result in a tuple, or None on out-of-memory.

    The error must not be kept beyond the handler: its traceback refers to all tensors of the failed batch.
    """
    try:
        with torch_errors():
            return (run(),)
    except torch.OutOfMemoryError:
        return None


@contextmanager
def torch_errors() -> Iterator[None]:
    """Give errors of torch one type each, whatever the device.

    Raises
    ------
    torch.OutOfMemoryError
        Memory ran out; on a CPU, torch itself raises a plain RuntimeError.
    UsageError
        The device cannot compute in the dtype.
    """
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except MemoryError:
        raise torch.OutOfMemoryError("out of memory") from None
    except RuntimeError as error:
        message = str(error)
        if any(phrase in message for phrase in _CPU_OUT_OF_MEMORY):
            raise torch.OutOfMemoryError("out of memory") from None
        if "not implemented for" in message and any(name in message for name in ("BFloat16", "Half")):
            raise UsageError(
                "this device cannot compute in the dtype of the model; use dtype: float32"
            ) from error
        raise
