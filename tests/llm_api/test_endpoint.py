"""Endpoints: parsing of specs, request URLs, and API keys."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from mentallama.config import EndpointSettings
from mentallama.errors import UsageError
from mentallama.llm_api.endpoint import open_endpoint

KEY = "sk-synthetic-key"
SPEC = "remote:some-model@https://api.example.org/v1"
SETTINGS = EndpointSettings(key_env_var="SOME_KEY")
ENDPOINT = open_endpoint(SPEC, SETTINGS, {"SOME_KEY": KEY})


def test_a_spec_is_an_endpoint() -> None:
    assert (ENDPOINT.model, ENDPOINT.base_url, ENDPOINT.host, ENDPOINT.api_key) == (
        "some-model",
        "https://api.example.org/v1",
        "api.example.org",
        KEY,
    )
    assert ENDPOINT.request_url == "https://api.example.org/v1/chat/completions"
    assert KEY not in repr(ENDPOINT)


@pytest.mark.parametrize(
    ("spec", "address"),
    [
        ("remote:m@http://127.0.0.1:8000/v1/", "http://127.0.0.1:8000/v1/chat/completions"),
        ("remote:org/m:7b@http://[::1]:8000", "http://[::1]:8000/chat/completions"),
        ("remote:m@https://a.example/d?api-version=1", "https://a.example/d/chat/completions?api-version=1"),
    ],
)
def test_the_request_url_extends_the_base_url(spec: str, address: str) -> None:
    assert open_endpoint(spec, EndpointSettings(), {}).request_url == address


def test_an_empty_key_is_none() -> None:
    assert open_endpoint(SPEC, SETTINGS, {"SOME_KEY": " \n"}).api_key is None
    assert open_endpoint(SPEC, SETTINGS, {"SOME_KEY": f"{KEY}\n"}).api_key == KEY


@pytest.mark.parametrize(
    "spec",
    [
        "remote:m@http://",
        "remote:m@http://a:b/v1",
        "remote:m@http://[::1/v1",
        "remote:m@http://a b/v1",
        "embedded",
    ],
)
def test_an_invalid_spec_is_a_usage_error(spec: str) -> None:
    with pytest.raises(UsageError, match="write it as remote:MODEL@URL"):
        open_endpoint(spec, EndpointSettings(), {})


@pytest.mark.parametrize(
    ("spec", "model", "url"),
    [
        ("remote:m@http://127.0.0.1:8000/v1", "m", "http://127.0.0.1:8000/v1"),
        ("remote:@cf/meta/llama@https://api.example.org/v1", "@cf/meta/llama", "https://api.example.org/v1"),
        ("remote:m@2024@https://api.example.org/v1/", "m@2024", "https://api.example.org/v1"),
    ],
)
def test_a_models_name_may_hold_an_at_sign(spec: str, model: str, url: str) -> None:
    endpoint = open_endpoint(spec, EndpointSettings(), {})
    assert (endpoint.model, endpoint.base_url) == (model, url)


@pytest.mark.parametrize("key", ["two\nlines", "schlüssel"])
def test_a_key_that_no_header_can_hold_is_not_shown(key: str) -> None:
    with pytest.raises(UsageError, match="the key in SOME_KEY holds characters") as found:
        open_endpoint(SPEC, SETTINGS, {"SOME_KEY": key})
    assert key not in str(found.value)


def test_a_url_with_a_secret_is_refused_without_showing_it() -> None:
    with pytest.raises(UsageError, match="the URL of m holds a user, password or key") as caught:
        open_endpoint("remote:m@https://me:hunter2@api.example.org/v1", EndpointSettings(), {})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "value",
    [
        "sk-proj-abcdefgh12345678",
        "hf_aBcDeFgHiJkLmNoPqRsTuVwXyZ123456",
        "gsk_1234567890abcdef",
        "AKIA5EXAMPLE7EXAMPLE",
        "a" * 70,
        "Bearer abc",
        "",
    ],
)
def test_a_key_in_place_of_its_variable_is_refused_and_never_shown(value: str) -> None:
    with pytest.raises(ValidationError) as found:
        EndpointSettings(key_env_var=value)
    (error,) = found.value.errors()
    assert "name an environment variable" in error["msg"]
    assert not value or value not in error["msg"]


@pytest.mark.parametrize("name", ["MENTALLAMA_API_KEY", "KEY_2", "OPENAI_API_KEY", "my_key", "_X"])
def test_names_of_variables_are_taken(name: str) -> None:
    assert EndpointSettings(key_env_var=name).key_env_var == name
