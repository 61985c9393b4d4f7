"""The train stage: the model and its summary."""

from __future__ import annotations

from pathlib import Path

from mentallama.analysts.linear.analyst import LinearAnalyst
from mentallama.config import Recipe
from mentallama.files.record_files import read_json, write_records
from mentallama.records import example_of
from mentallama.train.run import run
from tests.factories.linear_cases import (
    QUICK,
    depression_posts,
)


def test_the_stage_writes_a_model_and_a_summary(tmp_path: Path) -> None:
    write_records(tmp_path / "collect/posts.jsonl.zst", depression_posts())
    counts = run(Recipe(name="r", data=tmp_path, train=QUICK), tmp_path, tmp_path / "train")
    assert (
        counts["sets"]["DR"].pop("seconds") >= 0
    )  # measured time is returned, but not written to the summary
    assert read_json(tmp_path / "train" / "summary.json") == counts
    analyst = LinearAnalyst.load(tmp_path / "train")
    example = example_of(depression_posts()[0], "depression", "instruction")
    assert next(analyst.predict([example])).reading.label == "yes"
