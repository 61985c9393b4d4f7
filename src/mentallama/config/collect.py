"""How posts are gathered."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from mentallama.config.base import Settings
from mentallama.tasks import Source


class Collect(Settings):
    """How posts are gathered, cleaned, split and guarded."""

    leak_guard: Literal["question", "run"] = "run"
    """run: a training post goes if it stands in any test set of the run; needed for every model that learns several
    sets at once and for any held-out claim. question: only if it stands in test rows of its own set."""
    held_out: tuple[str, ...] = ()
    """Sets whose training and validation posts are left out, to be tested on only."""
    validation_share: float = Field(default=0.1, ge=0, lt=0.5)
    test_share: float = Field(default=0.0, ge=0, lt=0.5)
    """Share of posts drawn for a split that a set's files do not give."""
    allowed_rejects: float = Field(default=0.01, ge=0, le=1)
    """Share of rows that may be rejected before the command ends with exit code 3."""
    tables: dict[str, tuple[Source, ...]] = {}
    """Declared tables by set: files below sources/<set>/ with their field maps."""
    author_salt: str = "mentallama"
    """Goes into the hash of every author name."""

    @model_validator(mode="after")
    def _held_out_needs_the_run_level(self) -> Collect:
        if self.held_out and self.leak_guard != "run":
            raise ValueError(
                "held_out needs leak_guard: run, for a post may stand in another set's training rows"
            )
        return self
