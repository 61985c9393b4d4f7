"""The tests of evidence as `explain` prints them."""

from __future__ import annotations

from mentallama.cli.evaluation.explain import HEADER, faithfulness_table
from mentallama.explain.results import (
    Contrast,
    Estimate,
    FaithfulnessFile,
    MethodFaithfulness,
    PairedEstimate,
    PlausibilityMeans,
    SetFaithfulness,
)


def method(comprehensiveness: float, p_value: float, marked: PlausibilityMeans | None) -> MethodFaithfulness:
    return MethodFaithfulness(
        comprehensiveness=Estimate(value=comprehensiveness),
        sufficiency=Estimate(value=-0.05),
        removed=(),
        kept=(),
        matched_comprehensiveness=Estimate(value=0.01),
        matched_sufficiency=Estimate(value=0.02),
        against_matched=Contrast(
            comprehensiveness=PairedEstimate(value=0.1, p_value=p_value),
            sufficiency=PairedEstimate(value=-0.07, p_value=0.25),
        ),
        plausibility=marked,
    )


def test_a_row_for_each_set_and_method() -> None:
    marked = PlausibilityMeans(
        rows=2, token_f1=Estimate(value=0.5), iou_f1=Estimate(value=0), auprc=Estimate(value=0)
    )
    part = SetFaithfulness(
        rows=1200,
        posts=600,
        of=1300,
        probability=0.8,
        methods={"exact": method(0.11, 0.0001, marked), "random": method(0.012, 0.5, None)},
    )
    found = FaithfulnessFile(
        model="linear:m", seed=7, methods=("exact", "random"), shares=(0.1,), sets={"Irf": part}
    )
    table = faithfulness_table(found)
    assert table.header == HEADER
    assert table.rows == (
        ("Irf", "exact", "1,200", "0.110", "0.010", "<0.001", "-0.050", "0.020", "0.250", "50.0"),
        ("Irf", "random", "1,200", "0.012", "0.010", "0.500", "-0.050", "0.020", "0.250", "–"),
    )
