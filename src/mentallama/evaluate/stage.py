"""The evaluate stage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mentallama.config import Recipe
from mentallama.pipeline.stage import Stage, require_files, spec_files
from mentallama.run_files import (
    POSTS_PATH,
    PREDICTIONS_PATH,
    READER_DIFFERENCES_FILE,
    SCORED_ROWS_FILE,
    SCORES_FILE,
)


def evaluate_inputs(recipe: Recipe, folder: Path) -> dict[str, Path]:
    """Posts, predictions, and the files of the label reader."""
    assert recipe.evaluate is not None
    reader = recipe.evaluate.label_reader
    inputs = require_files(POSTS_PATH, PREDICTIONS_PATH)(recipe, folder)
    return inputs | ({} if reader is None else spec_files(f"encoder:{reader}", "label_reader"))


def evaluate(recipe: Recipe, folder: Path, out: Path) -> dict[str, Any]:
    """Score the run's predictions; returns weighted F1 by set and the sets without a score."""
    from mentallama.analysts.registry import open_label_reader
    from mentallama.evaluate.run import evaluate_predictions

    assert recipe.evaluate is not None
    reader = recipe.evaluate.label_reader
    scores = evaluate_predictions(
        folder / POSTS_PATH,
        folder / PREDICTIONS_PATH,
        out,
        recipe.form,
        recipe.catalogue(),
        seed=recipe.seed,
        resamples=recipe.evaluate.resamples,
        reader=None if reader is None else open_label_reader(reader),
    )
    return {"weighted_f1": scores.weighted_f1(), "missing": list(scores.missing)}


STAGE = Stage(
    name="evaluate",
    help="Score the predictions.",
    inputs=evaluate_inputs,
    run=evaluate,
    file_patterns=(SCORES_FILE, SCORED_ROWS_FILE, READER_DIFFERENCES_FILE),
    analyst_kinds=lambda recipe, _: (
        () if recipe.evaluate is None or recipe.evaluate.label_reader is None else ("encoder",)
    ),
)
