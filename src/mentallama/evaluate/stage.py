"""Evaluate and report, as the runner sees them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mentallama.config import STAGE_NAMES, Recipe
from mentallama.pipeline.stage import POSTS_PATH, PREDICTIONS_PATH, require_files, spec_files


def evaluate_inputs(recipe: Recipe, folder: Path) -> dict[str, Path]:
    """Posts, predictions, and the label reader's own files."""
    assert recipe.evaluate is not None
    reader = recipe.evaluate.reader
    found = require_files(POSTS_PATH, PREDICTIONS_PATH)(recipe, folder)
    return found | ({} if reader is None else spec_files(f"encoder:{reader}", "reader"))


def evaluate(recipe: Recipe, folder: Path, out: Path) -> dict[str, Any]:
    from mentallama.analysts.registry import open_label_reader
    from mentallama.evaluate.run import evaluate_predictions

    assert recipe.evaluate is not None
    reader = recipe.evaluate.reader
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


def report_inputs(recipe: Recipe, folder: Path) -> dict[str, Path]:
    """All that earlier stages wrote, but what holds a clock."""
    earlier = [folder / stage for stage in STAGE_NAMES[: STAGE_NAMES.index("report")]]
    files = (file for stage in earlier if stage.is_dir() for file in sorted(stage.iterdir()))
    return {
        file.relative_to(folder).as_posix(): file
        for file in files
        if file.is_file() and file.name != "manifest.json"
    }


def report_settings(recipe: Recipe) -> dict[str, Any]:
    """The settings that the page shows: of the whole recipe, but where data stood and how many processes there were.

    The salt stays out: a page is handed on with its manifest.
    """
    return recipe.model_dump(
        mode="json", exclude={"data": True, "jobs": True, "collect": {"author_salt"}}, exclude_none=True
    )


def report(recipe: Recipe, folder: Path, out: Path) -> dict[str, Any]:
    from mentallama.report.run import run

    assert recipe.report is not None
    settings = recipe.model_dump(mode="json", exclude={"data", "report", "jobs"}, exclude_none=True)
    run(folder, out, recipe.report.title or recipe.name, settings, recipe.catalogue())
    return {}
