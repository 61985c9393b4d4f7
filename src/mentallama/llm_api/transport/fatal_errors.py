"""What a server says that no call of the run can get past: one sentence each, without the server's own words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mentallama.errors import MentallamaError, WrongUse
from mentallama.llm_api.endpoint import Endpoint

RESUME = "what was answered is kept, and the same command goes on"


def _wrong_key(endpoint: Endpoint) -> MentallamaError:
    variable = endpoint.teacher.key
    if endpoint.key is None:
        return WrongUse(
            f"{endpoint.host} asks for a key and {variable} is not set: put it into that environment variable"
        )
    return WrongUse(
        f"{endpoint.host} does not accept the key in the environment variable {variable}: check it"
    )


def _unknown_model(endpoint: Endpoint) -> MentallamaError:
    return WrongUse(
        f"{endpoint.host} knows no model {endpoint.model}: check its name, and that the URL is the API's base "
        "(it mostly ends in /v1)"
    )


def _no_quota(endpoint: Endpoint) -> MentallamaError:
    return MentallamaError(
        f"{endpoint.host} says that the account behind {endpoint.teacher.key} is out of quota or money; "
        f"fill it up: {RESUME}"
    )


def _elsewhere(endpoint: Endpoint) -> MentallamaError:
    return WrongUse(
        f"{endpoint.host} sends calls on to another address, which are not followed; "
        "name the API's own URL in the teacher's spec"
    )


def _no_format(endpoint: Endpoint) -> MentallamaError:
    return WrongUse(
        f"{endpoint.host} does not take the response format asked for (schema_mode: "
        f"{endpoint.teacher.schema_mode}): set the teacher's schema_mode to json_object or none"
    )


def _no_option(endpoint: Endpoint) -> MentallamaError:
    return WrongUse(
        f"{endpoint.host} does not take a key or value of the request for {endpoint.model}: "
        "check the teacher's options, max_tokens and temperature"
    )


Stop = Callable[[Endpoint], MentallamaError]

BY_CODE: dict[str, Stop] = {
    "model_not_found": _unknown_model,
    "insufficient_quota": _no_quota,
    "billing_hard_limit_reached": _no_quota,
    "billing_not_active": _no_quota,
    "invalid_api_key": _wrong_key,
    "unsupported_parameter": _no_option,
    "unsupported_value": _no_option,
}
"""Codes and types of errors, as OpenAI names them and others after it."""

BY_STATUS: dict[int, Stop] = {
    301: _elsewhere,
    302: _elsewhere,
    303: _elsewhere,
    307: _elsewhere,
    308: _elsewhere,
    401: _wrong_key,
    402: _no_quota,
    403: _wrong_key,
    404: _unknown_model,
    405: _unknown_model,
}


def stop_for(
    endpoint: Endpoint, status: int, codes: Sequence[str], error: dict[str, Any], formatted: bool
) -> MentallamaError | None:
    """The sentence to stop with, None where other calls may succeed.

    `formatted`: the call asked for a response format.
    """
    if formatted and status in {400, 422} and _names_format(error):
        return _no_format(endpoint)
    stops = [BY_CODE[code] for code in codes if code in BY_CODE]
    found = stops[0] if stops else BY_STATUS.get(status)
    return found(endpoint) if found is not None else None


def _names_format(error: dict[str, Any]) -> bool:
    """Whether it is the response format that is complained of: in `param`, else in the sentence or FastAPI's list."""
    places = ("param",) if isinstance(error.get("param"), str) else ("message", "detail")
    return any("response_format" in repr(error.get(place)) for place in places)
