"""Fill a scale: the dialogue with the model that fills it and the one that checks it.

All items are asked for at once. What the program finds wrong with a reply (no JSON, no such level, a quotation that is
not in the post) goes back before the checker is asked at all. The checker then sees all filled items and sends single
ones back; after that it sees the revised ones only. An item may come back `per_item` times, and all items of a post
together `total` times. What is still in dispute then is not filled.

Requests for one post: one per item, one check if any item is filled, one per revision, and one further check after
each round of revisions of which an item is filled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from mentallama.llm_api.dialogues import Ask, Dialogue
from mentallama.llm_api.types import Completion
from mentallama.prompts import ChatMessage
from mentallama.prompts.scale_prompts import (
    ItemAnswer,
    Scale,
    check_again,
    check_prompt,
    check_schema,
    check_unreadable,
    item_prompt,
    item_schema,
    item_sent_back,
)
from mentallama.tasks import Task
from mentallama.teach.scales.replies import CheckReply, ItemReply, read_check_reply, read_item_reply
from mentallama.teach.scales.traces import ScaleStep, StepOutcome

TEACHER, CHECKER = "teacher", "checker"
"""Roles of the models in a dialogue."""

NOT_TOLD = "the post tells no level"
REFUSED = "the model refuses to fill it"
NOT_CHECKED = "the check was refused or could not be read"
DISPUTED = "sent back too often"
"""Why an item is not filled; the last one is followed by the reason for which it was sent back."""


class AskFunction(Protocol):
    """Addresses messages to the model of a role, which is to reply with a JSON object if there is a schema."""

    def __call__(
        self, role: str, messages: Sequence[ChatMessage], schema: dict[str, Any] | None = None
    ) -> Ask: ...


class FillingStopped(Exception):
    """The scale cannot be filled: a request failed, or a check or all items were refused or could not be read."""

    def __init__(self, state: Literal["failed", "refused", "unparsed"], reason: str) -> None:
        super().__init__(reason)
        self.state, self.reason = state, reason


@dataclass(frozen=True)
class RevisionLimits:
    """How often one item may be sent back, and all items of a post together."""

    per_item: int
    total: int


@dataclass
class ItemState:
    """An item while the scale is being filled. `reason`: why it stays without an answer."""

    messages: list[ChatMessage]
    reply: str = ""
    answer: ItemAnswer | None = None
    reason: str | None = None
    revisions: int = 0


@dataclass
class ScaleFilling:
    """The dialogue about one post. When `run` has ended, `items` and `steps` hold the result."""

    scale: Scale
    task: Task
    text: str
    limits: RevisionLimits
    ask: AskFunction
    items: dict[str, ItemState] = field(init=False)
    steps: list[ScaleStep] = field(default_factory=list)
    _revisions: int = 0
    """Replies that were sent back so far, the checker's included."""
    _check_messages: list[ChatMessage] = field(default_factory=list)
    _check_reply: str = ""

    def __post_init__(self) -> None:
        self.items = {name: ItemState(item_prompt(self.scale, name, self.text)) for name in self.scale.items}

    @property
    def filled(self) -> dict[str, ItemAnswer]:
        """The filled items, in the order of the scale."""
        return {name: state.answer for name, state in self.items.items() if state.answer is not None}

    def run(self) -> Dialogue[None]:
        """Fill and check until nothing is sent back.

        Raises
        ------
        FillingStopped
            A request has no reply with which the filling could go on, or no reply about any item could be used.
        """
        names = list(self.items)
        while names:
            yield from self._fill(names)
            answered = {name: answer for name, answer in self.filled.items() if name in names}
            names = (yield from self._check(answered)) if answered else []
        self._stop_if_unusable()

    def _stop_if_unusable(self) -> None:
        """Raise if no reply about any item could be used: that is no answer that the post tells nothing."""
        reasons = {state.reason for state in self.items.values()}
        if reasons == {REFUSED}:
            raise FillingStopped("refused", "the model refuses to fill any item")
        if not reasons & {None, NOT_TOLD}:
            raise FillingStopped("unparsed", "no item could be filled")

    def abandon(self) -> None:
        """Leave all items unfilled that have an answer: not all of them were checked."""
        for state in self.items.values():
            state.reason = state.reason or NOT_CHECKED
            state.answer = None

    # The model that fills

    def _fill(self, names: Sequence[str]) -> Dialogue[None]:
        """Ask for items, and again for those that the program sends back."""
        schema = item_schema(self.scale)
        while names:
            completions = yield [self.ask(TEACHER, self.items[name].messages, schema) for name in names]
            _stop_if_failed(completions)
            replies = zip(names, completions, strict=True)
            names = [name for name, completion in replies if self._take_item(name, completion)]

    def _take_item(self, name: str, completion: Completion) -> bool:
        """Take a reply about an item; returns whether the item is asked for again."""
        reply, state = read_item_reply(self.task, self.scale, self.text, completion), self.items[name]
        self.steps.append(_item_step(name, completion, reply))
        state.reply = completion.text
        if reply.status == "fault":
            return self._send_back(name, reply.fault)
        state.answer = reply.answer
        if reply.answer is None:
            state.reason = REFUSED if reply.status == "refused" else NOT_TOLD
        return False

    def _send_back(self, name: str, reason: str) -> bool:
        """Prepare to ask for an item again; one that has come back too often stays unfilled."""
        state = self.items[name]
        state.answer = None
        if state.revisions == self.limits.per_item or self._revisions == self.limits.total:
            state.reason = f"{DISPUTED}: {reason}"
            return False
        self._revisions += 1
        state.revisions += 1
        state.messages += item_sent_back(state.reply, reason)
        return True

    # The model that checks

    def _check(self, answered: Mapping[str, ItemAnswer]) -> Dialogue[list[str]]:
        """Have filled items checked; returns those that are asked for again. Objections to others do not count."""
        if self._check_reply:
            self._check_messages += check_again(self.scale, self._check_reply, answered)
        else:
            self._check_messages += check_prompt(self.scale, self.text, answered)
        objections = yield from self._read_check()
        return [name for name in answered if name in objections and self._send_back(name, objections[name])]

    def _read_check(self) -> Dialogue[Mapping[str, str]]:
        """The checker's objections by item. A check that cannot be read is repeated, as often as an item may be."""
        for n_repeated in range(self.limits.per_item + 1):
            completions = yield [self.ask(CHECKER, self._check_messages, check_schema(self.scale))]
            _stop_if_failed(completions)
            (completion,) = completions
            reply = read_check_reply(self.task, self.scale, completion)
            self.steps.append(_check_step(completion, reply))
            if reply.status == "read":
                self._check_reply = completion.text
                return reply.objections
            if reply.status == "refused":
                raise FillingStopped("refused", "the checker refuses")
            if n_repeated == self.limits.per_item or self._revisions == self.limits.total:
                break
            self._revisions += 1
            self._check_messages += check_unreadable(completion.text, reply.fault)
        raise FillingStopped("unparsed", f"the check cannot be read: {reply.fault}")


def _stop_if_failed(completions: Sequence[Completion]) -> None:
    failed = next((completion for completion in completions if completion.state == "failed"), None)
    if failed is not None:
        raise FillingStopped("failed", failed.reason or "no reason")


def _item_step(name: str, completion: Completion, reply: ItemReply) -> ScaleStep:
    outcomes: dict[str, StepOutcome] = {
        "fault": "rejected",
        "refused": "refused",
        "read": "filled" if reply.answer is not None else "left open",
    }
    answer = reply.answer
    return ScaleStep(
        step="item",
        model=completion.model,
        request_hash=completion.hash,
        outcome=outcomes[reply.status],
        item=name,
        level=None if answer is None else answer.level,
        statement="" if answer is None else answer.statement,
        quotations=() if answer is None else answer.quotations,
        objections={name: reply.fault} if reply.fault else {},
    )


def _check_step(completion: Completion, reply: CheckReply) -> ScaleStep:
    outcomes: dict[str, StepOutcome] = {
        "fault": "rejected",
        "refused": "refused",
        "read": "objections" if reply.objections else "accepted",
    }
    return ScaleStep(
        step="check",
        model=completion.model,
        request_hash=completion.hash,
        outcome=outcomes[reply.status],
        objections={"check": reply.fault} if reply.fault else dict(reply.objections),
    )
