"""The body of a chat completion, from an endpoint's settings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mentallama.llm_api.endpoint import Endpoint
from mentallama.prompts import ChatMessage, with_system_role


def chat_body(
    endpoint: Endpoint, messages: Sequence[ChatMessage], response_format: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Build a body with the endpoint's model, role of instructions, sampling and additional fields."""
    settings = endpoint.settings
    fields = {
        "model": endpoint.model,
        "messages": with_system_role(messages, settings.system_role),
        "max_tokens": settings.max_tokens,
        "temperature": settings.temperature,
        "response_format": response_format,
        **settings.extra_body,
    }
    return {name: value for name, value in fields.items() if value is not None}
