"""Placeholders that platforms and programs put in place of a removed text or an unknown author."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mentallama.config.collect import REMOVED_TEXT_PATTERNS, UNKNOWN_AUTHOR_PATTERNS, Collect
from mentallama.text.repair import repair

MAX_PLACEHOLDER_CHARS = 200
"""Longer texts are not compared with the patterns; Reddit's longest mark has 76 characters."""


@dataclass(frozen=True)
class Placeholders:
    """Regular expressions that match a whole cell, in any case."""

    removed_text: tuple[str, ...] = REMOVED_TEXT_PATTERNS
    unknown_author: tuple[str, ...] = UNKNOWN_AUTHOR_PATTERNS

    @classmethod
    def of(cls, settings: Collect) -> Placeholders:
        """The placeholders of a recipe."""
        return cls(settings.removed_text_patterns, settings.unknown_author_patterns)

    def is_removed_text(self, text: str) -> bool:
        """Whether a text only says that the text was removed.

        >>> Placeholders().is_removed_text(" [ Removed by Reddit ] "), Placeholders().is_removed_text("[removed] it")
        (True, False)
        """
        return len(text) <= MAX_PLACEHOLDER_CHARS and _matches(repair(text), self.removed_text)

    def known_author(self, name: str) -> str | None:
        """The name, or None if it stands for an unknown author or nobody."""
        return None if not name or _matches(name, self.unknown_author) else name


def _matches(cell: str, patterns: tuple[str, ...]) -> bool:
    cell = cell.strip()
    if len(cell) > MAX_PLACEHOLDER_CHARS:
        return False
    return any(re.fullmatch(pattern, cell, re.IGNORECASE) for pattern in patterns)
