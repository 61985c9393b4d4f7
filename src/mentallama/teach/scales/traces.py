"""Records of how a scale was filled: every step, and what became of every item."""

from __future__ import annotations

from typing import Literal

from mentallama.records import Record, Span

StepKind = Literal["item", "check", "decision"]
StepOutcome = Literal["filled", "left open", "accepted", "objections", "rejected", "refused", "answered"]


class ScaleStep(Record):
    """One request: an item that the model fills, a check of the filled items, or the decision on the question."""

    step: StepKind
    model: str
    """Model of the endpoint that was asked."""
    request_hash: str
    item: str | None = None
    level: str | None = None
    statement: str = ""
    quotations: tuple[str, ...] = ()
    outcome: StepOutcome
    """Of an item: filled, left open (the post tells no level), rejected by the program, or refused. Of a check:
    accepted, objections, rejected because it cannot be read, or refused. Of a decision: answered or refused."""
    objections: dict[str, str] = {}
    """Objections of the program or the checker, by item; with a check itself, under `check`."""


class ScaleItem(Record):
    """Outcome of an item: its level with the evidence for it, or the reason why it is not filled."""

    item: str
    level: str | None = None
    score: int | None = None
    """Number of the level."""
    statement: str = ""
    quotations: tuple[str, ...] = ()
    spans: tuple[Span, ...] = ()
    """Places of the quotations in the post."""
    revisions: int = 0
    """How often the item was sent back."""
    reason: str | None = None


class ScaleSum(Record):
    """A sum of filled items by the rule of the criterion pack. `value` is None, with a reason, if items are missing."""

    name: str
    value: float | None
    minimum: int
    maximum: int
    band: str | None = None
    reason: str | None = None


class ScaleTrace(Record):
    """How a teacher filled a scale for one question about a post, and answered the question."""

    example_id: str
    post_id: str
    model: str
    """Name of the teacher in the responses."""
    scale: str
    items: tuple[ScaleItem, ...]
    sums: tuple[ScaleSum, ...] = ()
    flags: dict[str, bool | None] = {}
    """Items that the pack reports by themselves; None if the item is not filled."""
    notice: str | None = None
    """The non-clinical notice, beside sums and flags."""
    steps: tuple[ScaleStep, ...]
    """In the order in which they were asked for; several items are asked at the same time."""
