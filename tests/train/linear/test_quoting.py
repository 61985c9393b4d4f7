"""The weight above which phrases are quoted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mentallama.train.linear.quoting import QuotedPhrase, best_weight

PHRASES = st.lists(
    st.tuples(st.sampled_from([0.5, 1.0, 2.0, 3.0]), st.integers(1, 5), st.integers(0, 5)).map(
        lambda drawn: QuotedPhrase(drawn[0], drawn[1], min(drawn[1:]))
    ),
    max_size=8,
)


def test_the_best_weight_by_hand() -> None:
    phrases = [QuotedPhrase(2.0, 2, 2), QuotedPhrase(1.0, 3, 0), QuotedPhrase(0.4, 2, 2)]
    # Words: F1 is 4/6 with the first, 4/9 with two, 8/11 with all.
    assert best_weight(phrases, 4) == 0.0
    # With more that is not found, still; without the last, the first alone is best.
    assert best_weight(phrases[:2], 4) == 1.5
    assert best_weight([QuotedPhrase(1.0, 3, 0)], 4) == 0.0
    assert best_weight([], 4) == 0.0


@given(PHRASES, st.integers(0, 9))
def test_no_other_weight_has_a_higher_f1(phrases: list[QuotedPhrase], missed: int) -> None:
    n_annotated = missed + sum(phrase.n_annotated for phrase in phrases)

    def f1(weight: float) -> float:
        quoted = [phrase for phrase in phrases if phrase.weight > weight]
        n_words = sum(phrase.n_words for phrase in quoted)
        return 2 * sum(phrase.n_annotated for phrase in quoted) / max(1, n_words + n_annotated)

    assert f1(best_weight(phrases, n_annotated)) == pytest.approx(max(f1(w) for w in (0, 0.6, 1.5, 2.5)))
