"""Settings of the explain stage: methods of attribution, and on how many posts they are tested."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import (
    BeforeValidator,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    field_validator,
    model_validator,
)

from mentallama.config.base import PositiveInt, Settings, Share
from mentallama.config.endpoint import EndpointSettings, parse_remote_spec

WRITER_KINDS = ("remote", "causal", "scripted")


class BoundText(EndpointSettings):
    """A language model that writes reasons from the evidence alone (`text: bound`), and how they are verified. The
    spec alone is enough if the defaults fit; prices, limits and keys apply to remote models only."""

    spec: str
    """remote:MODEL@URL, causal:MODEL for a chat model on this machine, or scripted:FILE with replies in a file."""
    top_k: PositiveInt = 3
    """Number of evidence spans that a reason may use: those with the largest weights for the answer."""
    max_attempts: PositiveInt = 3
    """How often a reason is asked for before it counts as rejected."""
    max_concurrency: PositiveInt = 64
    """Maximum number of concurrent requests; lowered automatically when the server is overloaded."""
    timeout: PositiveFloat = 120.0
    """Seconds before one request times out."""
    max_failed_share: Share = 0.1
    """Largest share of reasons whose requests may fail; above it the command fails, and sends them again when it is
    repeated."""
    budget: NonNegativeFloat | None = None
    """Maximum total cost of the ledger; checked before each request is sent."""
    allow_remote: tuple[str, ...] = ()
    """Sets under an agreement of whose posts the evidence may be sent to a remote model nevertheless."""

    @property
    def kind(self) -> str:
        """One of `WRITER_KINDS`."""
        return self.spec.partition(":")[0]

    @property
    def location(self) -> str:
        """The part of the spec after its kind."""
        return self.spec.partition(":")[2]

    @model_validator(mode="after")
    def _check_spec(self) -> BoundText:
        if self.kind == "remote":
            parse_remote_spec(self.spec)
        elif self.kind not in WRITER_KINDS or not self.location:
            shown = self.kind if "@" in self.spec else self.spec  # an @ may be part of a URL with a password
            raise ValueError(
                f"{shown!r} writes no reasons; choose remote:MODEL@URL, causal:MODEL or scripted:FILE"
            )
        if self.budget is not None and self.input_price is None:
            raise ValueError("a budget needs input_price and output_price")
        return self


def _as_writer(value: object) -> object:
    return {"spec": value} if isinstance(value, str) else value


class Explain(Settings):
    """Which evidence is computed, and how it is tested."""

    methods: tuple[str, ...] = ()
    """Methods of attribution, the preferred first; default: the model's default. random, with which they are compared,
    is always added."""
    max_posts_per_set: PositiveInt | None = 200
    """Explain the answers about a random sample of this many posts of each set; null: about all posts."""
    text: Literal["none", "bound"] = "none"
    """bound: a language model (`bound`) writes a reason for each answer that may only use the evidence, and it is
    verified."""
    bound: Annotated[BoundText, BeforeValidator(_as_writer)] | None = None
    """The language model that writes the reasons: its spec, or a mapping."""
    resamples: int = Field(default=1000, ge=100, le=1_000_000)
    """Number of bootstrap resamples for the 95 % intervals."""

    @field_validator("methods")
    @classmethod
    def _no_method_twice(cls, methods: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(methods)) < len(methods):
            raise ValueError("a method is named twice")
        return methods

    @model_validator(mode="after")
    def _text_has_a_writer(self) -> Explain:
        if (self.text == "bound") != (self.bound is not None):
            raise ValueError("text: bound and the model that writes, as bound: remote:MODEL@URL, go together")
        return self
