"""Where answers are kept as they come: a ledger, or nowhere but with whoever asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from mentallama.llm_api.types import Answer, Call


class Books(Protocol):
    """What asking needs of a ledger; see `ledger.Ledger` for what each method does."""

    def spent(self) -> float: ...

    def open_account(self) -> int: ...

    def known(self, hashes: Sequence[str], /) -> set[str]: ...

    def commit(
        self, done: Sequence[tuple[Call, Answer]], account: int | None = None, uncertain: float = 0.0, /
    ) -> float: ...

    def hold(self, account: int, amount: float, most: float | None, /) -> tuple[bool, float]: ...

    def release(self, account: int, uncertain: float, /) -> None: ...


class PassedOn:
    """No ledger: every answer is handed to `take` as it comes, and none is known. Money is not counted."""

    def __init__(self, take: Callable[[Call, Answer], None]) -> None:
        self._take = take

    def spent(self) -> float:
        return 0.0

    def open_account(self) -> int:
        return 0

    def known(self, _: Sequence[str]) -> set[str]:
        return set()

    def commit(
        self, done: Sequence[tuple[Call, Answer]], _account: int | None = None, _uncertain: float = 0.0
    ) -> float:
        for call, answer in done:
            self._take(call, answer)
        return 0.0

    def hold(self, _account: int, _amount: float, _most: float | None) -> tuple[bool, float]:
        return True, 0.0

    def release(self, _account: int, _uncertain: float) -> None:
        """Nothing is held."""
