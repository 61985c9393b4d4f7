"""Keep the completions that an analyst pays for, so that a killed or stopped run never pays for one twice.

The ledger keeps the text of an answer; an analyst also reads the log-probabilities of tokens. So every completion is
kept whole, as JSON in the ledger's column for the text. Failed ones are not kept, because their questions stay open.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from mentallama.llm_api.ledger.ledger import Ledger
from mentallama.llm_api.ledger.schema import translate_sqlite_errors
from mentallama.llm_api.types import Completion, CompletionStore, Request


class CompletionCache(CompletionStore, Protocol):
    """A store that returns the completions that it keeps."""

    def get_completions(self, hashes: Sequence[str], /) -> dict[str, Completion]: ...


class LedgerCache:
    """Completions in a ledger, with every field. The caller closes the ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.total_spent, self.open_account = ledger.total_spent, ledger.open_account
        self.known_hashes = ledger.known_hashes
        self.reserve, self.release = ledger.reserve, ledger.release

    def get_completions(self, hashes: Sequence[str]) -> dict[str, Completion]:
        """Return the completions of those hashes that have one."""
        found = self._ledger.get_completions(hashes)
        with translate_sqlite_errors(self._ledger.path):
            return {key: Completion.model_validate_json(row.text) for key, row in found.items()}

    def commit(
        self,
        completed: Sequence[tuple[Request, Completion]],
        account: int | None = None,
        uncertain: float = 0.0,
    ) -> float:
        """As `Ledger.commit`, but the cost of a failed completion counts as uncertain, and it is not stored."""
        failed = sum(completion.cost or 0.0 for _, completion in completed if completion.state == "failed")
        kept = [
            (
                request,
                completion.model_copy(update={"text": completion.model_dump_json(exclude_defaults=True)}),
            )
            for request, completion in completed
            if completion.state != "failed"
        ]
        return self._ledger.commit(kept, account, uncertain + failed)

    def delete_failed(self) -> int:
        """Do nothing: failed completions are not stored."""
        return 0


class MemoryCosts:
    """Counts costs and keeps no completions, for calls that are free or that nobody resumes."""

    def __init__(self) -> None:
        self._spent: list[float] = []
        """By account."""

    def total_spent(self) -> float:
        """Certain and possible cost of all runs."""
        return sum(self._spent)

    def open_account(self) -> int:
        """Open an account for one run and return its number."""
        self._spent.append(0.0)
        return len(self._spent) - 1

    def known_hashes(self, _: Sequence[str]) -> set[str]:
        return set()

    def get_completions(self, _: Sequence[str]) -> dict[str, Completion]:
        return {}

    def commit(
        self,
        completed: Sequence[tuple[Request, Completion]],
        account: int | None = None,
        uncertain: float = 0.0,
    ) -> float:
        """Count costs; returns those of all other accounts."""
        number = self.open_account() if account is None else account
        self._spent[number] += uncertain + sum(completion.cost or 0.0 for _, completion in completed)
        return self.total_spent() - self._spent[number]

    def reserve(self, account: int, _amount: float, _budget: float | None) -> tuple[bool, float]:
        return True, self.total_spent() - self._spent[account]

    def release(self, account: int, uncertain: float) -> None:
        self._spent[account] += uncertain

    def delete_failed(self) -> int:
        return 0
