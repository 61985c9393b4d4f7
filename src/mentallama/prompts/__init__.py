"""Prompts for teachers and analysts, their examples, and the check that no example is a test post."""

from mentallama.prompts.answer_forms import answer_object, answer_schema
from mentallama.prompts.teacher_prompts import (
    PROMPTS_VERSION,
    ChatMessage,
    FewShotExample,
    PromptMode,
    SchemaMode,
    break_markup,
    json_response_format,
    prompt_instructions,
    response_format,
    teacher_prompt,
    with_system_role,
)

__all__ = [
    "PROMPTS_VERSION",
    "ChatMessage",
    "FewShotExample",
    "PromptMode",
    "SchemaMode",
    "answer_object",
    "answer_schema",
    "break_markup",
    "json_response_format",
    "prompt_instructions",
    "response_format",
    "teacher_prompt",
    "with_system_role",
]
