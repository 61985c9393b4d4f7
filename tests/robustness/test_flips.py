"""Flip rates, worked by hand, and weighted F1 against scikit-learn."""

from __future__ import annotations

import random

import pytest
from scipy.stats import binomtest
from sklearn.metrics import f1_score

from mentallama.metrics.bootstrap import Resampling, mean_interval
from mentallama.records import Example, Reading
from mentallama.robustness.flips import NegatedPairs, PairedAnswers, flip_row
from mentallama.tasks import load_tasks

RESAMPLING = Resampling(resamples=200)
DR, SAD = load_tasks()["DR"], load_tasks()["SAD"]


def reading(label: str | None) -> Reading:
    return Reading(status="parsed", label=label) if label else Reading(status="refused", reason="refused")


def comparison(*rows: tuple[str, str | None, str | None, str | None]) -> PairedAnswers:
    """Rows of (post, gold, before, after)."""
    made = PairedAnswers()
    for number, (post, gold, before, after) in enumerate(rows):
        example = Example(
            id=str(number),
            post_id=post,
            task="DR",
            question="depression",
            form="instruction",
            text="t",
            label=gold,
        )
        made.add(flip_row(example, "m", "typos", reading(before), reading(after)))
    return made


def test_flips_by_hand() -> None:
    made = comparison(
        ("a", "yes", "yes", "no"),
        ("a", "yes", "yes", "yes"),
        ("b", "no", "no", "yes"),
        ("c", "no", "no", "no"),
        ("d", "yes", "yes", None),
        ("e", "yes", None, "yes"),
        ("f", "yes", None, None),
    )
    made.unchanged = 3
    score = made.score("m", "typos", DR, RESAMPLING)
    assert (score.pairs, score.posts, score.flips, score.rate) == (4, 3, 2, 50.0)
    assert (score.lost, score.gained, score.unchanged) == (1, 1, 3)
    assert (score.toward_high_risk, score.from_high_risk) == (1, 1)
    assert score.labelled == 7
    expected = mean_interval([100.0, 0.0, 100.0, 0.0], ["a", "a", "b", "c"], RESAMPLING)
    assert score.interval == pytest.approx(expected, abs=1e-4)


def test_weighted_f1_before_and_after_is_that_of_scikit_learn() -> None:
    draw = random.Random(5)
    labels = list(SAD.labels)
    rows = [(f"p{draw.randrange(40)}", *(draw.choice(labels) for _ in range(3))) for _ in range(150)]
    score = comparison(*rows).score("m", "typos", SAD, RESAMPLING)
    gold, before, after = ([row[index] for row in rows] for index in (1, 2, 3))
    truth = [
        f1_score(gold, answers, average="weighted", labels=labels, zero_division=0)
        for answers in (before, after)
    ]
    assert score.f1_before == pytest.approx(100 * truth[0], abs=1e-4)
    assert score.f1_after == pytest.approx(100 * truth[1], abs=1e-4)
    assert score.f1_change == pytest.approx(100 * (truth[1] - truth[0]), abs=2e-4)
    assert score.f1_change_interval is not None
    assert score.f1_change_interval[0] < score.f1_change < score.f1_change_interval[1]


def test_unlabelled_posts_have_flips_and_no_f1() -> None:
    score = comparison(("a", None, "yes", "no"), ("b", None, "yes", "yes")).score(
        "m", "typos", DR, RESAMPLING
    )
    assert (score.rate, score.labelled, score.f1_before, score.f1_change) == (50.0, 0, None, None)


@pytest.mark.parametrize("flipped", [False, True])
def test_where_none_or_all_flip_the_interval_is_the_exact_binomial_one(flipped: bool) -> None:
    after = "no" if flipped else "yes"
    rows = [(post, "yes", "yes", after) for post in ("a", "a", "b", "c", "d", "e")]
    score = comparison(*rows).score("m", "upper", DR, RESAMPLING)
    exact = binomtest(5 if flipped else 0, 5).proportion_ci(0.95, "exact")
    assert score.interval == pytest.approx((100 * exact.low, 100 * exact.high), abs=1e-4)


def test_without_any_pair_there_is_no_rate() -> None:
    score = PairedAnswers(unchanged=4).score("m", "upper", DR, RESAMPLING)
    assert (score.pairs, score.rate, score.interval, score.unchanged) == (0, None, None, 4)


def test_only_understood_statements_count_for_negation() -> None:
    pairs = NegatedPairs([(True, True), (True, False), (True, False), (False, True)])
    score = pairs.score("m", "DR", "depression", RESAMPLING)
    assert (score.pairs, score.stated, score.changed) == (4, 3, 1)
    assert score.rate == pytest.approx(100 / 3, abs=1e-4)
    assert NegatedPairs([(False, True)]).score("m", "DR", "depression", RESAMPLING).rate is None
