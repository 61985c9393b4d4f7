"""Claims, findings about them, and the rule that turns two numbers into a verdict."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Literal

import yaml

from mentallama.records import Record

ClaimVerdict = Literal["reproduced", "differs", "not possible"]
VERDICTS: tuple[ClaimVerdict, ...] = ("reproduced", "differs", "not possible")


class PaperClaim(Record):
    """A claim from `claims.yaml`, which explains the fields."""

    id: str
    claim: str
    where: str
    check: str
    source: Literal["paper", "this project"] = "paper"
    values: dict[str, float] = {}
    per: str = "set"
    unit: Literal["rows", "%", "sets", "items"] = "%"
    comparison: Literal["equal", "at least"] = "equal"
    rounded_down_to: int = 1
    causes: dict[str, str] = {}


class ClaimFinding(Record):
    """The published value of one number of a claim, ours, and the verdict.

    `subject` says what the number is about, such as a set and a split. `interval` is the 95 % interval of `ours` over
    posts; None for numbers without sampling error. `cause` explains a verdict other than "reproduced", or says on what
    a reproduced number rests.
    """

    claim: str
    subject: str
    published: float | None
    ours: float | None
    interval: tuple[float, float] | None = None
    verdict: ClaimVerdict
    cause: str = ""


@cache
def load_claims() -> tuple[PaperClaim, ...]:
    """Read the claims, in the order of the ledger."""
    text = (files("mentallama.reproduce") / "claims.yaml").read_text(encoding="utf-8")
    return tuple(PaperClaim.model_validate(entry) for entry in yaml.safe_load(text)["claims"])


def judge(
    claim: PaperClaim,
    subject: str,
    ours: float,
    *,
    published: float | None = None,
    interval: tuple[float, float] | None = None,
    cause: str = "",
) -> ClaimFinding:
    """Compare our value with the published one.

    It is reproduced if the two are equal, if the published value lies within our interval, or if ours reaches a
    published lower bound.

    Parameters
    ----------
    published
        None: the claim's value for the subject.

    >>> claim = PaperClaim(id="x", claim="", where="", check="", values={"DR": 50, "SAD": 60})
    >>> judge(claim, "DR", 47.0, interval=(44.0, 51.0)).verdict, judge(claim, "SAD", 47.0).verdict
    ('reproduced', 'differs')
    """
    published = claim.values[subject] if published is None else published
    agrees = (
        ours // claim.rounded_down_to * claim.rounded_down_to == published
        if claim.rounded_down_to > 1
        else ours == published
    )
    agrees |= interval is not None and interval[0] <= published <= interval[1]
    agrees |= claim.comparison == "at least" and ours >= published
    return ClaimFinding(
        claim=claim.id,
        subject=subject,
        published=published,
        ours=ours,
        interval=interval,
        verdict="reproduced" if agrees else "differs",
        cause="; ".join(filter(None, (cause, claim.causes.get(subject, "")))),
    )


def not_possible(
    claim: PaperClaim, subject: str, cause: str, *, published: float | None = None
) -> ClaimFinding:
    """The finding where something is missing that the number needs."""
    return ClaimFinding(
        claim=claim.id,
        subject=subject,
        published=claim.values.get(subject) if published is None else published,
        ours=None,
        verdict="not possible",
        cause=cause,
    )
