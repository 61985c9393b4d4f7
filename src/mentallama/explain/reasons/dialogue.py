"""The dialogue with the model that writes a reason: it is asked again until the reason is verified, or given up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from mentallama.explain.reasons.verification import BoundAnswer, verify_reason
from mentallama.llm_api.dialogues import Ask, Dialogue
from mentallama.llm_api.types import failure_kind
from mentallama.prompts import ChatMessage
from mentallama.prompts.bound_prompts import bound_again, bound_prompt
from mentallama.records import Form, Record, Span

WRITER = "writer"
"""The role of the model."""

ReasonStatus = Literal["accepted", "rejected", "refused", "failed", "no evidence"]


class BoundReason(Record):
    """A reason that a language model wrote from the evidence of an answer: a line of `reasons.jsonl.zst`.

    `text` is the sentence of the answer and the reason, and only an accepted one has it. A reason is rejected if it did
    not pass the verification in any attempt, refused if the model declined to write it; a failed request can be sent
    again. `no evidence`: nothing in the post speaks for the answer, so nobody was asked.
    """

    example_id: str
    post_id: str
    set: str
    question: str
    label: str
    method: str
    """Method of attribution."""
    model: str
    spans: tuple[Span, ...]
    """The passages that the reason may use, the weightiest first."""
    status: ReasonStatus
    text: str | None = None
    attempts: int = 0
    """Requests, those included that an earlier run sent."""
    unused: tuple[Span, ...] = ()
    """Passages that an accepted reason does not quote."""
    faults: tuple[str, ...] = ()
    """Kinds of fault of all rejected attempts, without text of the post."""


class WrittenReason(Record):
    """The result of a dialogue; `unused` are passages."""

    status: ReasonStatus
    text: str | None = None
    attempts: int = 0
    unused: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()


def reason_dialogue(
    answer: BoundAnswer, question: str, max_attempts: int, ask: Callable[[Sequence[ChatMessage]], Ask]
) -> Dialogue[WrittenReason]:
    """Have a reason written, and verify it. `ask` addresses messages to the model."""
    if not answer.passages:
        return WrittenReason(status="no evidence")
    form: Form = "instruction"
    messages = bound_prompt(answer.task, question, answer.label, answer.passages)
    faults: list[str] = []
    for attempt in range(1, max_attempts + 1):
        (completion,) = yield [ask(messages)]
        if completion.state == "failed":
            kinds = (*faults, failure_kind(completion.reason))
            return WrittenReason(status="failed", attempts=attempt, faults=kinds)
        found = verify_reason(answer, completion.text, form, completion.finish_reason)
        if completion.state == "refused" or "refused" in found.kinds:
            return WrittenReason(status="refused", attempts=attempt, faults=tuple(faults))
        if not found.faults:
            unused = tuple(passage for passage in answer.passages if passage not in found.used)
            return WrittenReason(
                status="accepted",
                text=completion.text.strip(),
                attempts=attempt,
                unused=unused,
                faults=tuple(faults),
            )
        faults += found.kinds
        messages = [*messages, *bound_again(completion.text, found.faults)]
    return WrittenReason(status="rejected", attempts=max_attempts, faults=tuple(faults))
