"""Errors in response bodies: where they stand, which HTTP status they mean, how long to wait.

Gateways answer with status 200 and report the failure in the body. Such an error counts as the status that it names.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

JsonObject = dict[str, Any]

UNKNOWN_ERROR_STATUS = 500
"""Status of an error that names none: it may pass, so it is retried."""

_STATUS_KEYS = (
    "code", "status", "status_code", "statusCode", "http_status", "httpStatus", "http_code", "error_code",
    "errorCode", "httpStatusCode",
)  # fmt: skip
_WORD_KEYS = ("code", "type", "status", "reason", "name", "error_code", "errorCode", "error")
_MESSAGE_KEYS = (
    "message",
    "msg",
    "detail",
    "error",
    "error_msg",
    "error_message",
    "errorMessage",
    "status_msg",
)
_WAIT_KEYS = {"retry_after", "retry_after_seconds", "retry_delay", "retry_after_ms"}

_CONTENT_FILTER = re.compile(
    r"content_?filter|content_?policy|responsible_?ai|data_?inspection|moderation|prohibited_?content|safety"
)

_STATUS_BY_WORD = (
    (r"insufficient_?(?:quota|balance|credit|fund)|exceeded_?(?:current_)?quota|billing|payment|arrear", 402),
    (r"rate_?limit|too_?many_?requests|throttl|resource_?exhausted|quota", 429),
    (r"overload|unavailable|capacity|busy", 503),
    (r"time_?d?_?out|deadline", 504),
    (
        r"authenticat(?:ed|ion)|unauthori[sz]ed|(?:invalid|incorrect|missing|wrong)_(?:api_?)?(?:key|token)",
        401,
    ),
    (r"permission|forbidden|access_?denied", 403),
    (r"(?:model|resource|deployment|page)_?(?:does_)?not_?(?:found|exist)|^not_?found(?:_error)?$", 404),
    (r"bad_?request|invalid_?(?:request|argument|param|value)|validation|unsupported|context_?length", 400),
)
"""Statuses by what identifiers and sentences of servers contain, written as lower-case words joined by `_`."""

_STATUS_IN_SENTENCE = re.compile(
    r"(?:\berror code|\bstatus(?: code)?|\bhttp(?:/\d(?:\.\d)?)?)\W{0,3}([45]\d\d)\b", re.I
)
_WAIT_IN_SENTENCE = re.compile(
    r"(?:try again|retry|wait)[^\d.]{0,20}(\d{1,9}(?:\.\d{1,9})?)\s{0,2}"
    r"(ms|milliseconds?|s|secs?|seconds?|m|mins?|minutes?)\b",
    re.IGNORECASE,
)
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s?(ms|s|m)?")


def error_object(content: Any) -> JsonObject:
    """The error of a body with an error status: under `error` (OpenAI), or the body itself (vLLM, FastAPI)."""
    found = next(_nested_errors(content), None) if isinstance(content, dict) else None
    return found or (content if isinstance(content, dict) else {})


def error_in_success(content: Any) -> JsonObject | None:
    """The error in a body that came with status 2xx; None if the body reports none."""
    if not isinstance(content, dict):
        return None
    nested = next(_nested_errors(content), None)
    if nested is not None:
        return nested
    is_error = content.get("object") == "error" or content.get("type") == "error"
    has_error_keys = any(content.get(key) for key in (*_STATUS_KEYS, *_MESSAGE_KEYS, "base_resp"))
    if is_error or (not content.get("choices") and has_error_keys):
        inner = content.get("base_resp")
        return inner if isinstance(inner, dict) else content
    return None


def _nested_errors(content: JsonObject) -> Iterator[JsonObject]:
    """Errors under `error` or `errors` of the body, of its first choice, or of that choice's message."""
    choices = content.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    message = choice.get("message")
    for holder in (content, choice, message if isinstance(message, dict) else {}):
        for key in ("error", "errors"):
            value = holder.get(key)
            value = value[0] if isinstance(value, list) and value else value
            if isinstance(value, dict) and value:
                yield value
            elif isinstance(value, str) and value:
                yield {"message": value} | {name: holder[name] for name in _STATUS_KEYS if name in holder}
            elif value is True:
                yield {name: item for name, item in holder.items() if name != "error"}
    if isinstance(choice.get("finish_reason"), str) and choice["finish_reason"].lower() == "error":
        yield {"code": choice.get("native_finish_reason")}


def status_named_by(error: Mapping[str, Any]) -> int:
    """The HTTP status that an error means: the number it names, else by its words; `UNKNOWN_ERROR_STATUS` if neither.

    >>> status_named_by({"code": "429"}), status_named_by({"type": "overloaded_error"}), status_named_by({})
    (429, 503, 500)
    """
    for key in _STATUS_KEYS:
        number = _as_status(error.get(key))
        if number is not None:
            return number
    sentence = error_message(error)
    named = _STATUS_IN_SENTENCE.search(sentence)
    if named is not None:
        return int(named[1])
    for text in (*error_words(error), sentence):
        status = _status_of_words(text)
        if status is not None:
            return status
    return UNKNOWN_ERROR_STATUS


def error_words(error: Mapping[str, Any]) -> list[str]:
    """Identifiers of an error, such as `rate_limit_exceeded`, as the server spells them; never a sentence."""
    inner = error.get("innererror")
    values = [error.get(key) for key in _WORD_KEYS]
    values += [inner.get("code")] if isinstance(inner, dict) else []
    words = (value for value in values if isinstance(value, str))
    return [word for word in words if re.fullmatch(r"[A-Za-z][\w.-]{0,47}", word, re.ASCII)]


def error_message(error: Mapping[str, Any]) -> str:
    """The sentence of an error as the server wrote it. It may repeat the post or the key: see `server_message`."""
    for key in _MESSAGE_KEYS:
        value = error.get(key)
        if isinstance(value, list):  # FastAPI's validation errors
            value = "; ".join(str(item["msg"]) for item in value if isinstance(item, dict) and "msg" in item)
        if isinstance(value, dict):
            value = value.get("message")
        if isinstance(value, str) and value.strip():
            return value
    return ""


def is_content_filter(error: Mapping[str, Any]) -> bool:
    """Whether a content filter declined the request (OpenAI, Azure, DashScope, OpenRouter's `metadata.reasons`)."""
    metadata = error.get("metadata")
    if isinstance(metadata, dict) and metadata.get("reasons"):
        return True
    return any(_CONTENT_FILTER.search(_identifier(word)) for word in error_words(error))


def wait_named_by(error: Mapping[str, Any]) -> float | None:
    """Seconds to wait that an error names in a field or in its sentence; None if it names none."""
    metadata, details = error.get("metadata"), error.get("details")
    headers = metadata.get("headers") if isinstance(metadata, dict) else None
    holders = [error, metadata, headers, *(details if isinstance(details, list) else ())]
    for holder in holders:
        for name, value in holder.items() if isinstance(holder, dict) else ():
            key = _identifier(str(name))
            if key in _WAIT_KEYS and (seconds := _as_seconds(value, key.endswith("_ms"))) is not None:
                return seconds
    match = _WAIT_IN_SENTENCE.search(error_message(error))
    return float(match[1]) * _unit_seconds(match[2]) if match else None


def _as_status(value: Any) -> int | None:
    if isinstance(value, str) and re.fullmatch(r"[45]\d\d", value.strip(), re.ASCII):
        value = int(value)
    return value if type(value) is int and 400 <= value <= 599 else None


def _status_of_words(text: str) -> int | None:
    identifier = _identifier(text)
    return next((status for pattern, status in _STATUS_BY_WORD if re.search(pattern, identifier)), None)


def _identifier(text: str) -> str:
    """Words in lower case, joined by `_`: of snake_case, CamelCase and sentences alike."""
    return re.sub(r"\W+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", text)).strip("_").lower()


def _as_seconds(value: Any, milliseconds: bool) -> float | None:
    match = _DURATION.fullmatch(str(value).strip()) if type(value) in {int, float, str} else None
    if match is None:
        return None
    seconds = float(match[1]) * _unit_seconds("ms" if milliseconds else match[2] or "s")
    return seconds if math.isfinite(seconds) else None


def _unit_seconds(unit: str) -> float:
    unit = unit.lower()
    return 0.001 if unit.startswith(("ms", "mil")) else 60.0 if unit.startswith("m") else 1.0
