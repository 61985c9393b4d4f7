"""Features that say which symptoms a post mentions, by status; each belongs to the words of its mention."""

from __future__ import annotations

from functools import cache
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from mentallama.symptoms import find_symptoms


def mention_keys(
    text: str, starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
    """Words that are part of a mention, by index, and the hashed feature of each: one per symptom and status.

    A word in several mentions is there once for each.

    Parameters
    ----------
    starts, ends
        Offsets of the words of the text, in ascending order.
    """
    places: list[int] = []
    keys: list[int] = []
    for mention in find_symptoms(text).mentions:
        first = int(np.searchsorted(ends, mention.start, side="right"))
        stop = int(np.searchsorted(starts, mention.end, side="left"))
        places += range(first, stop)
        keys += [_key(mention.symptom, mention.status)] * max(0, stop - first)
    return np.array(places, np.int64), np.array(keys, np.uint32)


@cache
def _key(symptom: str, status: str) -> int:
    return crc32(f"mention {symptom} {status}".encode())
