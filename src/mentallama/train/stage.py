"""The train stage."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mentallama.config import CausalSettings, Recipe
from mentallama.parallel import is_torchrun
from mentallama.pipeline.stage import Stage, require_files, spec_files
from mentallama.run_files import (
    INSTRUCTIONS_PATH,
    POSTS_PATH,
    RATING_SAMPLE_PATH,
    RELEASE_RESPONSES_PATH,
    TEACH_RESPONSES_PATH,
    VERDICTS_PATH,
)


def train_inputs(recipe: Recipe, folder: Path) -> dict[str, Path]:
    """Posts, and for neural analysts all else that is learnt from, and the base's own files."""
    assert recipe.train is not None
    if recipe.train.analyst == "linear":
        return require_files(POSTS_PATH)(recipe, folder)
    base = getattr(recipe.train, "base", None) or ""
    local = spec_files(f"base:{base}", "base") if Path(base).is_dir() else {}
    return _INPUTS_BY_OBJECTIVE[getattr(recipe.train, "objective", "sft")](recipe, folder) | local


def _sft_inputs(recipe: Recipe, folder: Path) -> dict[str, Path]:
    """Posts, and the rows with answers, where there are some."""
    rows = RELEASE_RESPONSES_PATH if recipe.check is None else INSTRUCTIONS_PATH
    return require_files(POSTS_PATH)(recipe, folder) | existing_files(folder, rows)


def _pretrain_inputs(recipe: Recipe, folder: Path) -> dict[str, Path]:
    """Text of the domain and general text; posts only prove that none of them is a test post."""
    settings = recipe.train
    assert isinstance(settings, CausalSettings)
    posts = (
        existing_files(folder, POSTS_PATH)
        if recipe.collect is None
        else require_files(POSTS_PATH)(recipe, folder)
    )
    text = spec_files(f"text:{settings.corpus}", "text")
    return (
        posts
        | text
        | (
            {}
            if settings.general_corpus is None
            else spec_files(f"general:{settings.general_corpus}", "general")
        )
    )


def _dpo_inputs(recipe: Recipe, folder: Path) -> dict[str, Path]:
    """A file of pairs, or what they are made of; posts prove that none is about a test post."""
    settings = recipe.train
    assert isinstance(settings, CausalSettings)
    if settings.preference_pairs is not None:
        posts = (
            existing_files(folder, POSTS_PATH)
            if recipe.collect is None
            else require_files(POSTS_PATH)(recipe, folder)
        )
        return posts | spec_files(f"pairs:{settings.preference_pairs}", "pairs")
    made_of = (TEACH_RESPONSES_PATH, RELEASE_RESPONSES_PATH, VERDICTS_PATH)
    return require_files(POSTS_PATH)(recipe, folder) | existing_files(folder, *made_of, RATING_SAMPLE_PATH)


def existing_files(folder: Path, *names: str) -> dict[str, Path]:
    """Those of some files in the run's folder that exist."""
    return {name: folder / name for name in names if (folder / name).is_file()}


_INPUTS_BY_OBJECTIVE: dict[str, Callable[[Recipe, Path], dict[str, Path]]] = {
    "sft": _sft_inputs,
    "pretrain": _pretrain_inputs,
    "dpo": _dpo_inputs,
}
"""What is read, by what is learnt."""


def train(recipe: Recipe, folder: Path, out: Path) -> dict[str, Any]:
    from mentallama.train.run import run

    if is_torchrun():
        from mentallama.train.loop.distributed import broadcast_to_workers

        broadcast_to_workers(str(out))
    return run(recipe, folder, out)


STAGE = Stage(
    name="train",
    help="Train an analyst on the collected data.",
    inputs=train_inputs,
    run=train,
    cache_exclude=dict.fromkeys(("checkpoint_minutes", "device", "max_batch_tokens"), True),
    analyst_kinds=lambda recipe, _: () if recipe.train is None else (recipe.train.analyst,),
)
