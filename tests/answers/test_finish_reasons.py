"""Finish reasons of servers, in the spellings of many providers."""

from __future__ import annotations

import pytest

from mentallama.answers.finish_reasons import finish_reason_status
from mentallama.answers.parse import read_answer

TRUNCATED = (
    "length", "LENGTH", "max_tokens", "MAX_TOKENS", "FinishReason.MAX_TOKENS", "FINISH_REASON_MAX_TOKENS", "maxTokens",
    "max-tokens", "max tokens", "max_output_tokens", "max_new_tokens", "max_completion_tokens", "token_limit",
    "model_length", "model_context_window_exceeded", "context_length_exceeded", "incomplete", "ERROR_LIMIT",
    "REASON_MAX_LEN", "time_limit", "TIMEOUT", "abort", "cancelled", "USER_CANCEL", "not_finished", "error",
    "ALTERNATIVE_STATUS_TRUNCATED_FINAL", "insufficient_system_resource", "pause_turn", "2",
)  # fmt: skip
REFUSED = (
    "content_filter", "CONTENT_FILTER", "content_filtered", "contentFiltered", "refusal", "safety", "SAFETY",
    "FinishReason.SAFETY", "PROHIBITED_CONTENT", "BLOCKLIST", "RECITATION", "SPII", "IMAGE_SAFETY", "blocked",
    "guardrail_intervened", "ERROR_TOXIC", "sensitive", "blacklist", "MODEL_ARMOR", "content-policy-violation", "3",
)  # fmt: skip
WHOLE = (
    None, "", "stop", "STOP", "FinishReason.STOP", "FINISH_REASON_STOP", "stop_sequence", "stopSequence", "end_turn",
    "endoftext", "eos", "eos_token", "COMPLETE", "completed", "finished", "tool_calls", "function_call", "null",
    "FINISH_REASON_UNSPECIFIED", "normal", "1", "0",
)  # fmt: skip


@pytest.mark.parametrize("reason", TRUNCATED)
def test_a_limit_or_an_interruption_truncates(reason: str) -> None:
    assert finish_reason_status(reason) == "truncated"


@pytest.mark.parametrize("reason", REFUSED)
def test_a_content_filter_refuses(reason: str) -> None:
    assert finish_reason_status(reason) == "refused"


@pytest.mark.parametrize("reason", WHOLE)
def test_a_natural_end_leaves_the_decision_to_the_text(reason: str | None) -> None:
    assert finish_reason_status(reason) is None
    assert read_answer("SAD", "work", finish_reason=reason).label == "work"


@pytest.mark.parametrize(
    ("reason", "status"), [("MAX_TOKENS", "truncated"), ("PROHIBITED_CONTENT", "refused")]
)
def test_a_cut_or_blocked_answer_has_no_label_even_if_its_text_has_one(reason: str, status: str) -> None:
    reading = read_answer("SAD", "This post shows the stress cause related to work.", finish_reason=reason)
    assert (reading.status, reading.label) == (status, None)
    assert reason in str(reading.reason)
