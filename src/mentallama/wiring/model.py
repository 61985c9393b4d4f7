"""Train and predict, as the runner sees them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mentallama.config import Recipe
from mentallama.wiring.stage import POSTS, files_of, needs


def train(recipe: Recipe, folder: Path, out: Path) -> dict[str, Any]:
    from mentallama.train.run import run

    return run(recipe, folder, out)


def predict_inputs(recipe: Recipe, folder: Path) -> dict[str, Path]:
    return needs(POSTS)(recipe, folder) | files_of(model_of(recipe, folder), "model")


def model_of(recipe: Recipe, folder: Path) -> str:
    """The spec of the analyst that answers: the one that is named, or the one that this run has trained."""
    assert recipe.predict is not None
    kind = "linear" if recipe.train is None else recipe.train.analyst
    return recipe.predict.model or f"{kind}:{folder / 'train'}"


def predict(recipe: Recipe, folder: Path, out: Path) -> dict[str, Any]:
    from mentallama.models.analyst import open_analyst
    from mentallama.predict import run

    assert recipe.predict is not None
    analyst = open_analyst(model_of(recipe, folder))
    return run(analyst, folder / POSTS, out, recipe.predict.splits, recipe.form).model_dump(mode="json")
