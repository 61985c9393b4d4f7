"""Verdicts worked by hand, and the shipped claims."""

from __future__ import annotations

import pytest

from mentallama.reproduce.claims import PaperClaim, judge, load_claims, not_possible
from mentallama.reproduce.ledger import CHECKS

CLAIM = PaperClaim(id="c", claim="A number", where="Table 9", check="x", values={"a": 75.0})
BOUND = CLAIM.model_copy(update={"comparison": "at least"})
THOUSANDS = CLAIM.model_copy(update={"values": {"a": 19000}, "rounded_down_to": 1000})


@pytest.mark.parametrize(
    ("claim", "ours", "interval", "verdict"),
    [
        (CLAIM, 75.0, None, "reproduced"),
        (CLAIM, 75.01, None, "differs"),
        (CLAIM, 73.0, (71.0, 75.0), "reproduced"),  # the ends belong to the interval
        (CLAIM, 73.0, (71.0, 74.9), "differs"),
        (CLAIM, 80.0, (78.0, 82.0), "differs"),
        (BOUND, 80.0, (78.0, 82.0), "reproduced"),
        (BOUND, 74.0, (72.0, 76.0), "reproduced"),
        (BOUND, 70.0, (68.0, 72.0), "differs"),
        (THOUSANDS, 19353, None, "reproduced"),
        (THOUSANDS, 20000, None, "differs"),
        (THOUSANDS, 18999, None, "differs"),
    ],
)
def test_a_number_is_reproduced_if_equal_within_the_interval_or_above_the_bound(
    claim: PaperClaim, ours: float, interval: tuple[float, float] | None, verdict: str
) -> None:
    finding = judge(claim, "a", ours, interval=interval)
    assert (finding.verdict, finding.published) == (verdict, claim.values["a"])


def test_causes_of_the_check_and_of_the_claim_are_both_said() -> None:
    known = CLAIM.model_copy(update={"causes": {"a": "it is known"}})
    assert judge(known, "a", 1.0, cause="fewer rows").cause == "fewer rows; it is known"
    missing = not_possible(CLAIM, "a", "x.csv is missing")
    assert (missing.published, missing.ours, missing.verdict) == (75.0, None, "not possible")


def test_every_claim_has_a_check_and_every_check_a_claim() -> None:
    claims = load_claims()
    assert len({claim.id for claim in claims}) == len(claims)
    assert {claim.check for claim in claims} == set(CHECKS)
