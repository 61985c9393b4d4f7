"""Suggestions for misspelled names, for error messages."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Suggest the closest known name, or list all of them if none is close.

    >>> did_you_mean("dreadit", ["DR", "dreaddit"])
    'did you mean dreaddit?'
    >>> did_you_mean("x", ["DR", "dreaddit"])
    'known are DR, dreaddit'
    """
    by_lower = {candidate.lower(): candidate for candidate in known}
    closest = difflib.get_close_matches(name.lower(), by_lower, n=1)
    return f"did you mean {by_lower[closest[0]]}?" if closest else f"known are {', '.join(by_lower.values())}"
