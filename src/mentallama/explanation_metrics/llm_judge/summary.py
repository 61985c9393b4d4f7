"""A judge's calls, and its agreement with people: its scores are shown with this, never without."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from mentallama.errors import counted
from mentallama.explanation_metrics.base import CaseScore
from mentallama.explanation_metrics.llm_judge.rubric import ASPECTS
from mentallama.metrics.agreement import AgreementScore, krippendorff_alpha
from mentallama.metrics.bootstrap import Resampling
from mentallama.metrics.correlation import CorrelationScore, correlate_all
from mentallama.records import Record

AGREEMENT_UNKNOWN = (
    "how far this judge agrees with people is unknown, so its scores say what a model thinks and no more; name "
    "explanations that people rated as evaluate.judge.ratings"
)


class JudgeAspectAgreement(Record):
    """A judge's mean rating of one aspect against the mean rating of people, over the same explanations."""

    pearson: CorrelationScore
    spearman: CorrelationScore
    alpha: AgreementScore
    """Krippendorff's alpha for interval data, the judge being one rater and the mean of people the other."""


class JudgeAgreement(Record):
    """A judge against people.

    `explanations` were rated by people, `scored` of them by the judge too. `aspects` are those that both rated.
    """

    ratings: str
    """The name of the file or folder."""
    explanations: int
    scored: int
    aspects: dict[str, JudgeAspectAgreement]


class JudgeSummary(Record):
    """How a judge rated: its model, the version of its rubric, its samples, and what became of every call.

    `verdicts`, `unparsable` and `refused` count calls that were answered, `failed` those that were not, by reason.
    Verdicts on explanations that people rated are among them. `cost` is that of all calls that the ledger knows, in the
    currency of the prices; None without prices. `agreement` is None where no ratings of people were named, and
    `agreement_note` says then that it is unknown.
    """

    model: str
    rubric: str
    samples: int
    temperature: float
    verdicts: int = 0
    unparsable: int = 0
    refused: int = 0
    failed: dict[str, int] = {}
    cost: float | None = None
    agreement: JudgeAgreement | None = None
    agreement_note: str = AGREEMENT_UNKNOWN

    @property
    def calls(self) -> int:
        """Number of calls whose outcome is known."""
        return self.verdicts + self.unparsable + self.refused + sum(self.failed.values())

    def with_agreement(self, agreement: JudgeAgreement) -> JudgeSummary:
        """The same with the judge's agreement with people."""
        return self.model_copy(update={"agreement": agreement, "agreement_note": _describe(agreement)})

    def notes(self) -> Iterator[str]:
        """Sentences that stand beside the scores."""
        yield f"llm_judge ({self.model}): {self.agreement_note}"
        lost = {
            "could not be read": self.unparsable,
            "were refused": self.refused,
            "failed": sum(self.failed.values()),
        }
        if any(lost.values()):
            listed = ", ".join(f"{count:,} {what}" for what, count in lost.items() if count)
            yield f"llm_judge: of {counted(self.calls, 'call')}, {listed}"
        if self.cost is not None:
            yield f"llm_judge: the calls cost {self.cost:.6g}, in the currency of the prices"


def judge_agreement(
    ratings: str,
    people: Mapping[str, Sequence[float]],
    scores: Sequence[CaseScore],
    posts: Sequence[str],
    resampling: Resampling,
) -> JudgeAgreement:
    """Compare a judge with people.

    Parameters
    ----------
    people
        The mean rating of each explanation, by aspect.
    scores
        The judge's scores of the same explanations; those without are left out.
    posts
        The post of each explanation, which intervals resample.
    """
    kept = [number for number, score in enumerate(scores) if score.values]
    return JudgeAgreement(
        ratings=ratings,
        explanations=len(scores),
        scored=len(kept),
        aspects={
            aspect: _aspect_agreement(
                [scores[number].values[f"judge_{aspect}"] for number in kept],
                [people[aspect][number] for number in kept],
                [posts[number] for number in kept],
                resampling,
            )
            for aspect in ASPECTS
            if aspect in people
        },
    )


def _aspect_agreement(
    judge: Sequence[float], people: Sequence[float], posts: Sequence[str], resampling: Resampling
) -> JudgeAspectAgreement:
    correlations = correlate_all(["pearson", "spearman"], judge, people, posts, resampling)
    alpha = krippendorff_alpha(np.array([judge, people], dtype=np.float64).T, "interval", resampling)
    return JudgeAspectAgreement(alpha=alpha, **correlations)


def _describe(agreement: JudgeAgreement) -> str:
    aspects = "; ".join(
        f"{name}: Pearson {_in_words(one.pearson)}, Spearman {_in_words(one.spearman)}, "
        f"Krippendorff's alpha {_in_words(one.alpha)}"
        for name, one in agreement.aspects.items()
    )
    return (
        f"agreement with the mean rating of people on {agreement.scored:,} of "
        f"{counted(agreement.explanations, 'rated explanation')} ({agreement.ratings}): {aspects}"
    )


def _in_words(score: CorrelationScore | AgreementScore) -> str:
    if score.value is None:
        return f"unknown ({score.reason})"
    interval = (
        "" if score.interval is None else f" (95 %: {score.interval[0]:.2f} to {score.interval[1]:.2f})"
    )
    return f"{score.value:.2f}{interval}"
