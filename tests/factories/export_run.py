"""A small run to export: two sets, all splits, two teachers, gates, and predictions with evidence."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mentallama.check.output.dataset import AcceptedResponse, dataset_writer
from mentallama.check.output.gate_report_schema import GateCounts, GateReport
from mentallama.files.atomic import write_json
from mentallama.files.record_files import write_records
from mentallama.records import Post, Prediction, Reading, Span, Split, example_of
from mentallama.run_files import (
    GATE_REPORT_PATH,
    POSTS_PATH,
    PREDICTIONS_PATH,
    TEACH_RESPONSES_PATH,
    VERDICTS_PATH,
)
from tests.factories.check_cases import post_of, row_for

AUTHOR = "author-of-all-posts"
FIRST, SECOND = "first-teacher", "second-teacher"
COUNTS: dict[Split, int] = {"train": 6, "validation": 2, "test": 4}
OTHER = {"yes": "no", "no": "yes"}


def make_posts() -> list[Post]:
    """Posts of CLP (by agreement, one question) and Irf (two questions); an emoji stands in each."""
    posts = []
    for split, count in COUNTS.items():
        for number in range(count):
            label = ("yes", "no")[number % 2]
            clp = f'The kettle 🫖 sang {number} times before {split} and "nothing" else, then it was quiet.'
            irf = f"We walked 🐕 round lake number {number} after {split}, talking about beans and weather."
            posts += [
                post_of("CLP", clp, {"depression": label}, split, number, synthetic=False),
                post_of(
                    "Irf",
                    irf,
                    dict.fromkeys(("thwarted belongingness", "perceived burdensomeness"), label),
                    split,
                    number,
                ),
            ]
    return [post.model_copy(update={"author": AUTHOR}) for post in posts]


def make_run(folder: Path, posts: Sequence[Post] = ()) -> Path:
    """Write the run and return its folder. The first teacher is right and accepted; the second is wrong."""
    posts = posts or make_posts()
    write_records(folder / POSTS_PATH, posts)
    asked = [(post, question) for post in posts for question in post.labels]
    right = [row_for(post, question, model=FIRST) for post, question in asked]
    wrong = [row_for(_flipped(post), question, model=SECOND) for post, question in asked]
    pairs = [row for both in zip(right, wrong, strict=True) for row in both]
    write_records(folder / TEACH_RESPONSES_PATH, [row.response for row in pairs])
    write_records(
        folder / VERDICTS_PATH,
        [
            row.verdict("label_match", None if row.response.model == FIRST else "another label")
            for row in pairs
        ],
    )
    (folder / "check").mkdir(exist_ok=True)
    with dataset_writer(folder / "check", "instruction", parquet=False) as write:
        for row in right:
            write(AcceptedResponse(row, row.post.labels[row.example.question]))
    gate = GateCounts(
        gate="label_match", threshold=True, drops=True, judged=len(pairs), failed=len(wrong), sole_drops=0
    )
    report = GateReport(responses=len(pairs), accepted=len(right), unanswered=0, gates=(gate,))
    write_json(folder / GATE_REPORT_PATH, report.model_dump(mode="json"))
    write_records(folder / PREDICTIONS_PATH, [_prediction(post, question) for post, question in asked])
    return folder


def _flipped(post: Post) -> Post:
    return post.model_copy(update={"labels": {name: OTHER[label] for name, label in post.labels.items()}})


def _prediction(post: Post, question: str) -> Prediction:
    """Yes with certainty 0.75, and the words after the emoji as evidence; others speak against it."""
    start = post.text.index(" ", max(post.text.find("🫖"), post.text.find("🐕"))) + 1
    return Prediction(
        example_id=example_of(post, question, "instruction").id,
        reading=Reading(status="parsed", label="yes", explanation="It says so."),
        probabilities={"yes": 0.75, "no": 0.25},
        evidence=(Span(start=start, end=start + 4, weight=1.5), Span(start=0, end=3, weight=-0.5)),
        model="linear:tiny",
    )
