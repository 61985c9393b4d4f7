"""Names given by users that become names of files or folders: of a run, a set, a question."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from itertools import count
from typing import Annotated

from pydantic import AfterValidator

MAX_NAME_BYTES = 100
"""Longest name, in bytes of UTF-8. File systems allow 255 bytes, of which our prefixes and endings take some."""

_NAME = re.compile(r"\w(?:[\w.-]*[\w-])?")
_WINDOWS_DEVICE = re.compile(r"(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(?:\..*)?", re.IGNORECASE)


def check_file_name(name: str) -> str:
    """Return the name if it can be the name of a file or folder on every system, and nothing but a name.

    >>> check_file_name("t-sid")
    't-sid'

    Raises
    ------
    ValueError
        The name is a path, is hidden, is reserved, is empty or too long, or holds other characters.
    """
    if _NAME.fullmatch(name) is None or len(name.encode("utf-8", "surrogatepass")) > MAX_NAME_BYTES:
        raise ValueError(
            f"{_shortened(name)} cannot name a file or folder: use 1 to {MAX_NAME_BYTES} letters, digits, _, - and ., "
            "with no - or . at the start and no . at the end"
        )
    if _WINDOWS_DEVICE.fullmatch(name):
        raise ValueError(f"{name!r} cannot name a file or folder: Windows reserves it")
    return name


def _shortened(name: str) -> str:
    return repr(name if len(name) <= 40 else f"{name[:40]}…")


FileName = Annotated[str, AfterValidator(check_file_name)]
"""Type of a setting that becomes the name of a file or folder."""


def identifiers(names: Iterable[str], lower: bool = False) -> list[str]:
    """The end of an identifier for each name, all different; `lower` in lower-case letters of ASCII.

    Behind a letter they are identifiers of Python, also after its normalisation (NFKC).

    >>> identifiers(["t-sid", "t.sid", "DR"])
    ['t_sid', 't_sid_2', 'DR']
    >>> identifiers(["Überlast", "überlast"], lower=True)
    ['_berlast', '_berlast_2']
    """
    chosen: list[str] = []
    for name in names:
        plain = unicodedata.normalize("NFKC", name)
        stem = re.sub(r"[^a-z0-9]", "_", plain.lower()) if lower else "".join(map(_in_identifier, plain))
        candidates = (stem if number == 1 else f"{stem}_{number}" for number in count(1))
        chosen.append(next(each for each in candidates if each not in chosen))
    return chosen


def _in_identifier(char: str) -> str:
    return char if f"x{char}".isidentifier() else "_"
