"""Train, as the runner sees it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mentallama.config import Causal, Recipe
from mentallama.pipeline.stage import POSTS, files_of, needs


def train_inputs(recipe: Recipe, folder: Path) -> dict[str, Path]:
    """Posts, and for neural analysts all else that is learnt from, and the base's own files."""
    assert recipe.train is not None
    if recipe.train.analyst == "linear":
        return needs(POSTS)(recipe, folder)
    base = getattr(recipe.train, "base", None) or ""
    local = files_of(f"base:{base}", "base") if Path(base).is_dir() else {}
    return _LEARNT[getattr(recipe.train, "learns", "responses")](recipe, folder) | local


def _rows(recipe: Recipe, folder: Path) -> dict[str, Path]:
    """Posts, and the rows with answers, where there are some."""
    rows = "collect/responses.jsonl.zst" if recipe.check is None else "check/instructions.jsonl.zst"
    return needs(POSTS)(recipe, folder) | there(folder, rows)


def _text(recipe: Recipe, folder: Path) -> dict[str, Path]:
    """Text of the domain and general text; posts only prove that none of them is a test post."""
    settings = recipe.train
    assert isinstance(settings, Causal)
    posts = there(folder, POSTS) if recipe.collect is None else needs(POSTS)(recipe, folder)
    text = files_of(f"text:{settings.text}", "text")
    return (
        posts
        | text
        | ({} if settings.general is None else files_of(f"general:{settings.general}", "general"))
    )


def _preferences(recipe: Recipe, folder: Path) -> dict[str, Path]:
    """A file of pairs, or what they are made of; posts prove that none is about a test post."""
    settings = recipe.train
    assert isinstance(settings, Causal)
    if settings.pairs is not None:
        posts = there(folder, POSTS) if recipe.collect is None else needs(POSTS)(recipe, folder)
        return posts | files_of(f"pairs:{settings.pairs}", "pairs")
    made_of = ("teach/responses.jsonl.zst", "collect/responses.jsonl.zst", "check/verdicts.jsonl.zst")
    return needs(POSTS)(recipe, folder) | there(folder, *made_of, "review/sample.csv")


def there(folder: Path, *names: str) -> dict[str, Path]:
    """Those of some files in the run's folder that exist."""
    return {name: folder / name for name in names if (folder / name).is_file()}


_LEARNT: dict[str, Callable[[Recipe, Path], dict[str, Path]]] = {
    "responses": _rows,
    "text": _text,
    "preferences": _preferences,
}
"""What is read, by what is learnt."""


def train(recipe: Recipe, folder: Path, out: Path) -> dict[str, Any]:
    from mentallama.train.run import run

    if others_wait():
        from mentallama.train.loop.distributed import lead

        lead(str(out))
    return run(recipe, folder, out)


def others_wait() -> bool:
    """Whether torchrun has started processes beside this one, which take part in training alone."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def take_part(recipe: Recipe, folder: Path) -> None:
    """The work of a process that is not the first: it waits for training to begin, and trains with the others."""
    from mentallama.analysts.checkpoints.optional_deps import need_torch
    from mentallama.train.run import run

    need_torch()
    from mentallama.train.loop.distributed import follow, leave

    out = follow()
    if out is not None:
        run(recipe, folder, Path(out))
    leave()


def let_go() -> None:
    """Let the other processes end; those that still wait for training are told that there is none."""
    from mentallama.train.loop.distributed import joined, lead, leave

    if not joined():
        lead(None)
    leave()
