"""Counts of answers of several parts, against scikit-learn and by hand."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import f1_score
from sklearn.metrics import hamming_loss as sklearn_hamming_loss

from mentallama.metrics.kinds.answer_levels import (
    NOT_FILLED,
    AnswerLevels,
    ClassTotals,
    ScaleSums,
    ScoredAnswers,
    class_counts,
)
from mentallama.metrics.kinds.multilabel import example_f1, hamming_loss
from mentallama.metrics.kinds.scale import (
    band_accuracy,
    mean_item_error,
    mean_item_kappa,
)


def answers(gold: list[list[int]], predicted: list[list[int] | None], n_levels: int = 2) -> AnswerLevels:
    """Rows x parts; None is an answer without a label."""
    parts = len(gold[0])
    return AnswerLevels(
        gold=np.array(gold),
        predicted=np.array([[NOT_FILLED] * parts if row is None else row for row in predicted]),
        answered=np.array([row is not None for row in predicted]),
        level_scores=tuple(range(n_levels)),
    )


def totals(one: AnswerLevels, n_levels: int = 2, first: int = 1) -> ClassTotals:
    return ClassTotals.of_counts(class_counts(one, n_levels, first).sum(axis=0))


def test_several_labels_by_hand() -> None:
    # labels a b c; gold ab, c, none, b; said a, bc, none, nothing at all
    # a: hit 1, gold 1, said 1 -> 1; b: hit 0, gold 2, said 1 -> 0; c: hit 1, gold 1, said 1 -> 1
    one = answers([[1, 1, 0], [0, 0, 1], [0, 0, 0], [0, 1, 0]], [[1, 0, 0], [0, 1, 1], [0, 0, 0], None])
    counts = totals(one)
    assert counts.hits.tolist() == [1, 0, 1]
    assert counts.gold.tolist() == [1, 2, 1]
    assert counts.predicted.tolist() == [1, 1, 1]
    assert float(counts.weighted_f1()) == 100 * (1 + 0 * 2 + 1) / 4
    assert counts.macro_f1() == pytest.approx(200 / 3)
    assert counts.micro_f1() == pytest.approx(100 * 4 / 7)
    # by row: 2/3, 2/3, 1 (neither names a label), 0 (no answer)
    assert example_f1(one) == pytest.approx(100 * (2 / 3 + 2 / 3 + 1) / 4)
    # wrong decisions: b of the first row, b of the second, none of the third, all three of the fourth
    assert hamming_loss(one) == pytest.approx(100 * 5 / 12)


@settings(max_examples=40)
@given(st.integers(1, 8), st.integers(2, 4), st.data())
def test_answered_rows_equal_scikit_learn(rows: int, labels: int, data: st.DataObject) -> None:
    tables = arrays(np.int64, (rows, labels), elements=st.integers(0, 1))
    gold, predicted = data.draw(tables), data.draw(tables)
    one = AnswerLevels(gold, predicted, np.ones(rows, dtype=bool))
    counts = totals(one)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a class that does not occur
        scores = {
            name: 100 * f1_score(gold, predicted, average=name, zero_division=0)
            for name in ("weighted", "micro")
        }
        samples = 100 * f1_score(gold, predicted, average="samples", zero_division=1)
    assert hamming_loss(one) == pytest.approx(100 * sklearn_hamming_loss(gold, predicted))
    assert example_f1(one) == pytest.approx(samples)
    if gold.any():
        assert float(counts.weighted_f1()) == pytest.approx(scores["weighted"])
        assert counts.micro_f1() == pytest.approx(scores["micro"])
    else:
        assert np.isnan(counts.weighted_f1())


@given(st.integers(1, 8), st.integers(1, 4), st.data())
def test_an_answer_without_a_label_is_never_better_than_an_answer(
    rows: int, labels: int, data: st.DataObject
) -> None:
    """Silence gains nothing by the labels that are absent."""
    tables = arrays(np.int64, (rows, labels), elements=st.integers(0, 1))
    gold, predicted = data.draw(tables), data.draw(tables)
    answered = np.array(data.draw(st.lists(st.booleans(), min_size=rows, max_size=rows)))
    full = AnswerLevels(gold, predicted, np.ones(rows, dtype=bool))
    silent = AnswerLevels(gold, np.where(answered[:, None], predicted, NOT_FILLED), answered)
    assert hamming_loss(silent) >= hamming_loss(full)
    assert example_f1(silent) <= example_f1(full) + 1e-9
    assert (totals(silent).hits <= totals(full).hits).all()


def test_a_scale_by_hand() -> None:
    # two items with levels 0 to 2; -1 is not filled
    one = answers(
        [[0, 2], [1, 1], [2, -1], [0, 0], [2, 2]],
        [[0, 1], [2, 1], [2, 2], [-1, 0], None],
        n_levels=3,
    )
    # first item: gold 0 1 2 against 0 2 2, one off by 1; second: gold 2 1 0 against 1 1 0, one off by 1
    assert mean_item_error(one) == pytest.approx(1 / 3)
    # squares of distances: mean 1/3 in both; every gold by every predicted number:
    #   first: said 0: 0+1+4, said 2, twice: 4+1+0 each -> 15/9; second: said 1, twice: 1+0+1 each, said 0: 4+1+0 -> 1
    assert mean_item_kappa(one) == pytest.approx(((1 - 1 / 3 / (15 / 9)) + (1 - 1 / 3 / 1)) / 2)
    # (item, level) decisions: an item that the gold answer leaves open and the prediction fills is one too many
    counts = totals(one, n_levels=3, first=0)
    assert counts.hits.tolist() == [1, 0, 1, 1, 1, 0]
    assert counts.gold.tolist() == [2, 1, 2, 1, 1, 2]
    assert counts.predicted.tolist() == [1, 0, 2, 1, 2, 1]


def test_sums_and_bands_by_hand() -> None:
    # the third gold answer and the last two predictions have no sum; the first lies in another band
    nan = float("nan")
    gold, predicted = np.array([2, 2, nan, 0, 4]), np.array([1, 3, 4, nan, nan])
    sums = ScaleSums(
        gold, predicted, ("high", "high", None, "low", "high"), ("low", "high", "high", None, None)
    )
    assert [numbers.tolist() for numbers in sums.pairs()] == [[2.0, 2.0], [1.0, 3.0]]
    assert band_accuracy(sums) == 25.0
    assert band_accuracy(ScaleSums(gold, predicted)) is None
    assert band_accuracy(ScaleSums(gold[2:3], predicted[2:3], (None,), ("high",))) is None


def test_one_part_of_several() -> None:
    one = answers([[0, 2], [1, 1]], [[0, 1], None], n_levels=3)
    whole = ScoredAnswers(rows=2, exact=0, classes=totals(one, 3, 0), classes_per_part=3, levels=one)
    second = whole.of_part(1)
    assert second.levels.gold.tolist() == [[2], [1]]
    assert second.classes.gold.tolist() == [0, 1, 1]
    assert second.classes.predicted.tolist() == [0, 1, 0]
    assert (second.exact, whole.of_part(0).exact) == (0, 1)
