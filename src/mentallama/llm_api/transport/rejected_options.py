"""Options of a request that a model rejects, and the settings that it takes instead.

Only what the server's own words name is changed, and each change is a setting that a recipe can hold too. The request's
body, and so its hash, contains it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mentallama.errors import UsageError
from mentallama.llm_api.endpoint import Endpoint
from mentallama.llm_api.transport.error_body import error_message

REJECTION_STATUSES = frozenset((400, 404, 415, 422, 500, 501))
"""Statuses with which servers reject an option; templates of local servers fail with 500."""

_ROLE_WORDS = re.compile(
    r"\broles?\b|\bsystem\b[^.]{0,40}\b(?:message|prompt|instruction|support|allowed)|developer instruction",
    re.IGNORECASE,
)

USER_ROLE = {"system_role": "user"}


class RejectedOptionError(UsageError):
    """The model rejects an option that is not needed.

    Parameters
    ----------
    message
        What is rejected, and the setting that avoids it.
    update
        The changes of `EndpointSettings`.
    """

    def __init__(self, message: str, update: Mapping[str, Any]) -> None:
        super().__init__(message)
        self.update = dict(update)

    def __reduce__(self) -> tuple[type[RejectedOptionError], tuple[str, dict[str, Any]]]:
        return RejectedOptionError, (str(self), self.update)


def adapt_endpoint(endpoint: Endpoint, update: Mapping[str, Any]) -> Endpoint:
    """The endpoint with changed settings; fields of `extra_body` are added to those it has."""
    settings = endpoint.settings
    extra = {**settings.extra_body, **update.get("extra_body", {})}
    return replace(endpoint, settings=settings.model_copy(update={**update, "extra_body": extra}))


def rejected_option(
    endpoint: Endpoint, status: int, error: Mapping[str, Any], payload: bytes
) -> RejectedOptionError | None:
    """The option that an error response rejects; None if the error is another one, or nothing takes its place."""
    if status not in REJECTION_STATUSES:
        return None
    body, param = json.loads(payload), str(error.get("param") or "")
    words = f"{param} {error_message(error)}"
    if "max_tokens" in body and "max_completion_tokens" in words:
        settings = endpoint.settings  # not the limit of this request, which may need a single token
        limit = settings.extra_body.get("max_tokens", settings.max_tokens)
        extra = {"max_tokens": None, "max_completion_tokens": limit}
        return _rejected(endpoint, "max_tokens", {"extra_body": extra})
    if "temperature" in body and re.search(r"\btemperature\b", words) and status != 500:
        return _rejected(
            endpoint, f"temperature {body['temperature']:g}", {"extra_body": {"temperature": None}}
        )
    if has_system_message(body) and _ROLE_WORDS.search(words):
        return _rejected(endpoint, "the system role", USER_ROLE)
    return None


def has_system_message(body: Mapping[str, Any]) -> bool:
    """Whether a request has a message of the system, which some chat templates reject."""
    return any(message.get("role") in {"system", "developer"} for message in body.get("messages", ()))


def _rejected(endpoint: Endpoint, option: str, update: Mapping[str, Any]) -> RejectedOptionError:
    return RejectedOptionError(f"{endpoint.model} rejects {option}: set {describe_update(update)}", update)


def describe_update(update: Mapping[str, Any]) -> str:
    """A change as a recipe spells it."""
    return ", ".join(
        f"{name}: {value if isinstance(value, str) else json.dumps(value)}" for name, value in update.items()
    )
