"""Ratings of explanations by people that the release holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from mentallama.explanation_metrics.human_ratings import RatedExplanations, read_ratings
from mentallama.metrics.agreement import krippendorff_alpha
from mentallama.reproduce.claims import ClaimFinding, PaperClaim, judge, not_possible
from mentallama.reproduce.inputs import ReproductionInputs

RATINGS_FOLDER = "human_evaluation/DR_annotation"
RATED_SET, RATED_QUESTION = "DR", "depression"


def check_rated_by_the_paper(claim: PaperClaim, inputs: ReproductionInputs) -> Iterator[ClaimFinding]:
    """The release has ratings of other explanations than the paper's; what they say is given as the cause."""
    rated = _read(inputs)
    other = "" if rated is None else f"; {RATINGS_FOLDER} rates others: {_summary(rated, inputs)}"
    for subject in claim.values:
        yield not_possible(claim, subject, f"the release has no ratings of these explanations{other}")


def check_rated_files(claim: PaperClaim, inputs: ReproductionInputs) -> Iterator[ClaimFinding]:
    """Number of rated explanations in each file."""
    rated = _read(inputs)
    counts = Counter() if rated is None else Counter(row.file for row in rated.rows)
    for name in claim.values:
        if name not in counts:
            yield not_possible(claim, name, f"{RATINGS_FOLDER}/FILE is missing or empty")
        else:
            yield judge(claim, name, counts[name])


def _read(inputs: ReproductionInputs) -> RatedExplanations | None:
    folder = inputs.data.release / RATINGS_FOLDER
    if not folder.is_dir() or not any(folder.glob("*.csv")):
        return None
    return read_ratings(sorted(folder.glob("*.csv")), inputs.data.tasks[RATED_SET], RATED_QUESTION)


def _summary(rated: RatedExplanations, inputs: ReproductionInputs) -> str:
    """Number of explanations, and of each aspect the mean and the agreement of the raters."""
    parts = []
    for aspect in rated.aspects:
        ratings = rated.ratings_of(aspect)
        alpha = krippendorff_alpha(ratings, "ordinal", inputs.resampling)
        agreement = alpha.reason if alpha.value is None else f"alpha {alpha.value:.2f}"
        mean = sum(row.mean(aspect) for row in rated.rows) / len(rated.rows)
        parts.append(f"{aspect} {mean:.2f} ({agreement})")
    return f"{len(rated.rows)} explanations, means {', '.join(parts)}"
