"""Means, intervals and tests over answers."""

from __future__ import annotations

import pytest

from mentallama.explain.deletion import DeletionCurve
from mentallama.explain.results import EvidenceRow, Plausibility
from mentallama.explain.summary import summarize_set
from mentallama.metrics.bootstrap import Resampling

RESAMPLING = Resampling(resamples=200, seed=1)


def curve(whole: float, removed: float, kept: float) -> DeletionCurve:
    return DeletionCurve(whole=whole, removed=(removed,) * 5, kept=(kept,) * 5)


def row(
    number: int,
    method: str,
    top: DeletionCurve,
    matched: DeletionCurve,
    plausible: Plausibility | None = None,
) -> EvidenceRow:
    return EvidenceRow(
        example_id=str(number),
        post_id=f"post-{number}",
        set="dreaddit",
        question="stress",
        label="yes",
        method=method,
        top=top,
        matched=matched,
        completeness_gap=0.5 * number if method == "good" else None,
        plausibility=plausible,
    )


def rows(n: int) -> dict[str, list[EvidenceRow]]:
    """A method whose words matter on every post, one whose words matter on half of them, and random words."""
    none = curve(0.9, 0.9, 0.5)
    half = [curve(0.9, 0.7, 0.8), curve(0.9, 1.0, 0.2)]
    agreement = Plausibility(token_f1=0.2, iou_f1=0.4, auprc=0.6)
    return {
        "good": [
            row(number, "good", curve(0.9, 0.3, 0.8), none, agreement if number < 2 else None)
            for number in range(n)
        ],
        "mixed": [row(number, "mixed", half[number % 2], none) for number in range(n)],
        "random": [row(number, "random", none, none) for number in range(n)],
    }


def test_means_and_differences_by_hand() -> None:
    found = summarize_set(rows(12), 40, RESAMPLING)
    assert (found.rows, found.posts, found.of) == (12, 12, 40)
    assert found.probability == pytest.approx(0.9)
    good, mixed, random = (found.methods[name] for name in ("good", "mixed", "random"))
    assert good.comprehensiveness.value == pytest.approx(0.6)
    assert good.comprehensiveness.interval == pytest.approx((0.6, 0.6))
    assert good.sufficiency.value == pytest.approx(0.1)
    assert good.removed == pytest.approx((0.3,) * 5)
    assert good.kept == pytest.approx((0.8,) * 5)
    assert good.completeness_gap == pytest.approx(0.5 * 5.5)
    assert good.against_random is not None
    assert good.against_random.comprehensiveness.value == pytest.approx(0.6)
    assert good.against_random.sufficiency.value == pytest.approx(-0.3)
    assert good.against_matched.comprehensiveness.value == pytest.approx(0.6)
    assert mixed.comprehensiveness.value == pytest.approx(0.05)
    assert random.against_random is None
    assert random.comprehensiveness.value == pytest.approx(0)


def test_p_values_are_exact_and_adjusted_over_the_methods() -> None:
    found = summarize_set(rows(12), 12, RESAMPLING)
    good, mixed = found.methods["good"].against_random, found.methods["mixed"].against_random
    assert good is not None
    assert mixed is not None
    # 12 equal differences: 2 of the 2^12 ways to sign them are as extreme, and Holm doubles the smaller of two.
    assert good.comprehensiveness.p_value == pytest.approx(2 * 2 / 2**12)
    assert mixed.comprehensiveness.p_value > 0.05
    # the method itself is compared with its matched words, so three p-values are adjusted
    assert found.methods["good"].against_matched.comprehensiveness.p_value == pytest.approx(3 * 2 / 2**12)
    assert found.methods["random"].against_matched.comprehensiveness.p_value == 1


def test_plausibility_counts_only_annotated_answers() -> None:
    found = summarize_set(rows(12), 12, RESAMPLING)
    means = found.methods["good"].plausibility
    assert means is not None
    assert means.rows == 2
    assert (means.token_f1.value, means.iou_f1.value, means.auprc.value) == pytest.approx((0.2, 0.4, 0.6))
    assert found.methods["mixed"].plausibility is None


def test_a_single_answer_has_no_interval_and_shows_nothing() -> None:
    found = summarize_set(rows(1), 1, RESAMPLING).methods["good"]
    assert found.comprehensiveness.interval is None
    assert found.against_matched.comprehensiveness.p_value == 1


def test_questions_about_one_post_count_as_one() -> None:
    one_post = {
        name: [part.model_copy(update={"post_id": "same"}) for part in parts]
        for name, parts in rows(12).items()
    }
    found = summarize_set(one_post, 12, RESAMPLING)
    assert (found.rows, found.posts) == (12, 1)
    assert found.methods["good"].against_matched.comprehensiveness.p_value == 1
