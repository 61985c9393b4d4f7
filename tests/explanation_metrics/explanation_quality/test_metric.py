"""The metric explanation_quality: its score, its weights file, and that damage lowers it."""

from __future__ import annotations

from pathlib import Path

import pytest

from mentallama.errors import DataError, UsageError
from mentallama.explanation_metrics.base import ExplanationCase, MetricOptions
from mentallama.explanation_metrics.explanation_quality.features import FEATURES
from mentallama.explanation_metrics.explanation_quality.metric import ExplanationQuality
from mentallama.explanation_metrics.explanation_quality.model import default_quality_model
from mentallama.explanation_metrics.human_ratings import read_ratings
from mentallama.explanation_metrics.registry import open_metrics
from mentallama.meta_evaluation.perturbations import PERTURBATIONS
from mentallama.tasks import load_tasks
from tests.factories.rated_explanations import rated_row, write_rows

DR = load_tasks()["DR"]


@pytest.fixture(scope="module")
def cases(tmp_path_factory) -> list[ExplanationCase]:
    path = write_rows(
        tmp_path_factory.mktemp("ratings") / "a.csv", [rated_row(number, "yes", 3) for number in range(12)]
    )
    return [row.case for row in read_ratings([path], DR, "depression").rows]


def quality(cases: list[ExplanationCase], location: str = "") -> list[float]:
    metric = ExplanationQuality.load(location, MetricOptions())
    return [score.values["explanation_quality"] for score in metric.score(cases)]


def test_the_score_is_the_weighted_sum_within_0_and_3() -> None:
    model = default_quality_model()
    assert model.score(dict.fromkeys(FEATURES, 0.0)) == 0.0
    assert model.score(dict.fromkeys(FEATURES, 1.0)) == pytest.approx(min(3.0, sum(model.weights.values())))
    name = "relative_length"
    only = {**dict.fromkeys(FEATURES, 0.0), name: 0.5}
    assert model.score(only) == pytest.approx(model.weights[name] / 2)


def test_without_a_reference_label_the_other_features_stand_for_its_agreement() -> None:
    model = default_quality_model()
    half = {**dict.fromkeys(FEATURES, 0.5), "label_agreement": None}
    assert model.score(half) == pytest.approx(model.score(dict.fromkeys(FEATURES, 0.5)))
    assert model.score({**dict.fromkeys(FEATURES, 0.0), "label_agreement": None}) == 0.0


@pytest.mark.parametrize("name", list(PERTURBATIONS))
def test_damage_lowers_every_score(cases: list[ExplanationCase], name: str) -> None:
    damaged = [case for case in PERTURBATIONS[name](cases, DR, 0) if case is not None]
    assert len(damaged) == len(cases)
    assert all(after < before for after, before in zip(quality(damaged), quality(cases), strict=True))


def test_it_is_computed_by_default_and_takes_weights_of_ones_own(
    cases: list[ExplanationCase], tmp_path: Path
) -> None:
    ((kind, metric),) = open_metrics(["explanation_quality"], MetricOptions())
    assert kind.by_default
    weights = tmp_path / "weights.json"
    own = default_quality_model().model_copy(update={"weights": {"length": 3.0}})
    weights.write_text(own.model_dump_json())
    assert metric.score(cases)[0].values["explanation_quality"] == quality(cases)[0]
    assert quality(cases, str(weights)) != quality(cases)


def test_other_languages_are_unscored(cases: list[ExplanationCase]) -> None:
    tasks = {"DR": DR.model_copy(update={"language": "de"})}
    score = ExplanationQuality(default_quality_model(), tasks).score(cases[:1])[0]
    assert (score.values, score.reason) == ({}, "the features read English")


@pytest.mark.parametrize(
    "content",
    [
        "{}",
        "not JSON",
        default_quality_model().model_copy(update={"version": 0}).model_dump_json(),
        default_quality_model().model_copy(update={"weights": {"charm": 1.0}}).model_dump_json(),
        default_quality_model().model_copy(update={"weights": {"length": -1.0}}).model_dump_json(),
        default_quality_model().model_copy(update={"weights": {}}).model_dump_json(),
        default_quality_model().model_copy(update={"weights": {"length": 0.0}}).model_dump_json(),
        *(
            default_quality_model()
            .model_copy(update={"weights": {"evidence": 1.0, "length": 7.75}})
            .model_dump_json()
            .replace("7.75", number)
            for number in ("NaN", "Infinity")
        ),
    ],
)
def test_a_file_that_holds_no_weights_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "weights.json"
    path.write_text(content)
    with pytest.raises(DataError, match="weights"):
        ExplanationQuality.load(str(path), MetricOptions())
    with pytest.raises(UsageError, match="no such file"):
        ExplanationQuality.load(str(tmp_path / "other.json"), MetricOptions())
