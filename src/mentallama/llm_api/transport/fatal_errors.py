"""Error responses that end a run because no request can succeed, each with a message in our own words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mentallama.errors import MentallamaError, UsageError
from mentallama.llm_api.endpoint import Endpoint, proxy_variable

RESUME_HINT = "completed requests are kept, and the same command resumes"


def _wrong_key(endpoint: Endpoint) -> MentallamaError:
    variable = endpoint.settings.key_env_var
    if endpoint.api_key is None:
        return UsageError(
            f"{endpoint.host} requires an API key, but the environment variable {variable} is not set"
        )
    return UsageError(f"{endpoint.host} rejects the API key in the environment variable {variable}: check it")


def _unknown_model(endpoint: Endpoint) -> MentallamaError:
    return UsageError(
        f"{endpoint.host} has no model {endpoint.model}: check its name, and that the URL is the API's base "
        "(it usually ends in /v1)"
    )


def _no_quota(endpoint: Endpoint) -> MentallamaError:
    return MentallamaError(
        f"{endpoint.host} reports that the account of the key in {endpoint.settings.key_env_var} is out of quota "
        "or credit; "
        f"top it up: {RESUME_HINT}"
    )


def _redirected(endpoint: Endpoint) -> MentallamaError:
    return UsageError(
        f"{endpoint.host} redirects requests to another URL, which is not followed; "
        "use the API's own URL in the spec"
    )


def _proxy_rejects(endpoint: Endpoint) -> MentallamaError:
    variable = proxy_variable(endpoint.base_url) or "the environment"
    return UsageError(
        f"the proxy in {variable} asks for a user and a password: put them into the variable's URL, or name "
        f"{endpoint.host} in NO_PROXY"
    )


def _unsupported_response_format(endpoint: Endpoint) -> MentallamaError:
    return UsageError(
        f"{endpoint.host} does not support the requested response format (schema_mode: "
        f"{endpoint.settings.schema_mode}): set schema_mode to json_object or none"
    )


def _unsupported_parameter(endpoint: Endpoint) -> MentallamaError:
    return UsageError(
        f"{endpoint.host} rejects a parameter of the request to {endpoint.model}: "
        "check extra_body, max_tokens and temperature"
    )


FatalErrorBuilder = Callable[[Endpoint], MentallamaError]

FATAL_BY_CODE: dict[str, FatalErrorBuilder] = {
    "model_not_found": _unknown_model,
    "insufficient_quota": _no_quota,
    "billing_hard_limit_reached": _no_quota,
    "billing_not_active": _no_quota,
    "invalid_api_key": _wrong_key,
    "unsupported_parameter": _unsupported_parameter,
    "unsupported_value": _unsupported_parameter,
}
"""Fatal errors by code or type, as OpenAI and compatible servers name them."""

FATAL_BY_STATUS: dict[int, FatalErrorBuilder] = {
    301: _redirected,
    302: _redirected,
    303: _redirected,
    307: _redirected,
    308: _redirected,
    401: _wrong_key,
    402: _no_quota,
    403: _wrong_key,
    404: _unknown_model,
    405: _unknown_model,
    407: _proxy_rejects,
}


def fatal_error(
    endpoint: Endpoint,
    status: int,
    codes: Sequence[str],
    error: Mapping[str, Any],
    has_response_format: bool,
    detail: str = "",
) -> MentallamaError | None:
    """Return the error to end the run with, None if other requests may succeed.

    `has_response_format`: whether the request had a `response_format`. `detail`: the server's sentence, safe to show.
    """
    if has_response_format and status in {400, 422} and _blames_response_format(error):
        return _unsupported_response_format(endpoint)
    by_code = [FATAL_BY_CODE[code] for code in codes if code in FATAL_BY_CODE]
    builder = by_code[0] if by_code else FATAL_BY_STATUS.get(status)
    if builder is None:
        return None
    fatal = builder(endpoint)
    return type(fatal)(f"{fatal}{quote_server(detail)}")


def quote_server(detail: str) -> str:
    """The server's sentence as the end of a message; nothing if it gave none."""
    return f" (the server says: {detail})" if detail else ""


def _blames_response_format(error: Mapping[str, Any]) -> bool:
    """Whether the error names the response format: in `param`, else in `message` or in FastAPI's `detail`."""
    fields = ("param",) if isinstance(error.get("param"), str) else ("message", "detail")
    return any("response_format" in repr(error.get(field)) for field in fields)
