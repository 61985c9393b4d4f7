"""What a server says that no call of the run can get past: one sentence each, without the server's own words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mentallama.errors import MentallamaError, UsageError
from mentallama.llm_api.endpoint import Endpoint

RESUME_HINT = "what was answered is kept, and the same command goes on"


def _wrong_key(endpoint: Endpoint) -> MentallamaError:
    variable = endpoint.settings.key_env_var
    if endpoint.api_key is None:
        return UsageError(
            f"{endpoint.host} asks for a key and {variable} is not set: put it into that environment variable"
        )
    return UsageError(
        f"{endpoint.host} does not accept the key in the environment variable {variable}: check it"
    )


def _unknown_model(endpoint: Endpoint) -> MentallamaError:
    return UsageError(
        f"{endpoint.host} knows no model {endpoint.model}: check its name, and that the URL is the API's base "
        "(it mostly ends in /v1)"
    )


def _no_quota(endpoint: Endpoint) -> MentallamaError:
    return MentallamaError(
        f"{endpoint.host} says that the account behind {endpoint.settings.key_env_var} is out of quota or money; "
        f"fill it up: {RESUME_HINT}"
    )


def _redirected(endpoint: Endpoint) -> MentallamaError:
    return UsageError(
        f"{endpoint.host} sends calls on to another address, which are not followed; "
        "name the API's own URL in the teacher's spec"
    )


def _unsupported_response_format(endpoint: Endpoint) -> MentallamaError:
    return UsageError(
        f"{endpoint.host} does not take the response format asked for (schema_mode: "
        f"{endpoint.settings.schema_mode}): set the teacher's schema_mode to json_object or none"
    )


def _unsupported_parameter(endpoint: Endpoint) -> MentallamaError:
    return UsageError(
        f"{endpoint.host} does not take a key or value of the request for {endpoint.model}: "
        "check the teacher's extra_body, max_tokens and temperature"
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
"""Codes and types of errors, as OpenAI names them and others after it."""

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
}


def fatal_error(
    endpoint: Endpoint, status: int, codes: Sequence[str], error: dict[str, Any], has_response_format: bool
) -> MentallamaError | None:
    """The sentence to stop with, None where other calls may succeed.

    `formatted`: the call asked for a response format.
    """
    if has_response_format and status in {400, 422} and _blames_response_format(error):
        return _unsupported_response_format(endpoint)
    stops = [FATAL_BY_CODE[code] for code in codes if code in FATAL_BY_CODE]
    found = stops[0] if stops else FATAL_BY_STATUS.get(status)
    return found(endpoint) if found is not None else None


def _blames_response_format(error: dict[str, Any]) -> bool:
    """Whether it is the response format that is complained of: in `param`, else in the sentence or FastAPI's list."""
    places = ("param",) if isinstance(error.get("param"), str) else ("message", "detail")
    return any("response_format" in repr(error.get(place)) for place in places)
