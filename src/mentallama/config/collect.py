"""Settings of `collect`: tables, splits and the leak guard."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from mentallama.config.base import Settings
from mentallama.tasks import Source


class Collect(Settings):
    """How posts are read, cleaned, split and kept apart from test posts."""

    leak_guard: Literal["question", "run"] = "run"
    """run: drop training and validation posts that are copies or near-copies of a test post of any set in the run, and
    training posts that are those of a validation post; needed for a model trained on several sets and for every
    held-out claim. question: compare only posts of the same set."""
    held_out: tuple[str, ...] = ()
    """Sets that are only tested on: their training and validation posts are dropped."""
    validation_share: float = Field(default=0.1, ge=0, lt=0.5)
    test_share: float = Field(default=0.0, ge=0, lt=0.5)
    """Share of posts drawn for a split that the files of a set do not define."""
    allowed_rejects: float = Field(default=0.01, ge=0, le=1)
    """Largest share of rejected rows at which the command still exits with code 0 rather than 3."""
    tables: dict[str, tuple[Source, ...]] = {}
    """The user's tables by set: files below sources/<set>/ and their field maps."""
    author_salt: str = "mentallama"
    """Salt for the hashes of author names."""

    @model_validator(mode="after")
    def _held_out_needs_the_run_level(self) -> Collect:
        if self.held_out and self.leak_guard != "run":
            raise ValueError(
                "held_out needs leak_guard: run, because a post may be in the training rows of another set"
            )
        return self
