"""One try: what a server's answer means, and what never leaves it."""

from __future__ import annotations

import asyncio
import json
import socket
from email.utils import formatdate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from mentallama.config import EndpointSettings
from mentallama.errors import MentallamaError, UsageError
from mentallama.llm_api.endpoint import Endpoint, open_endpoint, proxy_variable
from mentallama.llm_api.transport.http import (
    AttemptOutcome,
    FinalOutcome,
    RetryableFailure,
    encode_body,
    open_session,
    parse_response,
    retry_after,
    send_once,
)
from tests.factories.endpoint_server import Plan, serving

KEY = "sk-synthetic-key"
SECRET = "SECRET words"
SPEC = "remote:some-model@https://api.example.org/v1"
SETTINGS = EndpointSettings(key_env_var="SOME_KEY")
ENDPOINT = open_endpoint(SPEC, SETTINGS, {"SOME_KEY": KEY})
BODY = {"model": "test-model", "messages": [{"role": "user", "content": "a synthetic post"}], "max_tokens": 9}


def read(
    status: int, body: object, headers: dict[str, str] | None = None, formatted: bool = False
) -> AttemptOutcome:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return parse_response(ENDPOINT, status, headers or {}, raw, formatted)


def completion(message: object, finish: object = "stop", **more: object) -> dict[str, object]:
    return {"choices": [{"message": message, "finish_reason": finish}], **more}


def error(**fields: object) -> dict[str, object]:
    return {"error": {"message": SECRET, **fields}}


# Reading


def test_an_answer_with_usage() -> None:
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    assert read(200, completion({"content": "Well."}, usage=usage)) == FinalOutcome(
        "answered", "Well.", "stop", None, {"input": 7, "output": 3}, billed=True
    )


@pytest.mark.parametrize(
    "usage",
    [
        None,
        {},
        3,
        {"prompt_tokens": 7},
        {"prompt_tokens": -1, "completion_tokens": 2},
        {"prompt_tokens": True, "completion_tokens": 2},
    ],
)
def test_an_answer_without_valid_usage_is_an_answer(usage: object) -> None:
    assert read(200, completion({"content": "Well."}, usage=usage)) == FinalOutcome(
        "answered", "Well.", "stop", None, {}, billed=True
    )


@pytest.mark.parametrize(
    ("message", "finish", "expected"),
    [
        ({"content": ""}, "stop", ("answered", "")),
        ({"content": None}, "length", ("answered", "")),
        ({"content": None}, "stop", ("answered", "")),
        ({}, None, ("answered", "")),
        ({"content": None, "tool_calls": [{"id": "1"}]}, "tool_calls", ("answered", "")),
        ({"content": None, "reasoning_content": "Well, yes."}, "stop", ("answered", "")),
        ({"content": [{"type": "reasoning", "text": "Well, yes."}]}, "stop", ("answered", "")),
        (
            {"content": [{"type": "thinking", "thinking": "x"}, {"type": "text", "text": "a"}]},
            "stop",
            ("answered", "a"),
        ),
        ({"content": [{"type": "refusal", "refusal": "I cannot."}]}, "stop", ("refused", "I cannot.")),
        (
            {"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
            "stop",
            ("answered", "ab"),
        ),
        ({"content": "half \ud83d"}, None, ("answered", "half ?")),
        ({"content": "part"}, "content_filter", ("refused", "part")),
        ({"content": None, "refusal": "I cannot."}, "stop", ("refused", "I cannot.")),
    ],
)
def test_kinds_of_answers(message: object, finish: str | None, expected: tuple[str, str]) -> None:
    found = read(200, completion(message, finish))
    assert isinstance(found, FinalOutcome)
    assert (found.state, found.text) == expected
    assert found.finish_reason == finish


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"choices": [', "body is not JSON"),
        (b"", "body is not JSON"),
        (b"[" * 100_000, "body is not JSON"),
        ({}, "no choices"),
        ([], "no choices"),
        ({"choices": []}, "no choices"),
        ({"choices": [{"text": "x"}]}, "no choices"),
    ],
)
def test_an_empty_answer_is_retryable_and_billed(body: object, reason: str) -> None:
    assert read(200, body) == RetryableFailure(reason, maybe_billed=True)


@pytest.mark.parametrize(
    ("status", "pushback", "lost"),
    [
        (408, True, True),
        (429, True, False),
        (500, False, False),
        (502, False, False),
        (503, True, False),
        (504, True, True),
        (520, False, False),
        (529, True, False),
    ],
)
def test_retryable_statuses(status: int, pushback: bool, lost: bool) -> None:
    found = read(status, b"<html>", {"Retry-After": "3"})
    assert found == RetryableFailure(f"HTTP {status}", 3.0, pushback, lost)


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (
            400,
            error(code="context_length_exceeded", type="invalid_request_error"),
            "HTTP 400 context_length_exceeded",
        ),
        (400, error(code=None, type="invalid_request_error"), "HTTP 400 invalid_request_error"),
        (
            400,
            {"object": "error", "message": SECRET, "type": "BadRequest", "code": 400},
            "HTTP 400 BadRequest",
        ),
        (413, b"too much", "HTTP 413"),
        (422, {"detail": [{"loc": ["body", "messages"], "msg": SECRET}]}, "HTTP 422"),
        (400, error(code=f"a sentence with {SECRET}", type="x" * 80), "HTTP 400"),
        (400, {"error": SECRET}, "HTTP 400"),
        (501, b"", "HTTP 501"),
    ],
)
def test_a_permanent_error_is_failed_without_the_servers_text(status: int, body: object, reason: str) -> None:
    assert read(status, body) == FinalOutcome("failed", reason=reason)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, error(code="content_filter")),
        (400, error(code="content_policy_violation")),
        (400, error(code="data_inspection_failed")),
        (403, error(code=403, metadata={"reasons": ["violence"], "flagged_input": SECRET})),
    ],
)
def test_a_content_filter_refuses_at_no_cost(status: int, body: object) -> None:
    assert read(status, body) == FinalOutcome("refused", reason=f"HTTP {status} content filter")


@pytest.mark.parametrize(
    ("status", "body", "kind", "sentence"),
    [
        (
            401,
            error(code="invalid_api_key"),
            UsageError,
            "rejects the API key in the environment variable SOME_KEY",
        ),
        (403, b"", UsageError, "rejects the API key in the environment variable SOME_KEY"),
        (404, error(code="model_not_found"), UsageError, "has no model some-model"),
        (404, b"<html>", UsageError, "has no model some-model"),
        (400, error(code="model_not_found"), UsageError, "has no model some-model"),
        (429, error(code="insufficient_quota"), MentallamaError, "out of quota or credit"),
        (402, b"", MentallamaError, "out of quota or credit"),
        (307, b"", UsageError, "redirects requests to another URL"),
        (
            400,
            error(code="unsupported_parameter", param="max_tokens"),
            UsageError,
            "check extra_body",
        ),
    ],
)
def test_fatal_errors_have_a_message(
    status: int, body: object, kind: type[MentallamaError], sentence: str
) -> None:
    with pytest.raises(MentallamaError, match=sentence) as found:
        read(status, body)
    assert type(found.value) is kind
    assert SECRET not in str(found.value)
    assert KEY not in str(found.value)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (401, "invalid_api_key"),
        (403, None),
        (404, "model_not_found"),
        (429, "insufficient_quota"),
        (402, None),
    ],
)
def test_fatal_errors_repeat_the_servers_sentence_without_post_and_key(status: int, code: str | None) -> None:
    endpoint = open_endpoint(SPEC, SETTINGS, {"SOME_KEY": KEY})
    payload = json.dumps({"messages": [{"role": "user", "content": "walked the dachshund"}]}).encode()
    said = f"This model is not available. walked the dachshund {KEY}"
    body = json.dumps({"error": {"message": said, "code": code}}).encode()
    with pytest.raises(MentallamaError, match=r"\(the server says: This model is not available\.") as found:
        parse_response(endpoint, status, {}, body, payload=payload)
    assert "dachshund" not in str(found.value)
    assert KEY not in str(found.value)


def test_a_missing_key_is_named_by_its_variable() -> None:
    with pytest.raises(
        UsageError, match="requires an API key, but the environment variable SOME_KEY is not set"
    ):
        parse_response(open_endpoint(SPEC, SETTINGS, {}), 401, {}, b"")


@pytest.mark.parametrize(
    "body",
    [
        error(param="response_format", type="invalid_request_error"),
        {"error": {"message": "'response_format' of type json_schema is not supported"}},
        {"detail": [{"loc": ["body", "response_format", "type"]}]},
    ],
)
def test_an_unsupported_response_format_ends_the_run(body: object) -> None:
    with pytest.raises(UsageError, match="set schema_mode to json_object or none"):
        read(400, body, formatted=True)
    assert read(400, body) != FinalOutcome("answered")  # without one asked for, only the row is at fault


def test_response_format_in_an_unrelated_error_does_not_end_the_run() -> None:
    body = error(param="messages") | {"detail": "response_format"}
    assert read(400, body, formatted=True) == FinalOutcome("failed", reason="HTTP 400")


KEYS = st.sampled_from(("choices", "message", "content", "error", "code", "usage", "refusal"))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
)


@given(st.sampled_from((200, 400, 429, 500)), JSON)
def test_no_body_raises(status: int, body: Any) -> None:
    assert isinstance(read(status, body), (FinalOutcome, RetryableFailure))


# Waiting


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": "0.5"}, 0.5),
        ({"Retry-After": "-3"}, 0.0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "inf"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": formatdate(1_000_030, usegmt=True)}, 30.0),
        ({"Retry-After": formatdate(999_000, usegmt=True)}, 0.0),
        ({"Retry-After": "9", "retry-after-ms": "250"}, 0.25),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, now=1_000_000) == seconds


# Sending


def once(plan: Plan, body: dict[str, object] = BODY, timeout: float = 5.0) -> AttemptOutcome:
    with serving(plan) as server:
        return send(open_endpoint(f"remote:test-model@{server.url}", EndpointSettings(), {}), body, timeout)


def send(endpoint: Endpoint, body: dict[str, object] = BODY, timeout: float = 5.0) -> AttemptOutcome:
    async def go() -> AttemptOutcome:
        async with open_session(endpoint, timeout, 1) as session:
            return await send_once(session, endpoint, URL(endpoint.request_url), encode_body(body))

    return asyncio.run(go())


@pytest.mark.parametrize(
    ("happens", "expected"),
    [
        ("429", RetryableFailure("HTTP 429 server_busy", 0.05, overloaded=True)),
        ("500", RetryableFailure("HTTP 500 server_error")),
        ("503", RetryableFailure("HTTP 503 server_busy", 0.05, overloaded=True)),
        ("cut", RetryableFailure("connection lost", maybe_billed=True)),
        ("malformed", RetryableFailure("body is not JSON", maybe_billed=True)),
        ("hang", RetryableFailure("timeout", overloaded=True, maybe_billed=True)),
        ("filtered", FinalOutcome("refused", reason="HTTP 400 content filter")),
    ],
)
def test_faults_over_a_real_connection(happens: str, expected: AttemptOutcome) -> None:
    assert once(Plan(script=[happens]), timeout=0.3 if happens == "hang" else 5.0) == expected


def test_an_answer_over_a_real_connection() -> None:
    found = once(Plan(reply=lambda body: body["messages"][0]["content"].upper()))
    assert isinstance(found, FinalOutcome)
    assert (found.state, found.text, found.finish_reason) == ("answered", "A SYNTHETIC POST", "stop")
    assert found.usage == {"input": 16 // 4 + 8, "output": 16 // 4 + 1}


def test_a_refused_connection_is_not_an_attempt() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        found = send(open_endpoint(f"remote:m@http://127.0.0.1:{port}/v1", EndpointSettings(), {}))
    assert found == RetryableFailure("no connection", connected=False)


def test_every_body_can_be_encoded() -> None:
    assert encode_body({"a": "é"}) == '{"a":"é"}'.encode()
    assert json.loads(encode_body({"a": "half \ud83d"})) == {"a": "half \ud83d"}


async def _redirecting(answer: bytes) -> tuple[asyncio.Server, list[bytes]]:
    seen: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        writer.close()

    return await asyncio.start_server(handle, "127.0.0.1", 0), seen


def test_redirects_and_proxies_are_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")

    async def go() -> tuple[list[bytes], list[bytes]]:
        other, reached = await _redirecting(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        place = other.sockets[0].getsockname()[1]
        first, seen = await _redirecting(
            f"HTTP/1.1 307 Moved\r\nLocation: http://127.0.0.1:{place}/\r\nContent-Length: 0\r\n\r\n".encode()
        )
        port = first.sockets[0].getsockname()[1]
        endpoint = open_endpoint(
            f"remote:m@http://127.0.0.1:{port}/v1",
            EndpointSettings(key_env_var="SOME_KEY"),
            {"SOME_KEY": KEY},
        )
        async with open_session(endpoint, 5, 1) as session:
            with pytest.raises(UsageError, match="redirects requests to another URL"):
                await send_once(session, endpoint, URL(endpoint.request_url), b"{}")
        return seen, reached

    seen, reached = asyncio.run(go())
    assert reached == []
    assert len(seen) == 1
    assert f"Authorization: Bearer {KEY}".encode() in seen[0]


COMPLETION = json.dumps(completion({"content": "Well."})).encode()


def by_proxy(answer: bytes, monkeypatch: pytest.MonkeyPatch) -> tuple[AttemptOutcome, list[bytes]]:
    """The outcome of a request by a proxy that gives this answer, and what the proxy saw."""

    async def go() -> tuple[AttemptOutcome, list[bytes]]:
        proxy, seen = await _redirecting(answer)
        port = proxy.sockets[0].getsockname()[1]
        monkeypatch.setenv("http_proxy", f"http://someone:secret@127.0.0.1:{port}")
        endpoint = open_endpoint("remote:m@http://model.invalid/v1", EndpointSettings(), {})
        async with open_session(endpoint, 5, 1) as session:
            return await send_once(session, endpoint, URL(endpoint.request_url), b"{}"), seen

    return asyncio.run(go())


def test_the_environments_proxy_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(COMPLETION), COMPLETION)
    outcome, seen = by_proxy(answer, monkeypatch)
    assert seen[0].startswith(b"POST http://model.invalid/v1/chat/completions")
    assert isinstance(outcome, FinalOutcome)
    assert outcome.text == "Well."


def test_a_proxy_that_asks_for_a_password_is_named_by_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="the proxy in http_proxy asks for a user and a password") as found:
        by_proxy(b"HTTP/1.1 407 Authenticate\r\nContent-Length: 0\r\n\r\n", monkeypatch)
    assert "secret" not in str(found.value)


@pytest.mark.parametrize(
    ("url", "no_proxy", "variable"),
    [
        ("http://model.example/v1", "", "HTTP_PROXY"),
        ("https://model.example/v1", "", "https_proxy"),
        ("https://model.example/v1", "model.example", None),
        ("https://sub.model.example/v1", ".model.example", None),
        ("http://127.0.0.1:8000/v1", "", None),
        ("http://localhost:8000/v1", "", None),
        ("http://[::1]:8000/v1", "", None),
    ],
)
def test_the_proxy_of_a_url(
    url: str, no_proxy: str, variable: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", no_proxy)
    assert proxy_variable(url) == variable


def test_a_proxy_that_does_not_answer_is_no_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("http_proxy", f"http://someone:secret@127.0.0.1:{closed.getsockname()[1]}")
        found = send(open_endpoint("remote:m@http://model.invalid/v1", EndpointSettings(), {}))
    assert found == RetryableFailure("no connection to the proxy", connected=False)


def test_a_host_without_address_is_no_attempt() -> None:
    found = send(open_endpoint("remote:m@http://model.invalid/v1", EndpointSettings(), {}))
    assert isinstance(found, RetryableFailure)
    assert not found.connected
