"""One call to a model behind an OpenAI-compatible endpoint, and what came of it."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Literal

from mentallama.records import Record

CompletionState = Literal["answered", "refused", "failed"]


class Request(Record):
    """A chat completion to ask for: the request's body (`model` and `messages` in it), and what it is about.

    `post_id` and `author` are there so that one person's calls can be found again and forgotten.
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
    """A text's tokens as the server writes them, each with its log-probability in nats; None where it says none."""

    tokens: tuple[str, ...]
    logprobs: tuple[float | None, ...]


class Completion(Record):
    """What came of a call, as the ledger holds it.

    `refused`: the provider's filter or the model declined. `aside`: it kept failing, or cannot succeed; `reason`
    says why, without post text. `usage` counts tokens, input and output. `cost` is in the currency of the prices, None
    where there are none.
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
    """Of each text of the call, where log-probabilities were asked for; the ledger does not keep them."""


def request_hash(url: str, body: dict[str, Any]) -> str:
    """32 hexadecimal digits of all that an answer depends on: the endpoint's URL and the request's body.

    >>> call_hash("http://a/v1", {"b": 1, "a": 2}) == call_hash("http://a/v1/", {"a": 2, "b": 1})
    True
    """
    content = json.dumps([url.rstrip("/"), body], sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.blake2b(content.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
