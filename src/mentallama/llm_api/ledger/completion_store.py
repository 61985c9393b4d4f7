"""Where answers are kept as they come: a ledger, or nowhere but with whoever asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from mentallama.llm_api.types import Completion, Request


class CompletionStore(Protocol):
    """What asking needs of a ledger; see `ledger.Ledger` for what each method does."""

    def total_spent(self) -> float: ...

    def open_account(self) -> int: ...

    def known_hashes(self, hashes: Sequence[str], /) -> set[str]: ...

    def commit(
        self,
        done: Sequence[tuple[Request, Completion]],
        account: int | None = None,
        uncertain: float = 0.0,
        /,
    ) -> float: ...

    def reserve(self, account: int, amount: float, most: float | None, /) -> tuple[bool, float]: ...

    def release(self, account: int, uncertain: float, /) -> None: ...


class CallbackStore:
    """No ledger: every answer is handed to `take` as it comes, and none is known. Money is not counted."""

    def __init__(self, take: Callable[[Request, Completion], None]) -> None:
        self._take = take

    def total_spent(self) -> float:
        return 0.0

    def open_account(self) -> int:
        return 0

    def known_hashes(self, _: Sequence[str]) -> set[str]:
        return set()

    def commit(
        self, done: Sequence[tuple[Request, Completion]], _account: int | None = None, _uncertain: float = 0.0
    ) -> float:
        for call, answer in done:
            self._take(call, answer)
        return 0.0

    def reserve(self, _account: int, _amount: float, _most: float | None) -> tuple[bool, float]:
        return True, 0.0

    def release(self, _account: int, _uncertain: float) -> None:
        """Nothing is held."""
