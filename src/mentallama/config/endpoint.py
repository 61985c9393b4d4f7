"""Settings of an OpenAI-compatible endpoint: key, prices, rate limits, request body; and its spec."""

from __future__ import annotations

import re
from typing import Literal, Self
from urllib.parse import parse_qsl, urlsplit

from pydantic import ConfigDict, Field, NonNegativeFloat, field_validator, model_validator

from mentallama.config.base import JsonObject, PositiveInt, Settings

SECRET_NAME = re.compile(r"key|secret|password|credential|auth|token$", re.IGNORECASE)
"""Names that suggest a secret; no field of a request body is called like this."""

MAX_VARIABLE_CHARS = 64
"""Longest name of an environment variable that is accepted; keys are longer."""

RESERVED_FIELDS = frozenset(("model", "messages", "response_format", "stream", "n"))
"""Fields of the request body that the code sets itself."""


class RemoteOptions(Settings):
    """Options of a remote model that teachers and analysts share: key, prices, rate limits, sampling, request body."""

    model_config = ConfigDict(use_attribute_docstrings=True)  # the help of commands is made from them

    key_env_var: str = "MENTALLAMA_API_KEY"
    """The environment variable that holds the API key; if it is not set, no key is sent."""
    input_price: NonNegativeFloat | None = None
    """Price per million input tokens, in the currency of the budget. Give both prices or neither."""
    output_price: NonNegativeFloat | None = None
    """Price per million output tokens."""
    requests_per_minute: PositiveInt | None = None
    """The provider's limit on requests; default: slow down only when the server asks for it."""
    tokens_per_minute: PositiveInt | None = None
    """The provider's limit on tokens, in the same way."""
    system_role: Literal["system", "developer", "user"] = "system"
    """Role of the instructions, to a teacher or with predict.prompt. user: they precede the text of the first user
    message, for models whose chat template has no system role. A model that rejects the role is found out with the
    first requests, and user is used, with a message."""
    temperature: float = Field(default=0.0, ge=0, le=2)
    """Sampling temperature of a remote model; 0 for the most likely answer."""
    extra_body: JsonObject = {}
    """Additional fields of the request body; null removes a default field, for example max_tokens for a model that
    takes max_completion_tokens instead."""

    @field_validator("key_env_var", mode="before")
    @classmethod
    def _refuse_key(cls, value: object) -> object:
        """Refuse what may be the key itself, which manifests and reports would show; the message does not repeat it."""
        if not is_variable_name(value):
            raise ValueError(
                "name an environment variable, such as MY_API_KEY, and put the key itself into it"
            )
        return value

    @model_validator(mode="after")
    def _check_prices(self) -> Self:
        if (self.input_price is None) != (self.output_price is None):
            raise ValueError("input_price and output_price go together")
        return self

    @model_validator(mode="after")
    def _check_extra_body(self) -> Self:
        reserved = sorted(RESERVED_FIELDS.intersection(self.extra_body))
        if reserved:
            raise ValueError(f"extra_body: {reserved[0]} is set by the stage itself")
        secret = [name for name in self.extra_body if SECRET_NAME.search(name)]
        if secret:  # extra_body is shown in manifests and reports
            raise ValueError(f"extra_body: {secret[0]} looks like a secret; put keys into the environment")
        return self


class EndpointSettings(RemoteOptions):
    """Options of one endpoint that a teacher uses."""

    schema_mode: Literal["json_schema", "json_object", "none"] = "json_schema"
    """The `response_format` that a structured answer is requested with, beside the prompt's instructions."""
    max_tokens: PositiveInt = 512


def is_variable_name(value: object) -> bool:
    """Whether a value names an environment variable, rather than being a key that was put in the wrong place.

    >>> is_variable_name("MY_API_KEY2"), is_variable_name("hf_aB3dE"), is_variable_name("sk-abc")
    (True, False, False)
    """
    if not isinstance(value, str) or len(value) > MAX_VARIABLE_CHARS:
        return False
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value) is None:
        return False
    has_digit = any(char.isdigit() for char in value)
    return not has_digit or ("_" in value and value == value.upper())


def parse_remote_spec(spec: str) -> tuple[str, str]:
    """Split `remote:MODEL@URL` into model and URL; the model's name may contain an @.

    Raises
    ------
    ValueError
        The spec has another form, or its URL holds a user, password, fragment or query. The message repeats nothing
        that may be a secret.

    Examples
    --------
    >>> parse_remote_spec("remote:@cf/meta/llama@https://api.example.org/v1")
    ('@cf/meta/llama', 'https://api.example.org/v1')
    """
    match = re.fullmatch(r"remote:(?P<model>.+)@(?P<url>https?://.*)", spec, re.DOTALL)
    if match is None or "://" in match["model"]:
        raise ValueError("write it as remote:MODEL@URL, the URL with http:// or https://")
    if _may_hold_secret(match["url"]):  # specs are shown in manifests and reports
        raise ValueError(
            f"the URL of {match['model']} holds a user, password or key; put it into the environment"
        )
    return match["model"], match["url"]


def _may_hold_secret(url: str) -> bool:
    """Whether a URL holds more than a location; Azure's api-version in the query is no secret."""
    try:
        parts = urlsplit(url)
    except ValueError:  # not a URL; `open_endpoint` reports that
        return False
    query = parse_qsl(parts.query, keep_blank_values=True)
    return "@" in parts.netloc or bool(parts.fragment) or any(name != "api-version" for name, _ in query)
