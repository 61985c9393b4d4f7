"""What may have been meant."""

from __future__ import annotations

import difflib


def did_you_mean(name: str, known: list[str]) -> str:
    """The name that is nearest to what was written, or all that there are."""
    by_lower = {each.lower(): each for each in known}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.5)
    return f"did you mean {by_lower[near[0]]}?" if near else f"known are {', '.join(known)}"
