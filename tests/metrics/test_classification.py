"""Metrics over confusion counts: stacks of tables, and label pairs against scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from mentallama.metrics.classification import (
    accuracy,
    confusion_counts,
    macro_f1,
    micro_f1,
    weighted_f1,
    weighted_f1_of_labels,
)

LABELS = ("a", "b", "c")
PAIRS = st.lists(
    st.tuples(st.sampled_from(LABELS), st.sampled_from([*LABELS, "unparsed"])), min_size=1, max_size=60
)


def test_rows_without_a_label_are_misses() -> None:
    # gold a: predicted a, none; gold b: predicted b, a.  F1 of a: 2·1 / (2 + 2) = 1/2, of b: 2·1 / (2 + 1) = 2/3
    counts = np.array([[1, 0, 1], [1, 1, 0]])
    assert float(weighted_f1(counts)) == pytest.approx(100 * (2 * 1 / 2 + 2 * 2 / 3) / 4)
    assert macro_f1(counts) == pytest.approx(100 * (1 / 2 + 2 / 3) / 2)
    assert micro_f1(counts) == pytest.approx(100 * 2 * 2 / (4 + 3))
    assert accuracy(counts) == 50.0


def test_pairs_are_counted_into_a_table() -> None:
    assert confusion_counts([0, 0, 1], [2, 2, 1], (2, 3)).tolist() == [[0, 0, 2], [0, 1, 0]]


@given(PAIRS)
def test_a_stack_of_tables_gives_the_score_of_each_table(pairs: Sequence[tuple[str, str]]) -> None:
    columns = [*LABELS, "unparsed"]
    tables = np.zeros((len(pairs), 3, 4), dtype=np.int64)
    for number, (gold, predicted) in enumerate(pairs):
        tables[: number + 1, columns.index(gold), columns.index(predicted)] += 1
    assert weighted_f1(tables).tolist() == [float(weighted_f1(table)) for table in tables]


@given(PAIRS)
def test_weighted_f1_of_labels_is_scikit_learns_to_the_last_digit(pairs: Sequence[tuple[str, str]]) -> None:
    gold, predicted = zip(*pairs, strict=True)
    assert weighted_f1_of_labels(gold, predicted) == float(
        f1_score(gold, predicted, average="weighted", zero_division=0)
    )


def test_no_pairs_score_zero() -> None:
    assert weighted_f1_of_labels([], []) == 0.0
