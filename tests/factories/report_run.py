"""A synthetic run with everything that a report can show."""

from __future__ import annotations

import random
import re
from pathlib import Path

from mentallama.config.evaluate import Evaluate
from mentallama.evaluate.published.reader import PublishedScore
from mentallama.evaluate.published.upstream_scores import score_against_upstream
from mentallama.evaluate.run import score_sets, write_scores
from mentallama.evaluate.score_file import ScoreFile
from mentallama.evaluate.scores import ScoredRow
from mentallama.evaluate.selective import with_abstention
from mentallama.files.atomic import write_json
from mentallama.files.record_files import write_records
from mentallama.metrics.bootstrap import Resampling
from mentallama.records import Prediction, Reading
from mentallama.report.run import run
from mentallama.tasks import Task, load_tasks

SECRET = "a sentence out of somebody's post"
"""Explanation of the only prediction, which quotes its post and must not be on the page."""
SIZES = {
    "DR": 40,
    "dreaddit": 60,
    "Irf": 50,
    "MultiWD": 30,
    "SAD": 90,
    "CAMS": 70,
    "loneliness": 45,
    "t-sid": 80,
}
PUBLISHED = PublishedScore(
    weighted_f1=61.5,
    accuracy=62.5,
    reason=None,
    n_references=40,
    n_outputs=40,
    n_defaulted=3,
    n_differences=4,
)


def synthetic_rows(task: Task, posts: int) -> list[ScoredRow]:
    """Scored rows of an analyst that predicts the gold label in seven of ten rows, with probabilities."""
    draw = random.Random(task.set)
    rows = []
    for number in range(posts):
        for question in task.questions:
            gold = draw.choice(list(task.labels))
            probability = draw.uniform(1 / len(task.labels), 1)
            answer = gold if draw.random() < 0.7 else draw.choice([*task.labels, "unparsed", "truncated"])
            has_label = answer in task.labels
            rows.append(
                ScoredRow.model_validate(
                    {
                        "example_id": f"{number}{question}",
                        "set": task.set,
                        "question": question,
                        "post_id": f"{number}",
                        "gold": gold,
                        "status": "parsed" if has_label else answer,
                        "predicted": answer if has_label else None,
                        "probability": probability if has_label else None,
                        "high_risk_probability": probability
                        if answer == task.high_risk_label
                        else (1 - probability) / (len(task.labels) - 1),
                        "brier": 2 * (1 - probability) ** 2,
                    }
                )
            )
    return rows


def make_scores(out: Path) -> ScoreFile:
    """Write the scores of a synthetic run."""
    tasks = load_tasks()
    rows = {name: synthetic_rows(tasks[name], posts) for name, posts in SIZES.items()}
    how = Resampling(resamples=200)
    validation = {
        name: synthetic_rows(tasks[name], posts)[: posts // 2]
        for name, posts in SIZES.items()
        if name != "DR"
    }
    drifted = {(row.post_id, row.question): "no" for row in rows["Irf"][::2]}
    upstream = score_against_upstream(rows["Irf"], drifted, tasks["Irf"], how)
    unscored = PUBLISHED.model_copy(
        update={
            "weighted_f1": None,
            "accuracy": None,
            "reason": "its lists differ in length: 58 references, 70 outputs",
        }
    )
    return write_scores(
        out / "evaluate",
        ScoreFile(
            form="instruction",
            source={"kind": "predictions", "model": "linear:runs/made-up/train"},
            resampling=how,
            sets=with_abstention(score_sets(rows, tasks, how), rows, validation, tasks, Evaluate(), how),
            against_upstream={} if upstream is None else {"Irf": upstream},
            missing=("CLP", "swmh"),
            missing_reasons={
                "CLP": "there are no labelled test posts for it",
                "swmh": "3 labelled test rows have no prediction",
            },
            as_published={"DR": PUBLISHED, "CAMS": unscored},
        ),
        rows,
    )


def make_run(out: Path) -> Path:
    """The folder of a synthetic run with everything that a report can show."""
    make_scores(out)
    names = list(load_tasks())
    sizes = [SIZES.get(name, 0) for name in names]
    counts = [[(7 * i * j) % 23 if size else 0 for j in range(len(names))] for i, size in enumerate(sizes)]
    posts = {
        name: {"train": 12 * size, "validation": size, "test": size}
        for name, size in zip(names, sizes, strict=True)
    }
    write_json(
        out / "collect/summary.json",
        {
            "posts": posts,
            "missing": ["CLP", "swmh"],
            "rows_read": 6_000,
            "rejected": 12,
            "reject_reasons": {"an empty post": 9, "unknown label": 3},
            "cleaning": {"mended": 40},
            "leak_guard": "run",
            "removed": [
                {
                    "reason": "leak",
                    "match": "exact",
                    "set": "MultiWD",
                    "split": "train",
                    "duplicate_of_set": "Irf",
                    "duplicate_of_split": "test",
                    "posts": 792,
                },
                {
                    "reason": "leak",
                    "match": "near",
                    "set": "MultiWD",
                    "split": "train",
                    "duplicate_of_set": "Irf",
                    "duplicate_of_split": "test",
                    "posts": 31,
                },
                {
                    "reason": "duplicate",
                    "match": "exact",
                    "set": "SAD",
                    "split": "train",
                    "duplicate_of_set": "SAD",
                    "duplicate_of_split": "train",
                    "posts": 4,
                },
                {
                    "reason": "synthetic",
                    "match": None,
                    "set": "DR",
                    "split": "test",
                    "duplicate_of_set": None,
                    "duplicate_of_split": None,
                    "posts": 2,
                },
            ],
            "held_out": {
                "sets": ["CAMS", "Irf"],
                "posts_left_out": 900,
                "test_posts_left_in_training": 0,
                "verified": True,
            },
            "files": ["release/x.csv"],
        },
    )
    write_json(
        out / "collect/overlap.json",
        {
            "test_sets": names,
            "train_sets": names,
            "before_guard": counts,
            "after_guard": [[0] * len(names)] * len(names),
            "test_posts": sizes,
        },
    )
    write_json(
        out / "collect/label_drift.json",
        [
            {
                "set": "Irf",
                "question": "thwarted belongingness",
                "rows": 1057,
                "differ": 230,
                "share": 0.2176,
                "pairs": {"yes → no": 230},
            },
            {"set": "dreaddit", "question": "stress", "rows": 414, "differ": 3, "share": 0.0072, "pairs": {}},
        ],
    )
    card = {"C": 2.0, "class_weight": "balanced", "temperature": 1.2345, "weighted_f1": 0.9876}
    write_json(
        out / "train/summary.json",
        {
            "sets": {
                "DR": {
                    "questions": {"depression": {"train": 480, "validation": 40, "metadata": card}},
                    "features": 1000,
                    "seconds": 1.5,
                }
            },
            "skipped": {"CLP, depression": "0 labelled training posts"},
        },
    )
    write_records(
        out / "predict/predictions.jsonl.zst",
        [
            Prediction(
                example_id="e",
                reading=Reading(status="parsed", label="yes", explanation=SECRET),
                probabilities={"yes": 0.9, "no": 0.1},
                model="linear:runs/made-up/train",
            ),
        ],
    )
    return out


SETTINGS = {
    "name": "made-up",
    "seed": 7,
    "tasks": None,
    "collect": {"leak_guard": "run", "held_out": ["CAMS", "Irf"]},
}


TIMED_TABLES = re.compile(
    r'<caption id="t-provenance-(?:stages|execution)">.*?</table>'
    r"|^(?:Stages of|How the stages)[^\n]*\n\n(?:\|[^\n]*\n)+",
    re.S | re.M,
)


def without_times(page: bytes) -> bytes:
    """A page without the tables that say when and where its run was computed."""
    return TIMED_TABLES.sub("", page.decode()).encode()


def write_report(folder: Path, title: str, settings: dict[str, object] | None = None) -> Path:
    """Write the report of a run into the run's folder; returns the page."""
    return run(folder, folder / "report", title, settings)
