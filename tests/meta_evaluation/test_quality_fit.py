"""The fit of explanation_quality: folds, nested choice, and what it may be fitted to."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

from mentallama.errors import UsageError
from mentallama.explanation_metrics.explanation_quality.model import default_quality_model
from mentallama.explanation_metrics.human_ratings import RatedExplanation, read_ratings
from mentallama.meta_evaluation.quality_fit import Candidate, assign_folds, candidates, fit_quality
from mentallama.metrics.bootstrap import Resampling
from mentallama.tasks import load_tasks
from tests.factories.rated_explanations import rated_rows, write_rows

DR = load_tasks()["DR"]
FEW = Resampling(resamples=100)


@pytest.fixture(scope="module")
def rated(tmp_path_factory) -> tuple[RatedExplanation, ...]:
    path = write_rows(tmp_path_factory.mktemp("ratings") / "a.csv", rated_rows(40))
    return read_ratings([path], DR, "depression").rows


def test_rows_of_a_post_share_a_fold_and_order_does_not_matter() -> None:
    posts = [f"p{number // 2}" for number in range(40)]
    folds = assign_folds(posts, 5, seed=3)
    assert (folds[::2] == folds[1::2]).all()
    assert np.bincount(folds).tolist() == [8] * 5
    assert assign_folds(posts[::-1], 5, seed=3).tolist() == folds[::-1].tolist()


def test_priors_add_up_to_the_highest_rating() -> None:
    for candidate in candidates():
        assert candidate.prior_weights().sum() == pytest.approx(3.0)
    third = Candidate(("label_agreement", "length", "well_formedness"), "label third", 1.0)
    assert third.prior_weights().tolist() == pytest.approx([1.0, 1.5, 0.5])


def test_predictions_are_out_of_fold(rated) -> None:
    # A post's prediction must not move when its own rating does: the rating is used by the other folds only.
    first = fit_quality(rated, DR, FEW)
    target = rated[7]
    wrong = RatedExplanation(
        target.file, target.row, target.case, {**target.ratings, "overall": (0.0, 0.0, 0.0)}
    )
    again = fit_quality([*rated[:7], wrong, *rated[8:]], DR, FEW)
    assert again.out_of_fold[7] == first.out_of_fold[7]
    assert again.out_of_fold != first.out_of_fold
    assert first.model.fit.pearson > 0.8  # ratings follow detail and label, which the features see


def test_weights_are_not_negative_and_do_not_depend_on_the_order_of_rows(rated) -> None:
    model, reversed_model = (fit_quality(rows, DR, FEW).model for rows in (rated, rated[::-1]))
    assert min(model.weights.values()) >= 0
    assert model.weights == reversed_model.weights
    assert model.fit.data_sha256 == reversed_model.fit.data_sha256


def test_the_file_holds_hashes_and_no_text(rated) -> None:
    written = fit_quality(rated, DR, FEW).model.model_dump_json()
    assert "hopeless" not in written
    assert "kitchen" not in written


def test_too_few_posts_and_equal_ratings_are_refused(rated, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="30 or more posts"):
        fit_quality(rated[:29], DR, FEW)
    equal = [row | {"overall": "[2, 2, 2]"} for row in rated_rows(40)]
    rows = read_ratings([write_rows(tmp_path / "a.csv", equal)], DR, "depression").rows
    with pytest.raises(UsageError, match="all equal"):
        fit_quality(rows, DR, FEW)


def test_a_file_whose_rows_are_rated_alike_is_learned_from_without_a_warning(tmp_path: Path) -> None:
    rows = rated_rows(40)
    files = [
        write_rows(tmp_path / "alike.csv", [row | {"overall": "[2, 2, 2]"} for row in rows[:15]]),
        write_rows(tmp_path / "varied.csv", rows[15:]),
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        left_out = fit_quality(read_ratings(files, DR, "depression").rows, DR, FEW).left_out
    assert left_out["alike.csv"] is None
    assert left_out["varied.csv"] is not None


def test_the_packages_weights_say_what_they_were_fitted_to() -> None:
    fit = default_quality_model().fit
    assert fit.task == "DR"
    assert len(fit.fitted_to) == sum(fit.rows.values())
