"""The files of a run that people write in: decisions on disagreements, ratings of a sample.

They lie in `runs/NAME/review/`, beside the stages' folders, which are replaced whole.
"""

from __future__ import annotations

import hashlib
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
    ASPECTS,
    Ratings,
    draw_rating_sample,
    rating_sample_report,
    read_ratings,
    write_rating_sample,
)
from mentallama.check.output.gate_report_schema import GateReportRow
from mentallama.check.response_row import ResponseRow
from mentallama.config import Check
from mentallama.run_files import (
    DISAGREEMENTS_FILE,
    DISAGREEMENTS_PATH,
    RATING_SAMPLE_FILE,
    RATING_SAMPLE_PATH,
    REVIEW_FOLDER,
)


@dataclass(frozen=True)
class HumanInputs:
    """What people have written so far. Read before a run works, so that a file with a fault stops it at once."""

    folder: Path
    decisions: Decisions
    ratings: Ratings


def read_human_inputs(run: Path) -> HumanInputs:
    """Read both files of a run; a file that is not there says nothing.

    Raises
    ------
    BadData
        A file has a fault; it is left as it is.
    """
    return HumanInputs(
        run / REVIEW_FOLDER, read_decisions(disagreements_path(run)), read_ratings(rating_sample_path(run))
    )


def disagreements_path(run: Path) -> Path:
    """Where people decide between a teacher's label and the set's."""
    return run / DISAGREEMENTS_PATH


def rating_sample_path(run: Path) -> Path:
    """Where raters score explanations."""
    return run / RATING_SAMPLE_PATH


def human_input_digests(run: Path) -> dict[str, str]:
    """Digests of what people have decided and rated: the same as long as nobody has written in the files."""
    given = sorted(
        (
            line["example_id"],
            line["model"],
            line["explanation"],
            line["rater"],
            *(line[name] for name in ASPECTS),
        )
        for line in read_ratings(rating_sample_path(run)).rows
        if any(line[name] for name in ASPECTS)
    )
    ratings = hashlib.sha256(repr(given).encode("utf-8", "surrogatepass")).hexdigest()
    return {"decisions": decisions_digest(disagreements_path(run)), "ratings": ratings}


def update_disagreements(people: HumanInputs, rows: Sequence[ResponseRow]) -> GateReportRow:
    """Write where teacher and set disagree, with what was decided before; the state of it in figures."""
    at_odds = [row for row in rows if disagrees(row)]
    path = people.folder / DISAGREEMENTS_FILE
    if not at_odds and not path.is_file():
        return {"disagreements": 0, "decided": 0, "undecided": 0}
    path.parent.mkdir(exist_ok=True)
    write_disagreements(path, at_odds, people.decisions)
    undecided = sum(not people.decisions.get(row) for row in at_odds)
    return {"disagreements": len(at_odds), "decided": len(at_odds) - undecided, "undecided": undecided}


def update_rating_sample(
    people: HumanInputs, accepted: Sequence[ResponseRow], settings: Check, seed: int
) -> GateReportRow:
    """Draw the sample from accepted rows and write it with the ratings there are; where the rating stands."""
    path = people.folder / RATING_SAMPLE_FILE
    if not accepted and not path.is_file():
        return {}
    drawn = draw_rating_sample(accepted, settings.rating_sample_size, seed, people.ratings.overall_scores())
    path.parent.mkdir(exist_ok=True)
    ratings = write_rating_sample(path, drawn, people.ratings)
    return rating_sample_report(ratings, settings.acceptable_poor_share, settings.unacceptable_poor_share)
