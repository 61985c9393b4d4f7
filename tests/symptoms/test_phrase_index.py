"""Phrases are found by several threads at once as by one."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest

from mentallama.symptoms.phrase_index import PhraseIndex
from mentallama.symptoms.phrases import phrase_tokens

WORDS = [f"word{chr(97 + first)}{chr(97 + second)}" for first in range(12) for second in range(12)]
PHRASES = {word: [f"{word} … {after}", f"{word} {after}"] for word, after in pairwise(WORDS)}
TEXTS = [" ".join(WORDS[start:] + WORDS[:start]) for start in range(0, len(WORDS), 12)]


@pytest.fixture
def frequent_switches() -> Iterator[None]:
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.usefixtures("frequent_switches")
def test_threads_find_the_same() -> None:
    alone = PhraseIndex(PHRASES, {})
    expected = [alone.find(phrase_tokens(text)) for text in TEXTS]
    assert all(expected)
    for _ in range(10):
        shared = PhraseIndex(PHRASES, {})
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda text, index=shared: index.find(phrase_tokens(text)), TEXTS))
        assert found == expected
