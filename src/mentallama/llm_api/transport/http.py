"""Send one request over HTTP once, and interpret the response.

Free text from the server is passed on only through `server_message`, and never that of the HTTP library: it may
repeat the post or the key.
"""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any

import aiohttp
from yarl import URL

from mentallama.answers.finish_reasons import finish_reason_status
from mentallama.llm_api.endpoint import COMPLETIONS_PATH, Endpoint, proxy_variable
from mentallama.llm_api.limits.budget import actual_cost
from mentallama.llm_api.transport.error_body import (
    error_in_success,
    error_message,
    error_object,
    error_words,
    is_content_filter,
    status_named_by,
    wait_named_by,
)
from mentallama.llm_api.transport.fatal_errors import fatal_error
from mentallama.llm_api.transport.rejected_options import rejected_option
from mentallama.llm_api.transport.server_message import safe_code, safe_message
from mentallama.llm_api.types import Completion, CompletionState, Limits, ReplyToken, Request, TokenLogprobs

CONNECT_SECONDS = 10.0
"""A host that takes longer to accept a connection counts as unreachable."""

MAX_BODY_BYTES = 1 << 24
"""Limit of a response body, far above any chat completion."""


@dataclass(frozen=True, slots=True)
class FinalOutcome:
    """Result of a request that needs no retry. `billed`: the provider charges for it, even if `usage` is empty.
    `token_logprobs`: one entry per text of the request, if log-probabilities were requested. `reply_tokens`: the tokens
    of a chat's reply, likewise. `detail`: the server's own sentence about a failure, safe to show."""

    state: CompletionState
    text: str = ""
    finish_reason: str | None = None
    reason: str | None = None
    usage: dict[str, int] = field(default_factory=dict)
    billed: bool = False
    token_logprobs: tuple[TokenLogprobs, ...] = ()
    reply_tokens: tuple[ReplyToken, ...] = ()
    detail: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class RetryableFailure:
    """A failed attempt that may be retried.

    `retry_after`: seconds that the server asks to wait. `overloaded`: the server asks for fewer requests.
    `maybe_billed`: the provider may charge for it. `connected`: a connection was established. `detail`: the server's
    own sentence, safe to show.
    """

    reason: str
    retry_after: float | None = None
    overloaded: bool = False
    maybe_billed: bool = False
    connected: bool = True
    detail: str = field(default="", compare=False)


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
    (aiohttp.ClientProxyConnectionError, RetryableFailure("no connection to the proxy", connected=False)),
    (aiohttp.ClientHttpProxyError, RetryableFailure("the proxy refuses the connection", connected=False)),
    (
        aiohttp.ClientConnectorCertificateError,
        RetryableFailure("the server's certificate is not trusted", connected=False),
    ),
    (aiohttp.ClientSSLError, RetryableFailure("no TLS connection", connected=False)),
    (
        aiohttp.ClientConnectorDNSError,
        RetryableFailure("the host's name cannot be resolved", connected=False),
    ),
    (aiohttp.ConnectionTimeoutError, NOT_CONNECTED),
    (aiohttp.ClientConnectorError, NOT_CONNECTED),
    (TimeoutError, TIMED_OUT),
    (aiohttp.ClientResponseError, RetryableFailure("not HTTP", maybe_billed=True)),
    (aiohttp.ClientError, CONNECTION_LOST),
    (OSError, CONNECTION_LOST),
)
"""Failures by exception of the HTTP library; the first matching type applies."""


def open_session(endpoint: Endpoint, timeout: float, max_concurrency: int) -> aiohttp.ClientSession:
    """Open a session for one endpoint: `timeout` seconds per attempt, the environment's proxy, no cookies."""
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    if endpoint.api_key is not None:
        headers["Authorization"] = f"Bearer {endpoint.api_key}"
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=max_concurrency, keepalive_timeout=60),
        headers=headers,
        timeout=aiohttp.ClientTimeout(total=timeout, sock_connect=CONNECT_SECONDS),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=proxy_variable(endpoint.base_url) is not None,
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
    return parse_response(endpoint, status, headers, body, b'"response_format"' in payload, payload)


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
    payload: bytes | None = None,
) -> AttemptOutcome:
    """Interpret a response.

    An error in a body with status 2xx counts as the status that it names. `has_response_format`: whether the request
    had a `response_format`. `payload`: the request's body; without it the server's own sentence is not passed on.

    Raises
    ------
    MentallamaError
        As `send_once`.
    """
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        content = None
    if not 200 <= status < 300:
        return _parse_error(endpoint, status, headers, error_object(content), has_response_format, payload)
    error = error_in_success(content)
    if error is None:
        return _parse_completion(content, endpoint.path == COMPLETIONS_PATH)
    return _parse_error(
        endpoint, status_named_by(error), headers, error, has_response_format, payload, "200, "
    )


def _parse_error(  # noqa: PLR0913, PLR0917 - as `parse_response`
    endpoint: Endpoint,
    status: int,
    headers: Mapping[str, str],
    error: Mapping[str, Any],
    has_response_format: bool,
    payload: bytes | None,
    actual_status: str = "",
) -> AttemptOutcome:
    """Interpret an error. `actual_status` precedes the status in the reason if the response itself had another one."""
    if status < 500 and is_content_filter(error):
        return FinalOutcome("refused", reason=f"HTTP {status} content filter")
    codes, detail = error_words(error), ""
    if payload is not None:
        codes = [code for code in codes if safe_code(code, payload, endpoint.api_key)]
        detail = safe_message(error_message(error), payload, endpoint.api_key)
        if (rejected := rejected_option(endpoint, status, error, payload)) is not None:
            raise rejected
    fatal = fatal_error(endpoint, status, codes, error, has_response_format, detail)
    if fatal is not None:
        raise fatal
    prefix = f"HTTP {actual_status}error {status}" if actual_status else f"HTTP {status}"
    reason = " ".join([prefix, *codes[:1]])
    if status in RETRYABLE_STATUSES or (status >= 500 and status not in PERMANENT_5XX):
        waits = (retry_after(headers, time.time()), wait_named_by(error))
        seconds = max((wait for wait in waits if wait is not None), default=None)
        return RetryableFailure(reason, seconds, detail=detail, **RETRYABLE_STATUSES.get(status, {}))
    return FinalOutcome("failed", reason=reason, detail=detail)


def make_completion(
    endpoint: Endpoint, request: Request, outcome: AttemptOutcome, attempts: int, seconds: float = 0.0
) -> tuple[Completion, bool]:
    """Make the completion of a request from the outcome of its last attempt; a retryable failure becomes `failed`.

    Also returns whether the outcome may have been billed at an unknown cost.
    """
    if isinstance(outcome, FinalOutcome):
        final = outcome
        if final.detail:
            final = replace(final, reason=f"{final.reason}: {final.detail}")
        cost = actual_cost(endpoint.settings, final.usage)
        cost_unknown = final.billed and cost is None
    else:
        final = FinalOutcome("failed", reason=outcome.reason, detail=outcome.detail)
        cost, cost_unknown = None, outcome.maybe_billed
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
        reply_tokens=final.reply_tokens,
        transient=isinstance(outcome, RetryableFailure),
        detail=final.detail,
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
    finish, usage = _finish_reason(choice), _parse_usage(content.get("usage"))
    text, refusal = _content_text(message.get("content")), _refusal_text(message)
    if refusal or finish_reason_status(finish) == "refused":
        declined_by = "refusal" if refusal else "content filter"
        return FinalOutcome("refused", refusal or text, finish, declined_by, usage, billed=True)
    reason = None if text else _reason_without_text(message)
    answered = FinalOutcome("answered", text, finish, reason, usage, billed=True)
    if is_text_completion:
        return replace(answered, token_logprobs=_parse_token_logprobs(content["choices"]))
    return replace(answered, reply_tokens=() if _has_reasoning(message) else _parse_reply_tokens(choice))


def _finish_reason(choice: Mapping[str, Any]) -> str | None:
    """Why the model stopped, in the server's spelling; None if it gives no single word."""
    value = choice.get("finish_reason")
    if type(value) is int:  # the number of an enumeration
        return str(value)
    is_word = isinstance(value, str) and re.fullmatch(r"[A-Za-z][\w.-]{0,47}", value, re.ASCII)
    return value if is_word else None


def _reason_without_text(message: Mapping[str, Any]) -> str:
    """Why a finished answer has no text. It is an answer, paid for, which asking again would not change."""
    if message.get("tool_calls") or message.get("function_call"):
        return "the answer is a tool call without text"
    if _has_reasoning(message):
        return "the answer holds reasoning alone, without text"
    return "the answer has no text"


def _has_reasoning(message: Mapping[str, Any]) -> bool:
    """Whether the model thought before its reply, in a field of its own."""
    return any(
        message.get(key) for key in ("reasoning_content", "reasoning", "reasoning_details", "thinking")
    )


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


def _parse_reply_tokens(choice: Mapping[str, Any]) -> tuple[ReplyToken, ...]:
    """Tokens of a chat's reply (`logprobs.content`), with their alternatives; empty if any of them is malformed."""
    logprobs = choice.get("logprobs")
    try:
        return tuple(
            ReplyToken(
                piece=_token_piece(entry),
                logprob=_token_logprob(entry),
                id=entry["id"] if type(entry.get("id")) is int else None,
                alternatives=tuple(
                    (_token_piece(other), _token_logprob(other)) for other in entry.get("top_logprobs") or ()
                ),
            )
            for entry in (logprobs or {}).get("content") or ()
        )
    except (TypeError, KeyError, AttributeError, ValueError):  # pydantic's ValidationError is a ValueError
        return ()


def _token_piece(entry: Mapping[str, Any]) -> bytes:
    """Text of a token: its bytes if they are given, since some servers escape parts of a character in `token`."""
    raw = entry.get("bytes")
    return bytes(raw) if raw is not None else entry["token"].encode("utf-8", "replace")


def _token_logprob(entry: Mapping[str, Any]) -> float:
    """A log-probability in nats: at most 0, and -inf for a token that is impossible."""
    logprob = float(entry["logprob"])
    if math.isnan(logprob) or logprob > 0.01:  # rounding may leave it slightly above 0
        raise ValueError("not a log-probability")
    return min(logprob, 0.0)


def _first_choice(choices: Any) -> dict[str, Any] | None:
    return choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else None


def _content_text(content: Any) -> str:
    """Text of a string or of a list of parts, without reasoning; lone surrogates become `?`: no file can hold them."""
    parts = content if isinstance(content, list) else [content]
    texts = (
        part.get("text") if isinstance(part, dict) and not _is_reasoning(part) else part for part in parts
    )
    text = "".join(text for text in texts if isinstance(text, str))
    return text.encode("utf-8", "replace").decode()


def _is_reasoning(part: Mapping[str, Any]) -> bool:
    return any(word in str(part.get("type")).lower() for word in ("think", "reason", "thought"))


def _refusal_text(message: Mapping[str, Any]) -> str:
    """The model's text where it declines: in `refusal`, or in a part of that type."""
    content = message.get("content")
    parts = (
        [part.get("refusal") for part in content if isinstance(part, dict)]
        if isinstance(content, list)
        else []
    )
    return _content_text([message.get("refusal"), *parts])


def _parse_usage(usage: Any) -> dict[str, int]:
    """Token counts as `input` and `output`; empty if the server gives none."""
    if not isinstance(usage, dict):
        return {}
    counts = {"input": usage.get("prompt_tokens"), "output": usage.get("completion_tokens")}
    valid = all(type(count) is int and 0 <= count < 1 << 40 for count in counts.values())
    return counts if valid else {}  # type: ignore[return-value]


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
