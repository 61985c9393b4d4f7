"""Errors in bodies, of shapes that servers and gateways send."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mentallama.config import EndpointSettings
from mentallama.errors import MentallamaError
from mentallama.llm_api.endpoint import open_endpoint
from mentallama.llm_api.transport.error_body import error_in_success, status_named_by, wait_named_by
from mentallama.llm_api.transport.http import AttemptOutcome, FinalOutcome, RetryableFailure, parse_response

ENDPOINT = open_endpoint(
    "remote:m@https://api.example.org/v1", EndpointSettings(), {"MENTALLAMA_API_KEY": "k" * 9}
)
ANSWER = {"choices": [{"message": {"content": "Yes."}, "finish_reason": "stop"}]}


def read(body: object) -> AttemptOutcome:
    return parse_response(ENDPOINT, 200, {}, json.dumps(body).encode())


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"error": {"code": 429, "message": "x"}}, 429),
        ({"error": {"code": "429"}}, 429),
        ({"error": {"message": "x", "type": "rate_limit_error"}}, 429),
        ({"error": {"status": "RESOURCE_EXHAUSTED"}}, 429),
        ({"error": "Rate limit reached"}, 429),
        ({"errors": [{"message": "Too many requests"}]}, 429),
        ({"code": "Throttling.RateQuota", "message": "x"}, 429),
        ({"error": {"message": "Error code: 429 - slow down"}}, 429),
        ({"type": "error", "error": {"type": "overloaded_error"}}, 503),
        ({"choices": [{"error": {"code": 502, "message": "x"}, "finish_reason": "error"}]}, 502),
        ({"choices": [{"message": {"content": ""}, "finish_reason": "error"}]}, 500),
        ({"choices": [{"message": {"content": "", "error": "upstream timed out"}}]}, 504),
        ({"error": {"message": "Provider returned error"}}, 500),
        ({"error": True, "message": "Service Unavailable", "statusCode": 503}, 503),
        ({"detail": "Internal error"}, 500),
        ({"base_resp": {"status_code": 1002, "status_msg": "rate limit"}}, 429),
    ],
)
def test_an_error_that_may_pass_is_retried(body: Any, status: int) -> None:
    found = read(body)
    assert isinstance(found, RetryableFailure)
    assert found.reason.startswith(f"HTTP 200, error {status}")
    assert found.overloaded == (status in {429, 503, 504})


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"code": 400, "message": "x"}},
        {"error": {"type": "invalid_request_error", "message": "x"}},
        {"object": "error", "message": "x", "type": "BadRequestError", "code": 400},
        {"error": {"status": "INVALID_ARGUMENT"}},
        {"error": {"code": 400}, **ANSWER},
    ],
)
def test_an_error_that_would_come_again_is_failed(body: Any) -> None:
    found = read(body)
    assert isinstance(found, FinalOutcome)
    assert (found.state, found.text) == ("failed", "")


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"error": {"code": 401}}, "rejects the API key"),
        ({"error": {"type": "authentication_error"}}, "rejects the API key"),
        ({"error": {"message": "Invalid API key"}}, "rejects the API key"),
        ({"error": {"code": "insufficient_quota"}}, "out of quota"),
        ({"error": {"code": 402}}, "out of quota"),
        ({"error": {"code": "model_not_found"}}, "has no model"),
        ({"error": {"message": "model not found"}}, "has no model"),
    ],
)
def test_an_error_that_ends_the_run(body: Any, sentence: str) -> None:
    with pytest.raises(MentallamaError, match=sentence):
        read(body)


@pytest.mark.parametrize(
    "extra", [{"error": None}, {"error": {}}, {"error": ""}, {"errors": []}, {"code": 0}, {"error": False}]
)
def test_an_empty_error_field_is_no_error(extra: Any) -> None:
    found = read(ANSWER | extra)
    assert isinstance(found, FinalOutcome)
    assert (found.state, found.text) == ("answered", "Yes.")


def test_a_content_filter_in_a_200_body_refuses() -> None:
    found = read({"error": {"code": "content_filter", "status": 400}})
    assert isinstance(found, FinalOutcome)
    assert found.state == "refused"


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        ({"retry_after": 7}, 7.0),
        ({"metadata": {"headers": {"Retry-After": "12"}}}, 12.0),
        ({"details": [{"@type": "x"}, {"retryDelay": "13s"}]}, 13.0),
        ({"message": "Please try again in 1.5s."}, 1.5),
        ({"message": "try again in 250ms"}, 0.25),
        ({"message": "Please retry after 2 minutes"}, 120.0),
        ({"message": "busy"}, None),
    ],
)
def test_the_wait_that_an_error_names(error: Any, seconds: float | None) -> None:
    assert wait_named_by(error) == seconds


KEYS = st.sampled_from(
    ("error", "errors", "code", "message", "status", "detail", "choices", "finish_reason", "metadata")
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
)


@given(VALUES)
def test_any_body_has_a_status_or_none(content: Any) -> None:
    error = error_in_success(content)
    assert error is None or 400 <= status_named_by(error) <= 599


@pytest.mark.parametrize("sentence", ["Not authenticated", "Unauthenticated", "Authentication required"])
def test_a_call_without_a_login_is_a_wrong_key(sentence: str) -> None:
    error = error_in_success({"detail": sentence})
    assert error is not None
    assert status_named_by(error) == 401
