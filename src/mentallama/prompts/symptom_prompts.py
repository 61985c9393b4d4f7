"""The prompt that asks a language model for the symptoms that a post mentions, as quotations with a status."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mentallama.prompts.teacher_prompts import POST_END, POST_START, UNTRUSTED_POST, ChatMessage, break_markup

_ROLE = (
    "You help researchers who study how people write about mental health on social media. You mark the passages of a "
    "post that mention a symptom. This is research data about a text: no diagnosis, and no advice."
)
_STATUSES = {
    "present": "the writer has it, now or these days",
    "negated": "the post says that the writer does not have it",
    "uncertain": "the post asks, doubts or supposes it",
    "past": "the writer had it, and the post says that it is over",
    "someone_else": "it is said of another person",
}
_RULES = (
    "The rules:\n"
    "- Quote the shortest passage that says it, copied letter by letter from the post.\n"
    "- Mark what the post says, not what may follow from it. An idiom, such as dying of laughter, is no mention.\n"
    "- The list is empty if the post mentions none."
)
_FORMAT = (
    'Reply with one JSON object and nothing before or after it. Its only key, "mentions", holds a list with one '
    'object for each mention: "quotation" holds the passage, "symptom" and "status" a name from the lists.'
)


def symptom_prompt(text: str, symptoms: Mapping[str, str]) -> list[ChatMessage]:
    """Ask for the mentions in a post. `symptoms` are the meanings by name; `text` is cleaned and masked."""
    lists = [
        "The symptoms:",
        *(f"- {name}: {meaning}" for name, meaning in symptoms.items()),
        "The statuses:",
        *(f"- {name}: {meaning}" for name, meaning in _STATUSES.items()),
    ]
    system = "\n\n".join([_ROLE, UNTRUSTED_POST, "\n".join(lists), _RULES, _FORMAT])
    user = f"{POST_START}{break_markup(text)}{POST_END}\n\nWrite the JSON object."
    return [{"role": "system", "content": system}, {"role": "user", "content": user}]


def symptom_schema(symptoms: Iterable[str]) -> dict[str, Any]:
    """JSON schema of the reply, valid in the strict modes of providers."""
    mention = _object_schema(
        {
            "quotation": {"type": "string"},
            "symptom": {"type": "string", "enum": list(symptoms)},
            "status": {"type": "string", "enum": list(_STATUSES)},
        }
    )
    return _object_schema({"mentions": {"type": "array", "items": mention}})


def _object_schema(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
