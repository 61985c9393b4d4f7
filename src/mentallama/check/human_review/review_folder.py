"""The files of a run that people fill in: decisions on label disagreements, and ratings of a sample.

They are in `runs/NAME/review/`, beside the folders of the stages, which a new run replaces as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mentallama.check.human_review.disagreements import (
    Decisions,
    decisions_digest,
    disagrees,
    read_decisions,
    write_disagreements,
)
from mentallama.check.human_review.rating_sample import (
    Ratings,
    draw_rating_sample,
    rating_sample_report,
    ratings_digest,
    read_ratings,
    write_rating_sample,
)
from mentallama.check.output.gate_report_schema import GateReportRow
from mentallama.check.response_rows import ResponseRow
from mentallama.config import Check
from mentallama.run_files import DISAGREEMENTS_PATH, RATING_SAMPLE_PATH


@dataclass(frozen=True)
class HumanInputs:
    """Decisions and ratings so far, read before any work is done so that a malformed file stops the run at once."""

    run: Path
    decisions: Decisions
    ratings: Ratings


def read_human_inputs(run: Path) -> HumanInputs:
    """Read both files of a run; either may be absent.

    Raises
    ------
    DataError
        A file is malformed; it is left unchanged.
    """
    return HumanInputs(run, read_decisions(run / DISAGREEMENTS_PATH), read_ratings(run / RATING_SAMPLE_PATH))


def human_input_digests(run: Path) -> dict[str, str]:
    """Digests of the decisions and of the ratings; they change only when a decision or a score changes."""
    return {
        "decisions": decisions_digest(run / DISAGREEMENTS_PATH),
        "ratings": ratings_digest(run / RATING_SAMPLE_PATH),
    }


def update_disagreements(human_inputs: HumanInputs, rows: Sequence[ResponseRow]) -> GateReportRow:
    """Write the disagreements between teacher and data set with the decisions so far; returns their counts."""
    disagreements = [row for row in rows if disagrees(row)]
    path = human_inputs.run / DISAGREEMENTS_PATH
    if not disagreements and not path.is_file():
        return {"disagreements": 0, "decided": 0, "undecided": 0}
    path.parent.mkdir(exist_ok=True)
    write_disagreements(path, disagreements, human_inputs.decisions)
    undecided = sum(not human_inputs.decisions.get(row) for row in disagreements)
    return {
        "disagreements": len(disagreements),
        "decided": len(disagreements) - undecided,
        "undecided": undecided,
    }


def update_rating_sample(
    human_inputs: HumanInputs, accepted: Sequence[ResponseRow], settings: Check, seed: int
) -> GateReportRow:
    """Draw the sample from the accepted rows and write it with the ratings so far; returns a summary of the ratings."""
    path = human_inputs.run / RATING_SAMPLE_PATH
    if not accepted and not path.is_file():
        return {}
    already_rated = human_inputs.ratings.overall_scores()
    drawn = draw_rating_sample(accepted, settings.rating_sample_size, seed, already_rated)
    path.parent.mkdir(exist_ok=True)
    ratings = write_rating_sample(path, drawn, human_inputs.ratings)
    return rating_sample_report(ratings, settings.acceptable_poor_share, settings.unacceptable_poor_share)
