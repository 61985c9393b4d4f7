"""Scores of explanations as cells: families by metric and model, and right reasons over all answers."""

from __future__ import annotations

from collections.abc import Mapping

from mentallama.evaluate.score_file import ScoreFile
from mentallama.explanation_metrics.registry import EXPLANATION_METRICS
from mentallama.explanation_metrics.right_reason import RightReasonScore
from mentallama.explanation_metrics.scoring import ColumnScore, SetExplanationScores
from mentallama.metrics.bootstrap import Resampling
from mentallama.report.explanation_tables import (
    absence_cells,
    metric_families,
    overall_right_reason,
    right_reason_cells,
    right_reasons,
)

OVERLAP = tuple(column.name for column in EXPLANATION_METRICS["overlap"].columns)


def column_scores(mean: float, n: int = 8) -> dict[str, ColumnScore]:
    return {name: ColumnScore(mean=mean, interval=(mean - 1, mean + 1), n=n) for name in OVERLAP}


def right_reason(share: float | None, n: int) -> RightReasonScore:
    return RightReasonScore(
        n=n, undecided=1, share=share, interval=None, right=60.0, consistent=50.0, unquoted=20.0
    )


def score_file(sets: Mapping[str, SetExplanationScores], **models: str) -> ScoreFile:
    return ScoreFile(
        form="instruction",
        source={},
        resampling=Resampling(resamples=10),
        sets={},
        missing=(),
        missing_reasons={},
        explanation_metrics=dict(sets),
        metric_names=models,
    )


def test_a_metric_of_another_model_is_another_family() -> None:
    part = SetExplanationScores(rows=10, columns=column_scores(40))
    plain, other = score_file({"DR": part}), score_file({"DR": part}, overlap="overlap:model")
    first, second = metric_families([plain, other])
    assert (first.title, second.title) == ("overlap", "overlap (overlap:model)")
    assert first.scores(plain, "DR") == second.scores(other, "DR") == part
    assert first.scores(other, "DR") is None
    assert first.scores(plain, "dreaddit") is None
    assert metric_families([score_file({})]) == []


def test_cells_are_means_intervals_and_the_least_number_of_explanations() -> None:
    columns = column_scores(40) | {"chrf": ColumnScore(mean=None, interval=None, n=0)}
    part = SetExplanationScores(rows=10, columns=columns)
    (family,) = metric_families([score_file({"DR": part})])
    texts = [cell.text for cell in family.cells(part)]
    assert dict(zip(family.header, texts, strict=True)) | {"95 %": ""} == {
        "scored, at least": "0",
        **{column.title: "40.0" for column in family.columns},
        "chrF": "–",
        "95 %": "",
    }
    assert texts.count("39.0–41.0") == len(OVERLAP) - 1


def test_what_was_not_scored_is_counted_with_its_reason() -> None:
    part = SetExplanationScores(
        rows=1200, absent={"refused": 3}, unscored={"overlap": {"no reference": 1100, "too long": 1}}
    )
    texts = [cell.text for cell in absence_cells(part)]
    assert texts == ["1,200", "3", "0", "overlap: no reference 1,100, too long 1"]


def test_the_overall_share_is_that_of_all_answers_and_hides_no_set() -> None:
    """30 % of 100 and 10 % of 300 answers are 60 of 400."""
    sets = {
        name: SetExplanationScores(rows=n, right_reason=right_reason(share, n))
        for name, share, n in (("DR", 30.0, 100), ("dreaddit", 10.0, 300), ("SAD", None, 0))
    }
    file = score_file(sets | {"CAMS": SetExplanationScores(rows=5)})
    assert list(right_reasons(file)) == ["DR", "dreaddit"]
    assert overall_right_reason(file) == "15.0 % (10.0–30.0 by set)"
    assert overall_right_reason(score_file({})) is None
    assert [cell.text for cell in right_reason_cells(right_reason(30.0, 100))] == [
        "100",
        "1",
        "60.0",
        "50.0",
        "30.0",
        "–",
        "20.0",
    ]
