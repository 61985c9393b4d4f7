"""Bootstrap intervals over posts."""

import numpy as np
import pytest
from sklearn.metrics import f1_score

from mentallama.metrics.bootstrap import Resampling, bootstrap_interval, count_draws
from mentallama.metrics.classification import weighted_f1


def tables(posts: int, questions: int = 1, seed: int = 1) -> np.ndarray:
    """Posts with `questions` equal rows each: two labels, right in 7 of 10."""
    draw = np.random.default_rng(seed)
    counts = np.zeros((posts, 2, 5), dtype=np.int64)
    gold = draw.integers(2, size=posts)
    predicted = np.where(draw.random(posts) < 0.7, gold, 1 - gold)
    counts[np.arange(posts), gold, predicted] = questions
    return counts


def test_draws_are_counted() -> None:
    drawn = np.array([[0, 1, 1], [2, 2, 2]])
    assert count_draws(drawn, 3).tolist() == [[1, 2, 0], [0, 0, 3]]


def test_all_right_is_100_to_100() -> None:
    counts = np.zeros((5, 2, 5), dtype=np.int64)
    counts[:, 0, 0] = 1
    assert bootstrap_interval(counts, weighted_f1, Resampling()) == (100.0, 100.0)


def test_one_post_has_no_interval() -> None:
    assert bootstrap_interval(tables(1), weighted_f1, Resampling()) is None


def test_the_same_seed_gives_the_same_interval() -> None:
    first, again, other = (bootstrap_interval(tables(60), weighted_f1, Resampling(seed=s)) for s in (3, 3, 4))
    assert first == again
    assert first != other


def test_posts_are_drawn_whole() -> None:
    # Six equal rows a post say no more than one row a post: the interval must not shrink.
    one, six = (bootstrap_interval(tables(80, questions), weighted_f1, Resampling()) for questions in (1, 6))
    assert one == pytest.approx(six)


def test_equal_to_resampling_rows_one_by_one() -> None:
    # The slow way: draw row numbers and ask scikit-learn. Ends agree within the draws' own error.
    counts = tables(120)
    gold, predicted = (np.nonzero(counts)[axis] for axis in (1, 2))
    draw = np.random.default_rng(0)
    slow = [
        100 * f1_score(gold[i], predicted[i], average="weighted")
        for i in (draw.integers(120, size=120) for _ in range(1000))
    ]
    found = bootstrap_interval(counts, weighted_f1, Resampling())
    assert found == pytest.approx(tuple(np.percentile(slow, [2.5, 97.5])), abs=1.2)


def test_batches_do_not_change_the_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = bootstrap_interval(tables(50), weighted_f1, Resampling())
    monkeypatch.setattr("mentallama.metrics.bootstrap.MAX_DRAWN_INDICES", 50 * 7)  # 7 resamples at a time
    assert bootstrap_interval(tables(50), weighted_f1, Resampling()) == whole
