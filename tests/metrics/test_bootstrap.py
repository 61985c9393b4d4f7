"""Bootstrap intervals over posts."""

import numpy as np
import pytest
from scipy.stats import norm, t
from sklearn.metrics import f1_score

from mentallama.metrics.bootstrap import (
    Resampling,
    bootstrap_distribution,
    bootstrap_interval,
    count_draws,
    mean_interval,
    mean_intervals,
)
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
    # The slow way: draw row numbers and ask scikit-learn. Ends agree within the draws' own error, about 0.5 each.
    counts = tables(120)
    gold, predicted = (np.nonzero(counts)[axis] for axis in (1, 2))
    draw = np.random.default_rng(0)
    slow = [
        100 * f1_score(gold[i], predicted[i], average="weighted")
        for i in (draw.integers(120, size=120) for _ in range(1000))
    ]
    found = bootstrap_interval(counts, weighted_f1, Resampling())
    tail = 100 * norm.cdf(t.ppf(0.025, 119) * np.sqrt(120 / 119))  # an expanded percentile interval's
    assert found == pytest.approx(tuple(np.percentile(slow, [tail, 100 - tail])), abs=2.0)


def test_batches_do_not_change_the_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = bootstrap_interval(tables(50), weighted_f1, Resampling())
    monkeypatch.setattr("mentallama.metrics.bootstrap.MAX_DRAWN_INDICES", 50 * 7)  # 7 resamples at a time
    assert bootstrap_interval(tables(50), weighted_f1, Resampling()) == whole


def test_the_mean_of_one_column_is_that_of_all_together() -> None:
    draw = np.random.default_rng(5)
    values = draw.random((60, 2))
    values[draw.random((60, 2)) < 0.2] = np.nan
    posts = [f"p{row // 3}" for row in range(60)]
    both = mean_intervals(values, posts, Resampling())
    assert both == [mean_interval(values[:, column], posts, Resampling()) for column in range(2)]


def test_a_column_of_one_post_has_no_interval() -> None:
    values = np.array([[1.0, 1.0], [2.0, 2.0], [3.0, np.nan]])
    whole, one_post = mean_intervals(values, ["a", "a", "b"], Resampling())
    assert whole is not None
    assert one_post is None
    assert mean_intervals(np.empty((0, 1)), [], Resampling()) == [None]


def test_few_kinds_of_posts_give_the_same_distribution() -> None:
    # 320 posts are of 4 kinds, which are drawn by a multinomial distribution; as real numbers each is drawn.
    counts = tables(320)
    by_kind, by_post = (
        bootstrap_distribution(part, weighted_f1, Resampling(resamples=4000))
        for part in (counts, counts.astype(float))
    )
    assert by_kind is not None
    assert by_post is not None
    assert by_kind.estimate == by_post.estimate
    # Standard errors of a mean and of a standard deviation of 4,000 draws: 0.016 and 0.011 of it.
    spread = by_post.values.std()
    assert by_kind.values.mean() == pytest.approx(by_post.values.mean(), abs=0.1 * spread)
    assert by_kind.values.std() == pytest.approx(spread, rel=0.06)


def _latent_answers(posts: int, questions: int, draw: np.random.Generator) -> np.ndarray:
    """Confusion counts of each row, (posts, questions, 2, 2): posts differ in how hard they are."""
    difficulty = draw.normal(0, 1.5, size=(posts, 1))
    gold = draw.integers(2, size=(posts, questions))
    correct = draw.random((posts, questions)) < 1 / (1 + np.exp(-(1 - difficulty - 0.5 * gold)))
    predicted = np.where(correct, gold, 1 - gold)
    one_hot = np.eye(2, dtype=np.int64)
    return one_hot[gold][..., :, None] * one_hot[predicted][..., None, :]


def test_intervals_cover_the_true_value_if_posts_are_drawn() -> None:
    draw = np.random.default_rng(11)
    posts, questions, simulations = 120, 5, 1500
    population = _latent_answers(200_000, questions, draw).sum(axis=(0, 1))
    f1, accuracy = float(weighted_f1(population)), np.trace(population) / population.sum()
    settings = Resampling(resamples=300)
    ids = [str(post) for post in range(posts) for _ in range(questions)]
    covered = dict.fromkeys(("posts", "rows", "mean"), 0)
    for _ in range(simulations):
        rows = _latent_answers(posts, questions, draw)
        correct = np.trace(rows, axis1=-2, axis2=-1).ravel()
        intervals = {
            "posts": (f1, bootstrap_interval(rows.sum(axis=1), weighted_f1, settings)),
            "rows": (f1, bootstrap_interval(rows.reshape(-1, 2, 2), weighted_f1, settings)),
            "mean": (accuracy, mean_interval(correct, ids, settings)),
        }
        for name, (value, ends) in intervals.items():
            assert ends is not None
            covered[name] += ends[0] <= value <= ends[1]
    shares = {name: count / simulations for name, count in covered.items()}
    # The standard error of a share near 0.95 over 1,500 simulations is 0.0056.
    assert 0.93 <= shares["posts"] <= 0.97, shares
    assert 0.93 <= shares["mean"] <= 0.97, shares
    assert shares["rows"] < 0.90, shares
