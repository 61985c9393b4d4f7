"""One try of one call over HTTP, and what the server's answer means.

Nothing that the server or the HTTP library says in free words goes any further: it may repeat the post or the key.
"""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp

from mentallama.llm_api.endpoint import COMPLETIONS_PATH, Endpoint
from mentallama.llm_api.transport.fatal_errors import fatal_error
from mentallama.llm_api.types import CompletionState, TokenLogprobs

CONNECT_SECONDS = 10.0
"""A host that takes longer to accept a connection is not there."""

MAX_BODY_BYTES = 1 << 24
"""Bytes of a body; no answer of a chat model comes near."""

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
    """The end of a call. `charged`: it was paid for, whether or not `usage` says how much. `chances`: of each of the
    call's texts, where it asked for log-probabilities."""

    state: CompletionState
    text: str = ""
    finish_reason: str | None = None
    reason: str | None = None
    usage: dict[str, int] = field(default_factory=dict)
    billed: bool = False
    token_logprobs: tuple[TokenLogprobs, ...] = ()


@dataclass(frozen=True, slots=True)
class RetryableFailure:
    """A try that may be repeated.

    `wait`: seconds that the server asks for. `pushback`: it has too much to do. `lost`: it may have been paid for.
    `reached`: a connection was made.
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
"""What a status that can be repeated means; 529 is Anthropic's and others' "overloaded"."""

PERMANENT_5XX = frozenset((501, 505))
"""5xx that the next try would meet again."""

NOT_CONNECTED = RetryableFailure("no connection", connected=False)
TIMED_OUT = RetryableFailure("time-out", overloaded=True, maybe_billed=True)
CONNECTION_LOST = RetryableFailure("connection cut", maybe_billed=True)
FAILURE_BY_EXCEPTION: tuple[tuple[type[BaseException], RetryableFailure], ...] = (
    (aiohttp.ConnectionTimeoutError, NOT_CONNECTED),
    (aiohttp.ClientConnectorError, NOT_CONNECTED),
    (TimeoutError, TIMED_OUT),
    (aiohttp.ClientResponseError, RetryableFailure("not HTTP", maybe_billed=True)),
    (aiohttp.ClientError, CONNECTION_LOST),
    (OSError, CONNECTION_LOST),
)
"""The first line that fits says what an exception of the HTTP library means."""


def open_session(endpoint: Endpoint, timeout: float, max_concurrency: int) -> aiohttp.ClientSession:
    """A session for one endpoint: `timeout` seconds a try, no proxy of the environment, no cookies."""
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
    """The bytes that are sent. Their number is never less than the tokens of the prompt: see `budget.worst_case`."""
    try:
        return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:  # half a surrogate pair
        return json.dumps(body, separators=(",", ":")).encode()


async def send_once(
    session: aiohttp.ClientSession, endpoint: Endpoint, request_url: Any, payload: bytes
) -> AttemptOutcome:
    """Send a call once. `address` is `endpoint.address`, parsed once for all calls.

    Raises
    ------
    MentallamaError
        No call of this run can succeed: wrong key, unknown model, no quota and the like.
    """
    try:
        # a redirect would carry the key and the post to a host that nobody named
        async with session.post(request_url, data=payload, allow_redirects=False) as response:
            body = await _read_body(response)
            status, headers = response.status, response.headers
    except (aiohttp.ClientError, TimeoutError, OSError) as fault:
        return next(meaning for kind, meaning in FAILURE_BY_EXCEPTION if isinstance(fault, kind))
    if body is None:
        return RetryableFailure("body too large", maybe_billed=True)
    return parse_response(endpoint, status, headers, body, b'"response_format"' in payload)


async def _read_body(response: aiohttp.ClientResponse) -> bytes | None:
    """The body, None where it is absurdly large."""
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
    """What an answer means. `formatted`: the call asked for a response format.

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
    stop = fatal_error(endpoint, status, codes, error, has_response_format)
    if stop is not None:
        raise stop
    reason = " ".join([f"HTTP {status}", *codes[:1]])
    if status in RETRYABLE_STATUSES or (status >= 500 and status not in PERMANENT_5XX):
        wait = retry_after(headers, time.time())
        return RetryableFailure(reason, wait, **RETRYABLE_STATUSES.get(status, {}))
    return FinalOutcome("failed", reason=reason)


def _parse_completion(content: Any, is_text_completion: bool) -> AttemptOutcome:
    """What a body with status 200 says; it was paid for in any case. `texts`: texts were asked for, not messages."""
    if content is None:
        return RetryableFailure("body is no JSON", maybe_billed=True)
    choice = _first_choice(content.get("choices")) if isinstance(content, dict) else None
    message = (
        None
        if choice is None
        else {"content": choice.get("text")}
        if is_text_completion
        else choice.get("message")
    )
    if choice is None or not isinstance(message, dict):
        return RetryableFailure("no choices", maybe_billed=True)
    finish, usage = _safe_code(choice.get("finish_reason")), _parse_usage(content.get("usage"))
    text, refusal = _content_text(message.get("content")), _content_text(message.get("refusal"))
    if refusal or finish == "content_filter":
        reason = "refusal" if refusal else "content filter"
        return FinalOutcome("refused", refusal or text or "", finish, reason, usage, billed=True)
    if text is None and finish != "length":  # a reasoning model may use up its tokens before it writes
        return RetryableFailure("no content", maybe_billed=True)
    chances = _parse_token_logprobs(content["choices"]) if is_text_completion else ()
    return FinalOutcome("answered", text or "", finish, None, usage, billed=True, token_logprobs=chances)


def _parse_token_logprobs(choices: list[Any]) -> tuple[TokenLogprobs, ...]:
    """Tokens and log-probabilities of each completion, in the order of the texts; empty where one has none."""
    try:
        ordered = sorted(choices, key=lambda choice: int(choice["index"]))
        logprobs = [choice["logprobs"] for choice in ordered]
        found = [TokenLogprobs(tokens=each["tokens"], logprobs=each["token_logprobs"]) for each in logprobs]
    except (TypeError, KeyError, ValueError):  # a record that does not fit is a ValueError too
        return ()
    fits = all(len(each.tokens) == len(each.logprobs) for each in found)
    return tuple(found) if fits else ()


def _first_choice(choices: Any) -> dict[str, Any] | None:
    return choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else None


def _content_text(content: Any) -> str | None:
    """Content as a string or as a list of parts; half a surrogate pair, which no file can hold, becomes `?`."""
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict)]
        content = "".join(part for part in parts if isinstance(part, str))
    return content.encode("utf-8", "replace").decode() if isinstance(content, str) else None


def _parse_usage(usage: Any) -> dict[str, int]:
    """Tokens as `input` and `output`; empty where the server does not count."""
    if not isinstance(usage, dict):
        return {}
    counts = {"input": usage.get("prompt_tokens"), "output": usage.get("completion_tokens")}
    sound = all(type(count) is int and 0 <= count < 1 << 40 for count in counts.values())
    return counts if sound else {}  # type: ignore[return-value]


def _error_object(content: Any) -> dict[str, Any]:
    """The error object: under `error` (OpenAI), or the body itself (vLLM, FastAPI's `detail`)."""
    if not isinstance(content, dict):
        return {}
    inner = content.get("error")
    return inner if isinstance(inner, dict) else content


def _safe_code(value: Any) -> str | None:
    """A code as it may be shown: one word, never a sentence that could hold a piece of the post."""
    return (
        value if isinstance(value, str) and re.fullmatch(r"[A-Za-z][\w.-]{0,47}", value, re.ASCII) else None
    )


def _is_moderation(error: dict[str, Any]) -> bool:
    """OpenRouter tells of its filter by status 403 with the reasons beside."""
    metadata = error.get("metadata")
    return isinstance(metadata, dict) and bool(metadata.get("reasons"))


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds that the server asks to wait: `retry-after-ms`, or `Retry-After` as seconds or as a date (RFC 9110).

    `now` is in seconds since 1970.
    """
    exact = _non_negative(headers.get("retry-after-ms"))
    if exact is not None:
        return exact / 1000
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
