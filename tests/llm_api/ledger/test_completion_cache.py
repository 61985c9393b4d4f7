"""Completions that an analyst pays for: kept whole, without failed ones, and their costs are never lost."""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from mentallama.errors import DataError
from mentallama.llm_api.ledger.completion_cache import CompletionCache, LedgerCache, MemoryCosts
from mentallama.llm_api.ledger.ledger import Ledger
from mentallama.llm_api.types import Completion, CompletionState, Request, TokenLogprobs

WORDS = some.text(some.characters(exclude_categories=("Cs",)), max_size=12)
LOGPROBS = some.lists(
    some.lists(some.tuples(WORDS, some.none() | some.floats(-30, 0)), min_size=1, max_size=3), max_size=3
)


def request(number: int) -> Request:
    return Request(
        hash=f"{number:032x}",
        body={},
        example_id=f"example-{number}",
        post_id=f"post-{number}",
        task="DR",
        question="q",
    )


def completion(number: int, state: CompletionState = "answered", cost: float | None = 0.25) -> Completion:
    asked = request(number)
    return Completion(hash=asked.hash, example_id=asked.example_id, model="m", state=state, cost=cost)


@given(text=WORDS, logprobs=LOGPROBS, reason=some.none() | WORDS)
def test_every_field_of_a_completion_is_kept(
    text: str, logprobs: list[list[tuple[str, float | None]]], reason: str | None
) -> None:
    columns = [tuple(zip(*tokens, strict=True)) for tokens in logprobs]
    whole = completion(1).model_copy(
        update={
            "text": text,
            "reason": reason,
            "usage": {"input": 3, "output": 5},
            "token_logprobs": tuple(
                TokenLogprobs(tokens=tokens, logprobs=values) for tokens, values in columns
            ),
        }
    )
    with tempfile.TemporaryDirectory() as folder, Ledger(Path(folder) / "ledger.sqlite") as ledger:
        cache = LedgerCache(ledger)
        cache.commit([(request(1), whole)], cache.open_account())
        assert cache.get_completions([whole.hash, "unknown"]) == {whole.hash: whole}
        assert cache.known_hashes([whole.hash, "unknown"]) == {whole.hash}


@pytest.mark.parametrize("kind", ["ledger", "memory"])
def test_costs_are_summed_over_accounts_and_failed_completions_cost_too(kind: str, tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        cache: CompletionCache = LedgerCache(ledger) if kind == "ledger" else MemoryCosts()
        first, second = cache.open_account(), cache.open_account()
        assert cache.commit([(request(1), completion(1))], first) == 0.0
        assert cache.commit([(request(2), completion(2, "failed", 0.5))], second, 0.125) == 0.25
        assert cache.reserve(first, 0.0, None) == (True, 0.625)
        cache.release(second, 1.0)
        assert cache.total_spent() == 0.25 + 0.5 + 0.125 + 1.0
        assert cache.get_completions([request(2).hash]) == {}  # it is asked again
        assert cache.delete_failed() == 0


def test_an_erased_post_leaves_the_cache_and_its_cost_stays(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        cache = LedgerCache(ledger)
        cache.commit([(request(number), completion(number)) for number in (1, 2)], cache.open_account())
        ledger.erase({"post-1"})
        assert set(cache.get_completions([request(1).hash, request(2).hash])) == {request(2).hash}
        assert cache.total_spent() == 0.5


def test_a_ledger_with_other_content_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with Ledger(path) as ledger:
        LedgerCache(ledger).commit([(request(1), completion(1))], ledger.open_account())
    with closing(sqlite3.connect(path)) as file:
        file.execute("UPDATE completions SET text = 'an answer'")
        file.commit()
    with Ledger(path) as ledger, pytest.raises(DataError, match="the ledger is damaged"):
        LedgerCache(ledger).get_completions([request(1).hash])
