"""Requests to an OpenAI-compatible API, their completions, and the interface of what stores them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any, Literal, Protocol

from mentallama.records import Record

CompletionState = Literal["answered", "refused", "failed"]


class Request(Record):
    """One request: its JSON body (with `model` and `messages` or `prompt`) and the question it asks.

    `post_id` and `author` are kept so that everything about one person can be found and erased.
    """

    hash: str
    body: dict[str, Any]
    example_id: str
    post_id: str
    author: str | None = None
    task: str
    question: str
    label: str | None = None


class TokenLogprobs(Record):
    """Tokens of one text as the server splits it, each with its log-probability in nats (None if not given)."""

    tokens: tuple[str, ...]
    logprobs: tuple[float | None, ...]


class Completion(Record):
    """Final result of a request, as the ledger stores it.

    `refused`: declined by the model or by the provider's content filter. `failed`: no answer after all retries, or an
    error that a retry cannot fix; `reason` says which, without post text. `usage` holds `input` and `output` token
    counts. `cost` is in the currency of the prices, None without prices.
    """

    hash: str
    example_id: str
    model: str
    state: CompletionState
    text: str = ""
    finish_reason: str | None = None
    reason: str | None = None
    usage: dict[str, int] = {}
    cost: float | None = None
    seconds: float = 0.0
    attempts: int = 1
    token_logprobs: tuple[TokenLogprobs, ...] = ()
    """One entry per text of the request, if log-probabilities were requested; not stored in the ledger."""


def request_hash(url: str, body: dict[str, Any]) -> str:
    """Hash everything that a completion depends on, the endpoint's URL and the body, to 32 hexadecimal digits.

    >>> request_hash("http://a/v1", {"b": 1, "a": 2}) == request_hash("http://a/v1/", {"a": 2, "b": 1})
    True
    """
    content = json.dumps([url.rstrip("/"), body], sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.blake2b(content.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


class CompletionStore(Protocol):
    """What the dispatcher needs of a ledger; `ledger.Ledger` documents each method."""

    def total_spent(self) -> float: ...

    def open_account(self) -> int: ...

    def known_hashes(self, hashes: Sequence[str], /) -> set[str]: ...

    def commit(
        self,
        completed: Sequence[tuple[Request, Completion]],
        account: int | None = None,
        uncertain: float = 0.0,
        /,
    ) -> float: ...

    def reserve(self, account: int, amount: float, budget: float | None, /) -> tuple[bool, float]: ...

    def release(self, account: int, uncertain: float, /) -> None: ...
