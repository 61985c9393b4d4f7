"""Words ranked by weights, and random words in passages of the same lengths."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mentallama.explain.word_ranking import random_words_in_runs, run_lengths, top_words


@pytest.mark.parametrize(
    ("share", "n_words", "count"),
    [(0.01, 3, 1), (0.05, 20, 1), (0.05, 21, 2), (0.1, 10, 1), (0.2, 10, 2), (0.5, 5, 3), (0.5, 1, 1)],
)
def test_a_fraction_of_a_word_is_a_word(share: float, n_words: int, count: int) -> None:
    assert len(top_words(np.arange(n_words, dtype=float), share)) == count


def test_the_largest_weights_come_first_and_of_equal_ones_the_first() -> None:
    weights = np.array([0.0, -3.0, 2.0, 0.0, 1.0])
    assert top_words(weights, 0.2) == (2,)
    assert top_words(weights, 0.4) == (2, 4)
    assert top_words(weights, 0.6) == (0, 2, 4)


CHOICES = st.integers(1, 12).flatmap(
    lambda n_words: st.tuples(st.just(n_words), st.sets(st.integers(0, n_words - 1)).map(sorted))
)


@given(CHOICES, st.integers(0, 2**32))
def test_random_words_are_as_many_in_passages_at_least_as_long(
    choice: tuple[int, list[int]], seed: int
) -> None:
    n_words, chosen = choice
    found = random_words_in_runs(chosen, n_words, np.random.default_rng(seed))
    assert list(found) == sorted(set(found))
    assert len(found) == len(chosen)
    assert all(0 <= index < n_words for index in found)
    assert len(run_lengths(found)) <= len(run_lengths(chosen))
    assert max(run_lengths(found), default=0) >= max(run_lengths(chosen), default=0)


def test_every_place_of_a_passage_is_equally_likely() -> None:
    rng = np.random.default_rng(0)
    firsts = [random_words_in_runs((0, 1, 2), 5, rng)[0] for _ in range(3000)]
    # three places, 1,000 draws each on average with a standard deviation of 26
    assert all(870 < firsts.count(place) < 1130 for place in range(3))
