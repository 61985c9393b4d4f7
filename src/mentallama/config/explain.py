"""Settings of the explain stage: methods of attribution, and on how many posts they are tested."""

from __future__ import annotations

from pydantic import Field, field_validator

from mentallama.config.base import PositiveInt, Settings


class Explain(Settings):
    """Which evidence is computed, and how it is tested."""

    methods: tuple[str, ...] = ()
    """Methods of attribution, the preferred first; default: the model's default. random, with which they are compared,
    is always added."""
    max_posts_per_set: PositiveInt | None = 200
    """Explain the answers about a random sample of this many posts of each set; null: about all posts."""
    resamples: int = Field(default=1000, ge=100, le=1_000_000)
    """Number of bootstrap resamples for the 95 % intervals."""

    @field_validator("methods")
    @classmethod
    def _no_method_twice(cls, methods: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(methods)) < len(methods):
            raise ValueError("a method is named twice")
        return methods
