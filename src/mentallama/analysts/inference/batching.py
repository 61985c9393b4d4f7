"""Work in passes of bounded size; where memory is short, smaller ones."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, Self, TypeVar

import torch

from mentallama.errors import MentallamaError

MAX_LENGTH_RATIO, SMALL_BATCH_TOKENS = 4 / 3, 512
"""Items of one pass differ by no more than this factor, so that little is filled up; where a pass has not even so many
tokens, they may."""


class Batchable(Protocol):
    """What a pass holds: `size` tokens, and perhaps parts that can be done one after the other."""

    @property
    def n_tokens(self) -> int: ...

    def halves(self) -> list[Self]: ...


Item = TypeVar("Item", bound=Batchable)
Result = TypeVar("Result")


@dataclass
class TokenBudget:
    """How many tokens a pass may hold, padding counted, and how many cells (tokens x tokens) its mask."""

    max_tokens: int
    log: Callable[[str], None]
    max_mask_cells: int = 1 << 28

    def fits(self, count: int, longest: int, shortest: int) -> bool:
        """Whether so many items may be filled up to the longest and run together."""
        fits = count * longest <= self.max_tokens and count * longest * longest <= self.max_mask_cells
        return fits and (shortest * MAX_LENGTH_RATIO >= longest or count * longest <= SMALL_BATCH_TOKENS)

    def shrink(self, failed_tokens: int) -> None:
        """Halve after a pass of `failed` tokens had no room, and say so."""
        self.max_tokens = max(1, min(self.max_tokens, failed_tokens) // 2)
        self.log(f"out of memory: from here on at most {self.max_tokens} tokens are computed at once")
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
    """Run items of like size together, the largest first; give each pass's items with what it found.

    Raises
    ------
    MentallamaError
        Memory does not even hold one part of one item.
    """
    waiting = deque(sorted(items, key=lambda item: -item.n_tokens))
    while waiting:
        part = [waiting.popleft()]
        while waiting:
            sizes = part[0].n_tokens, waiting[0].n_tokens
            if not budget.fits(len(part) + 1, max(sizes), min(sizes)):
                break
            part.append(waiting.popleft())
        found = unless_out_of_memory(lambda part=part: run(part))  # type: ignore[misc]
        if found is not None:
            yield part, found[0]
            continue
        size = max(item.n_tokens for item in part)
        pieces = part if len(part) > 1 else part[0].halves()
        if len(pieces) == 1:
            raise out_of_memory_error(size)
        budget.shrink(len(part) * size)
        waiting.extendleft(reversed(pieces))


def unless_out_of_memory(run: Callable[[], Result]) -> tuple[Result] | None:
    """What was found, or None where memory was short.

    Only a return leaves the handler, which holds all that the failed pass had computed.
    """
    try:
        return (run(),)
    except torch.OutOfMemoryError:
        return None
