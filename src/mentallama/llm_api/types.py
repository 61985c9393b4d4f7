"""Requests to an OpenAI-compatible API, their completions, the limits and totals of a run, and the store's protocol."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from pydantic import ConfigDict

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


class ReplyToken(Record):
    """A token of a chat's reply, with its log-probability in nats.

    `piece` is its text, as bytes since it may end within a character. `alternatives` are the likeliest tokens at its
    place and their log-probabilities, usually with the token itself. `id` is its number in the model's vocabulary,
    which llama.cpp gives.
    """

    # A piece of a character is no text that JSON could hold, and an impossible token has the logarithm -inf.
    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64", ser_json_inf_nan="strings")

    piece: bytes
    logprob: float
    id: int | None = None
    alternatives: tuple[tuple[bytes, float], ...] = ()


class Completion(Record):
    """Final result of a request, as the ledger stores it.

    `refused`: declined by the model or by the provider's content filter. `failed`: no answer after all retries, or an
    error that a retry cannot fix; `reason` says which, without post text, and for an error that a retry cannot fix ends
    with the server's sentence after a colon. `usage` holds `input` and `output` token
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
    reply_tokens: tuple[ReplyToken, ...] = ()
    """The tokens of a chat's reply, if log-probabilities were requested; not stored in the ledger."""
    transient: bool = False
    """Whether the failure may pass, such as a timeout; not stored in the ledger."""
    detail: str = ""
    """The server's own sentence about a failure, safe to show; not stored in the ledger."""


def failure_kind(reason: str | None) -> str:
    """The reason of a failure without the server's sentence, which may differ between requests.

    >>> failure_kind("HTTP 400 BadRequestError: the maximum is 512 tokens")
    'HTTP 400 BadRequestError'
    """
    return (reason or "no reason").partition(": ")[0]


def request_hash(url: str, body: dict[str, Any]) -> str:
    """Hash everything that a completion depends on, the endpoint's URL and the body, to 32 hexadecimal digits.

    >>> request_hash("http://a/v1", {"b": 1, "a": 2}) == request_hash("http://a/v1/", {"a": 2, "b": 1})
    True
    """
    content = json.dumps([url.rstrip("/"), body], sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.blake2b(content.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


@dataclass(frozen=True)
class Limits:
    """Limits of a run. `total_requests` is used in messages only; None if unknown."""

    max_concurrency: int = 64
    timeout: float = 120.0
    """Seconds per attempt."""
    max_attempts: int = 6
    budget: float | None = None
    total_requests: int | None = None
    initial_backoff: float = 0.5
    """Mean seconds before the second attempt; doubled for each further one."""
    max_outage: float = 20.0
    """Seconds without any connection before a run gives up on an endpoint that was reachable before."""


@dataclass
class RunStats:
    """Running totals. `cached` counts requests that the ledger had already completed. `cost` and `uncertain` (maybe
    billed, without a completion) belong to this run, `ledger_spent` to the whole ledger."""

    cached: int = 0
    attempts: int = 0
    answered: int = 0
    refused: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    """Failed requests by reason."""
    retries: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float = 0.0
    uncertain: float = 0.0
    ledger_spent: float = 0.0

    @property
    def done(self) -> int:
        """Requests with a completion in the ledger, whatever its state."""
        return self.cached + self.answered + self.refused + self.failed.total()

    def add(self, completion: Completion) -> None:
        if completion.state == "failed":
            self.failed[failure_kind(completion.reason)] += 1
        else:
            self.answered += completion.state == "answered"
            self.refused += completion.state == "refused"
        self.tokens_in += completion.usage.get("input", 0)
        self.tokens_out += completion.usage.get("output", 0)


class CompletionStore(Protocol):
    """The methods of `ledger.ledger.Ledger` that the dispatcher uses; they are documented there."""

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

    def delete_failed(self) -> int: ...
