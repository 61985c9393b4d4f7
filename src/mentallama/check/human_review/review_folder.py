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
    write_review,
)
from mentallama.check.human_review.rating_sample import (
    ASPECTS,
    Ratings,
    draw,
    read_ratings,
    sample_report,
    write_sample,
)
from mentallama.check.output.gate_report_schema import Figures
from mentallama.check.response_row import Row
from mentallama.config import Check


@dataclass(frozen=True)
class People:
    """What people have written so far. Read before a run works, so that a file with a fault stops it at once."""

    folder: Path
    decisions: Decisions
    ratings: Ratings


def read_people(run: Path) -> People:
    """Read both files of a run; a file that is not there says nothing.

    Raises
    ------
    BadData
        A file has a fault; it is left as it is.
    """
    return People(run / "review", read_decisions(disagreements_of(run)), read_ratings(sample_of(run)))


def disagreements_of(run: Path) -> Path:
    """Where people decide between a teacher's label and the set's."""
    return run / "review" / "disagreements.csv"


def sample_of(run: Path) -> Path:
    """Where raters score explanations."""
    return run / "review" / "sample.csv"


def said(run: Path) -> dict[str, str]:
    """Digests of what people have decided and rated: the same as long as nobody has written in the files."""
    given = sorted(
        (
            line["example_id"],
            line["model"],
            line["explanation"],
            line["rater"],
            *(line[name] for name in ASPECTS),
        )
        for line in read_ratings(sample_of(run)).lines
        if any(line[name] for name in ASPECTS)
    )
    ratings = hashlib.sha256(repr(given).encode("utf-8", "surrogatepass")).hexdigest()
    return {"decisions": decisions_digest(disagreements_of(run)), "ratings": ratings}


def ask_to_decide(people: People, rows: Sequence[Row]) -> Figures:
    """Write where teacher and set disagree, with what was decided before; the state of it in figures."""
    at_odds = [row for row in rows if disagrees(row)]
    path = people.folder / "disagreements.csv"
    if not at_odds and not path.is_file():
        return {"disagreements": 0, "decided": 0, "undecided": 0}
    path.parent.mkdir(exist_ok=True)
    write_review(path, at_odds, people.decisions)
    undecided = sum(not people.decisions.of(row) for row in at_odds)
    return {"disagreements": len(at_odds), "decided": len(at_odds) - undecided, "undecided": undecided}


def ask_to_rate(people: People, accepted: Sequence[Row], settings: Check, seed: int) -> Figures:
    """Draw the sample from accepted rows and write it with the ratings there are; where the rating stands."""
    path = people.folder / "sample.csv"
    if not accepted and not path.is_file():
        return {}
    drawn = draw(accepted, settings.sample, seed, people.ratings.overall())
    path.parent.mkdir(exist_ok=True)
    ratings = write_sample(path, drawn, people.ratings)
    return sample_report(ratings, settings.acceptable, settings.unacceptable)
