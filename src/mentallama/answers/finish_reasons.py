"""Tell from a server's finish reason whether an answer was truncated or refused, in any provider's spelling.

Whoever calls a model asks `finish_reason_status`. A reason that names a failed call, `error`, is handled before, by
`llm_api.transport.error_body`.
"""

from __future__ import annotations

import re
from typing import Literal

_REFUSED_PARTS = (
    "filter", "safe", "refus", "guardrail", "intervened", "prohibit", "forbid", "disallow", "recitation", "spii",
    "toxic", "sensitiv", "moderat", "polic", "violat", "blocked", "blocklist", "blacklist", "denied", "armor", "censor",
    "declin", "copyright", "inspection",
)  # fmt: skip
_TRUNCATED_PARTS = (
    "length", "max", "limit", "truncat", "incomplete", "exceed", "cutoff", "partial", "timeout", "timedout", "abort",
    "cancel", "interrupt", "pause", "notfinished", "unfinished", "overflow", "insufficient", "window", "error", "fail",
)  # fmt: skip
_NUMERIC: dict[str, Literal["truncated", "refused"]] = {
    "2": "truncated",
    "3": "refused",
    "4": "refused",
    "6": "refused",
    "7": "refused",
    "8": "refused",
}
"""Gemini's enum as a number: MAX_TOKENS, SAFETY, RECITATION, and its lists of blocked content."""


def finish_reason_status(finish_reason: str | None) -> Literal["truncated", "refused"] | None:
    """The status of an answer whose generation ended for this reason; None if the text alone decides.

    Only letters and digits count, in any case, so `MAX_TOKENS`, `FinishReason.MAX_TOKENS`, `maxTokens` and `max-tokens`
    are one reason. Reasons of a content filter are "refused". Reasons of a limit, an error or an interruption are
    "truncated". None for a natural end ("stop", "end_turn", "eos_token", "COMPLETE"), for tool calls, and for reasons
    that say nothing about the text.

    >>> finish_reason_status("FinishReason.MAX_TOKENS")
    'truncated'
    >>> finish_reason_status("SAFETY")
    'refused'
    >>> finish_reason_status("end_turn") is None
    True
    """
    letters = re.sub(r"[\W_]+", "", finish_reason or "").lower()
    if any(part in letters for part in _REFUSED_PARTS):
        return "refused"
    if any(part in letters for part in _TRUNCATED_PARTS):
        return "truncated"
    return _NUMERIC.get(letters)
