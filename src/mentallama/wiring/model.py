"""Train and predict, as the runner sees them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from mentallama.config import Recipe
from mentallama.wiring.stage import POSTS, files_of, needs


def train_inputs(recipe: Recipe, folder: Path) -> dict[str, Path]:
    """Posts; for neural analysts the rows with answers too, where there are some, and the base's own files."""
    assert recipe.train is not None
    found = needs(POSTS)(recipe, folder)
    if recipe.train.analyst == "linear":
        return found
    rows = "collect/responses.jsonl.zst" if recipe.check is None else "check/instructions.jsonl.zst"
    base = getattr(recipe.train, "base", None) or ""
    local = files_of(f"base:{base}", "base") if Path(base).is_dir() else {}
    return found | ({rows: folder / rows} if (folder / rows).is_file() else {}) | local


def train(recipe: Recipe, folder: Path, out: Path) -> dict[str, Any]:
    from mentallama.train.run import run

    if others_wait():
        from mentallama.train.devices import lead

        lead(str(out))
    return run(recipe, folder, out)


def others_wait() -> bool:
    """Whether torchrun has started processes beside this one, which take part in training alone."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def take_part(recipe: Recipe, folder: Path) -> None:
    """The work of a process that is not the first: it waits for training to begin, and trains with the others."""
    from mentallama.models.libraries import need_torch
    from mentallama.train.run import run

    need_torch()
    from mentallama.train.devices import follow, leave

    out = follow()
    if out is not None:
        run(recipe, folder, Path(out))
    leave()


def let_go() -> None:
    """Let the other processes end; those that still wait for training are told that there is none."""
    from mentallama.train.devices import joined, lead, leave

    if not joined():
        lead(None)
    leave()


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
