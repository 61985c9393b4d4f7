"""Changes of a post that leave its meaning: typing errors and letter case. Masked personal data are never touched."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

from mentallama.text.pii import PLACEHOLDER

_PLACEHOLDERS = re.compile(f"({PLACEHOLDER.pattern})")
_WORD = re.compile(r"[^\W\d_]{4,}")
"""Words that get a typing error; shorter ones would often become other words."""


def add_typos(text: str, rng: random.Random, rate: float) -> str:
    """One typing error in each word of four or more letters, with probability `rate` (0-1).

    Two letters change places, or one is missing or doubled; the first and the last letter of a word stay.

    >>> add_typos("tired of everything [name]", random.Random(1), 1.0)
    'tirred of eveything [name]'
    """

    def edit(match: re.Match[str]) -> str:
        return rng.choice(_EDITS)(match[0], rng) if rng.random() < rate else match[0]

    return _outside_placeholders(text, lambda part: _WORD.sub(edit, part))


def to_upper(text: str) -> str:
    """The text in capitals; letters without a single capital letter, such as ß, stay."""
    return _outside_placeholders(text, lambda part: "".join(map(_upper, part)))


def to_lower(text: str) -> str:
    """The text in small letters; letters without a single small letter stay."""
    return _outside_placeholders(text, lambda part: "".join(map(_lower, part)))


def _outside_placeholders(text: str, change: Callable[[str], str]) -> str:
    parts = _PLACEHOLDERS.split(text)  # every second part is a placeholder
    return "".join(part if number % 2 else change(part) for number, part in enumerate(parts))


def _swap(word: str, rng: random.Random) -> str:
    index = rng.randrange(1, len(word) - 2)
    swapped = word[:index] + word[index + 1] + word[index] + word[index + 2 :]
    return swapped if swapped != word else _double(word, rng)


def _drop(word: str, rng: random.Random) -> str:
    index = rng.randrange(1, len(word) - 1)
    return word[:index] + word[index + 1 :]


def _double(word: str, rng: random.Random) -> str:
    index = rng.randrange(1, len(word) - 1)
    return word[:index] + word[index] + word[index:]


_EDITS = (_swap, _drop, _double)


def _upper(char: str) -> str:
    return upper if len(upper := char.upper()) == 1 else char


def _lower(char: str) -> str:
    return lower if len(lower := char.lower()) == 1 else char
