"""Work in passes of bounded size; where memory is short, smaller ones."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, Self, TypeVar

import torch

from mentallama.errors import MentallamaError

LIKE, ENOUGH = 4 / 3, 512
"""Items of one pass differ by no more than this factor, so that little is filled up; where a pass has not even so many
tokens, they may."""


class Sized(Protocol):
    """What a pass holds: `size` tokens, and perhaps parts that can be done one after the other."""

    @property
    def size(self) -> int: ...

    def halves(self) -> list[Self]: ...


Item = TypeVar("Item", bound=Sized)
Found = TypeVar("Found")


@dataclass
class Budget:
    """How many tokens a pass may hold, padding counted, and how many cells (tokens x tokens) its mask."""

    tokens: int
    say: Callable[[str], None]
    cells: int = 1 << 28

    def holds(self, count: int, longest: int, shortest: int) -> bool:
        """Whether so many items may be filled up to the longest and run together."""
        fits = count * longest <= self.tokens and count * longest * longest <= self.cells
        return fits and (shortest * LIKE >= longest or count * longest <= ENOUGH)

    def shrink(self, failed: int) -> None:
        """Halve after a pass of `failed` tokens had no room, and say so."""
        self.tokens = max(1, min(self.tokens, failed) // 2)
        self.say(f"out of memory: from here on at most {self.tokens} tokens are computed at once")
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def no_room(tokens: int) -> MentallamaError:
    return MentallamaError(
        f"out of memory with a single question of {tokens} tokens; "
        "use a smaller model, dtype: bfloat16, or a larger device"
    )


def in_passes(
    items: Iterable[Item], budget: Budget, run: Callable[[Sequence[Item]], Found]
) -> Iterator[tuple[list[Item], Found]]:
    """Run items of like size together, the largest first; give each pass's items with what it found.

    Raises
    ------
    MentallamaError
        Memory does not even hold one part of one item.
    """
    waiting = deque(sorted(items, key=lambda item: -item.size))
    while waiting:
        part = [waiting.popleft()]
        while waiting:
            sizes = part[0].size, waiting[0].size
            if not budget.holds(len(part) + 1, max(sizes), min(sizes)):
                break
            part.append(waiting.popleft())
        found = unless_full(lambda part=part: run(part))  # type: ignore[misc]
        if found is not None:
            yield part, found[0]
            continue
        size = max(item.size for item in part)
        pieces = part if len(part) > 1 else part[0].halves()
        if len(pieces) == 1:
            raise no_room(size)
        budget.shrink(len(part) * size)
        waiting.extendleft(reversed(pieces))


def unless_full(run: Callable[[], Found]) -> tuple[Found] | None:
    """What was found, or None where memory was short.

    Only a return leaves the handler, which holds all that the failed pass had computed.
    """
    try:
        return (run(),)
    except torch.OutOfMemoryError:
        return None
