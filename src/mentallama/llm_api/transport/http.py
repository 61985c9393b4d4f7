"""Send one request over HTTP once, and interpret the response.

Free text from the server or the HTTP library is never passed on: it may repeat the post or the key.
"""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any

import aiohttp
from yarl import URL

from mentallama.llm_api.endpoint import COMPLETIONS_PATH, Endpoint
from mentallama.llm_api.limits.budget import actual_cost
from mentallama.llm_api.transport.fatal_errors import fatal_error
from mentallama.llm_api.types import Completion, CompletionState, Limits, Request, TokenLogprobs

CONNECT_SECONDS = 10.0
"""A host that takes longer to accept a connection counts as unreachable."""

MAX_BODY_BYTES = 1 << 24
"""Limit of a response body, far above any chat completion."""

CONTENT_FILTER_CODES = frozenset(
    (
        "content_filter",
        "content_policy_violation",
        "ResponsibleAIPolicyViolation",
        "data_inspection_failed",
        "DataInspectionFailed",
    )
)
"""Error codes of providers' content filters: OpenAI, Azure, DashScope."""


@dataclass(frozen=True, slots=True)
class FinalOutcome:
    """Result of a request that needs no retry. `billed`: the provider charges for it, even if `usage` is empty.
    `token_logprobs`: one entry per text of the request, if log-probabilities were requested."""

    state: CompletionState
    text: str = ""
    finish_reason: str | None = None
    reason: str | None = None
    usage: dict[str, int] = field(default_factory=dict)
    billed: bool = False
    token_logprobs: tuple[TokenLogprobs, ...] = ()


@dataclass(frozen=True, slots=True)
class RetryableFailure:
    """A failed attempt that may be retried.

    `retry_after`: seconds that the server asks to wait. `overloaded`: the server asks for fewer requests.
    `maybe_billed`: the provider may charge for it. `connected`: a connection was established.
    """

    reason: str
    retry_after: float | None = None
    overloaded: bool = False
    maybe_billed: bool = False
    connected: bool = True


AttemptOutcome = FinalOutcome | RetryableFailure

RETRYABLE_STATUSES = {
    408: {"overloaded": True, "maybe_billed": True},
    429: {"overloaded": True},
    500: {},
    502: {},
    503: {"overloaded": True},
    504: {"overloaded": True, "maybe_billed": True},
    529: {"overloaded": True},
}
"""Properties of failures by retryable status; 529 is "overloaded" at Anthropic and others."""

PERMANENT_5XX = frozenset((501, 505))
"""5xx statuses that a retry would not change."""

NOT_CONNECTED = RetryableFailure("no connection", connected=False)
TIMED_OUT = RetryableFailure("timeout", overloaded=True, maybe_billed=True)
CONNECTION_LOST = RetryableFailure("connection lost", maybe_billed=True)
FAILURE_BY_EXCEPTION: tuple[tuple[type[BaseException], RetryableFailure], ...] = (
    (aiohttp.ConnectionTimeoutError, NOT_CONNECTED),
    (aiohttp.ClientConnectorError, NOT_CONNECTED),
    (TimeoutError, TIMED_OUT),
    (aiohttp.ClientResponseError, RetryableFailure("not HTTP", maybe_billed=True)),
    (aiohttp.ClientError, CONNECTION_LOST),
    (OSError, CONNECTION_LOST),
)
"""Failures by exception of the HTTP library; the first matching type applies."""


def open_session(endpoint: Endpoint, timeout: float, max_concurrency: int) -> aiohttp.ClientSession:
    """Open a session for one endpoint: `timeout` seconds per attempt, no proxy from the environment, no cookies."""
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    if endpoint.api_key is not None:
        headers["Authorization"] = f"Bearer {endpoint.api_key}"
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=max_concurrency, keepalive_timeout=60),
        headers=headers,
        timeout=aiohttp.ClientTimeout(total=timeout, sock_connect=CONNECT_SECONDS),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
    )


def encode_body(body: dict[str, Any]) -> bytes:
    """Encode a request body. It has at least as many bytes as the prompt has tokens: see `budget.worst_case`."""
    try:
        return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:  # half a surrogate pair
        return json.dumps(body, separators=(",", ":")).encode()


SendRequest = Callable[[bytes], Awaitable[AttemptOutcome]]
"""Sends one encoded body once; raises what `send_once` raises."""

Transport = Callable[[Endpoint, Limits], AbstractAsyncContextManager[SendRequest]]
"""Opens a `SendRequest` for one endpoint: `http_transport` from this process, `ray.ray_transport` from a cluster."""


@asynccontextmanager
async def http_transport(endpoint: Endpoint, limits: Limits) -> AsyncIterator[SendRequest]:
    """Send requests from this process."""
    async with open_session(endpoint, limits.timeout, limits.max_concurrency) as session:
        yield partial(send_once, session, endpoint, URL(endpoint.request_url))


async def send_once(
    session: aiohttp.ClientSession, endpoint: Endpoint, request_url: URL, payload: bytes
) -> AttemptOutcome:
    """Send a request once. `request_url` is `endpoint.request_url`, parsed once for all requests.

    Raises
    ------
    MentallamaError
        No request of this run can succeed: wrong key, unknown model, no quota and the like.
    """
    try:
        # a redirect would send the key and the post to a host that the user did not name
        async with session.post(request_url, data=payload, allow_redirects=False) as response:
            body = await _read_body(response)
            status, headers = response.status, response.headers
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        return next(failure for kind, failure in FAILURE_BY_EXCEPTION if isinstance(error, kind))
    if body is None:
        return RetryableFailure("body too large", maybe_billed=True)
    return parse_response(endpoint, status, headers, body, b'"response_format"' in payload)


async def _read_body(response: aiohttp.ClientResponse) -> bytes | None:
    """Read the body; None if it exceeds `MAX_BODY_BYTES`."""
    if response.content_length is not None and response.content_length <= MAX_BODY_BYTES:
        return await response.read()
    chunks = bytearray()
    async for chunk in response.content.iter_chunked(1 << 16):
        chunks += chunk
        if len(chunks) > MAX_BODY_BYTES:
            return None
    return bytes(chunks)


def parse_response(
    endpoint: Endpoint,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    has_response_format: bool = False,
) -> AttemptOutcome:
    """Interpret a response. `has_response_format`: whether the request had a `response_format`.

    Raises
    ------
    MentallamaError
        As `send_once`.
    """
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        content = None
    if 200 <= status < 300:
        return _parse_completion(content, endpoint.path == COMPLETIONS_PATH)
    error = _error_object(content)
    codes = [word for word in (_safe_code(error.get("code")), _safe_code(error.get("type"))) if word]
    if status < 500 and (CONTENT_FILTER_CODES.intersection(codes) or _is_moderation(error)):
        return FinalOutcome("refused", reason=f"HTTP {status} content filter")
    fatal = fatal_error(endpoint, status, codes, error, has_response_format)
    if fatal is not None:
        raise fatal
    reason = " ".join([f"HTTP {status}", *codes[:1]])
    if status in RETRYABLE_STATUSES or (status >= 500 and status not in PERMANENT_5XX):
        seconds = retry_after(headers, time.time())
        return RetryableFailure(reason, seconds, **RETRYABLE_STATUSES.get(status, {}))
    return FinalOutcome("failed", reason=reason)


def make_completion(
    endpoint: Endpoint, request: Request, outcome: AttemptOutcome, attempts: int, seconds: float = 0.0
) -> tuple[Completion, bool]:
    """Make the completion of a request from the outcome of its last attempt; a retryable failure becomes `failed`.

    Also returns whether the outcome may have been billed at an unknown cost.
    """
    if isinstance(outcome, FinalOutcome):
        final = outcome
        cost = actual_cost(endpoint.settings, final.usage)
        cost_unknown = final.billed and cost is None
    else:
        final, cost, cost_unknown = FinalOutcome("failed", reason=outcome.reason), None, outcome.maybe_billed
    completion = Completion(
        hash=request.hash,
        example_id=request.example_id,
        model=endpoint.model,
        state=final.state,
        text=final.text,
        finish_reason=final.finish_reason,
        reason=final.reason,
        usage=final.usage,
        cost=cost,
        seconds=round(seconds, 3),
        attempts=attempts,
        token_logprobs=final.token_logprobs,
    )
    return completion, cost_unknown


def _parse_completion(content: Any, is_text_completion: bool) -> AttemptOutcome:
    """Interpret a body with status 2xx, which is billed in any case."""
    if content is None:
        return RetryableFailure("body is not JSON", maybe_billed=True)
    choice = _first_choice(content.get("choices")) if isinstance(content, dict) else None
    if choice is None:
        return RetryableFailure("no choices", maybe_billed=True)
    message = {"content": choice.get("text")} if is_text_completion else choice.get("message")
    if not isinstance(message, dict):
        return RetryableFailure("no choices", maybe_billed=True)
    finish, usage = _safe_code(choice.get("finish_reason")), _parse_usage(content.get("usage"))
    text, refusal = _content_text(message.get("content")), _content_text(message.get("refusal"))
    if refusal or finish == "content_filter":
        reason = "refusal" if refusal else "content filter"
        return FinalOutcome("refused", refusal or text or "", finish, reason, usage, billed=True)
    if text is None and finish != "length":  # a reasoning model may use up its tokens before it answers
        return RetryableFailure("no content", maybe_billed=True)
    logprobs = _parse_token_logprobs(content["choices"]) if is_text_completion else ()
    return FinalOutcome("answered", text or "", finish, None, usage, billed=True, token_logprobs=logprobs)


def _parse_token_logprobs(choices: list[Any]) -> tuple[TokenLogprobs, ...]:
    """Tokens and log-probabilities of each choice, by index; empty if any choice lacks them."""
    try:
        ordered = sorted(choices, key=lambda choice: int(choice["index"]))
        logprobs = [choice["logprobs"] for choice in ordered]
        parsed = [
            TokenLogprobs(tokens=entry["tokens"], logprobs=entry["token_logprobs"]) for entry in logprobs
        ]
    except (TypeError, KeyError, ValueError):  # pydantic's ValidationError is a ValueError
        return ()
    complete = all(len(entry.tokens) == len(entry.logprobs) for entry in parsed)
    return tuple(parsed) if complete else ()


def _first_choice(choices: Any) -> dict[str, Any] | None:
    return choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else None


def _content_text(content: Any) -> str | None:
    """Text of a string or of a list of parts; lone surrogates, which no file can hold, become `?`."""
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict)]
        content = "".join(part for part in parts if isinstance(part, str))
    return content.encode("utf-8", "replace").decode() if isinstance(content, str) else None


def _parse_usage(usage: Any) -> dict[str, int]:
    """Token counts as `input` and `output`; empty if the server gives none."""
    if not isinstance(usage, dict):
        return {}
    counts = {"input": usage.get("prompt_tokens"), "output": usage.get("completion_tokens")}
    valid = all(type(count) is int and 0 <= count < 1 << 40 for count in counts.values())
    return counts if valid else {}  # type: ignore[return-value]


def _error_object(content: Any) -> dict[str, Any]:
    """The error object: under `error` (OpenAI), or the body itself (vLLM, FastAPI's `detail`)."""
    if not isinstance(content, dict):
        return {}
    inner = content.get("error")
    return inner if isinstance(inner, dict) else content


def _safe_code(value: Any) -> str | None:
    """An error code that is safe to show: one word, never a sentence that could quote the post."""
    is_code = isinstance(value, str) and re.fullmatch(r"[A-Za-z][\w.-]{0,47}", value, re.ASCII)
    return value if is_code else None


def _is_moderation(error: dict[str, Any]) -> bool:
    """Whether this is OpenRouter's content filter: status 403 with `metadata.reasons`."""
    metadata = error.get("metadata")
    return isinstance(metadata, dict) and bool(metadata.get("reasons"))


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds that the server asks to wait: `retry-after-ms`, or `Retry-After` as seconds or as a date (RFC 9110).

    `now` is Unix time in seconds. None if there is no such header, or it cannot be parsed.
    """
    milliseconds = _non_negative(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("Retry-After")
    seconds = _non_negative(value)
    if seconds is not None or value is None:
        return seconds
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now)
    except (ValueError, OverflowError):
        return None


def _non_negative(value: str | None) -> float | None:
    try:
        number = float(value or "")
    except ValueError:
        return None
    return max(0.0, number) if math.isfinite(number) else None
