"""Settings of `collect`: tables, splits and the leak guard."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, field_validator, model_validator

from mentallama.config.base import Settings
from mentallama.tasks import Source

REMOVED_TEXT_PATTERNS = (
    r"[^\w\[]*\[\W*(removed|deleted|unavailable|redacted|withheld)\b[^\[\]]*\]\W*",
    r"(nan|null|<na>|\\n)",
    r"#(n/a|null!|ref!|value!|div/0!|name\?|num!)",
)
"""Reddit's marks (`[removed]`, `[ Removed by Reddit … ]`), missing values of programs, and errors of spreadsheets. Not
"none" or "NA", which people write."""

UNKNOWN_AUTHOR_PATTERNS = (
    r"[\W_]*",
    r"\[.*\]",
    r"(/?u/)?[\W_]*(deleted|removed|suspended|unknown|anonymous|none|null|nan|na|n/a)[\W_]*(user|author|account)?\W*",
)
"""Names that stand for many people: no letter, anything in brackets, and words for an unknown or deleted account."""


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
    phone_regions: tuple[str, ...] = ()
    """Countries of the posts, as ISO codes such as KR, GB or FR: their phone numbers are masked in every national
    format; needs `mentallama[pii]`. Without it, only numbers that their form gives away are masked: those with a
    country code, an area code in parentheses or a leading 0, and North American ones."""
    author_salt: str = "mentallama"
    """Salt for the hashes of author names."""
    removed_text_patterns: tuple[str, ...] = REMOVED_TEXT_PATTERNS
    """Regular expressions. A text of a table that one of them matches as a whole, in any case, stands for removed text;
    its row is rejected."""
    unknown_author_patterns: tuple[str, ...] = UNKNOWN_AUTHOR_PATTERNS
    """Regular expressions for names that stand for an unknown author; such posts are not kept together."""

    @field_validator("removed_text_patterns", "unknown_author_patterns")
    @classmethod
    def _patterns_compile(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            try:
                re.compile(pattern)
            except re.error as fault:
                raise ValueError(f"{pattern!r} is not a regular expression: {fault}") from None
        return patterns

    @model_validator(mode="after")
    def _held_out_needs_the_run_level(self) -> Collect:
        if self.held_out and self.leak_guard != "run":
            raise ValueError(
                "held_out needs leak_guard: run, because a post may be in the training rows of another set"
            )
        return self
