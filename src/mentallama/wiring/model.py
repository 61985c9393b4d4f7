"""Train, as the runner sees it."""

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
