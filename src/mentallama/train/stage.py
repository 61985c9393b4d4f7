"""The train stage."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mentallama.config import CausalSettings, Recipe
from mentallama.config.train import TRAIN_CACHE_EXCLUDES
from mentallama.parallel import is_torchrun
from mentallama.pipeline.stage import Stage, require_files, spec_files
from mentallama.run_files import (
    POSTS_PATH,
    RATING_SAMPLE_PATH,
    RELEASE_RESPONSES_PATH,
    TEACH_RESPONSES_PATH,
    VERDICTS_PATH,
)


def train_inputs(recipe: Recipe, folder: Path) -> dict[str, Path]:
    """Posts; for neural analysts also the data of their objective and the files of a local base."""
    assert recipe.train is not None
    if recipe.train.analyst == "linear":
        return require_files(POSTS_PATH)(recipe, folder)
    base = getattr(recipe.train, "base", None) or ""
    base_files = spec_files(f"base:{base}", "base") if Path(base).is_dir() else {}
    objective = getattr(recipe.train, "objective", "sft")
    return _INPUTS_BY_OBJECTIVE[objective](recipe, folder) | base_files


def _sft_inputs(recipe: Recipe, folder: Path) -> dict[str, Path]:
    """Posts, and the rows with answers, if there are any."""
    from mentallama.train.data.instructions import instruction_file

    return require_files(POSTS_PATH)(recipe, folder) | existing_files(folder, instruction_file(recipe))


def _pretrain_inputs(recipe: Recipe, folder: Path) -> dict[str, Path]:
    """The corpus and the general corpus; posts only serve to exclude test posts."""
    settings = recipe.train
    assert isinstance(settings, CausalSettings)
    files = _posts_if_any(recipe, folder) | spec_files(f"text:{settings.corpus}", "text")
    if settings.general_corpus is not None:
        files |= spec_files(f"general:{settings.general_corpus}", "general")
    return files


def _dpo_inputs(recipe: Recipe, folder: Path) -> dict[str, Path]:
    """A file of pairs, or the files that pairs are derived from; posts also serve to exclude test posts."""
    settings = recipe.train
    assert isinstance(settings, CausalSettings)
    if settings.preference_pairs is not None:
        return _posts_if_any(recipe, folder) | spec_files(f"pairs:{settings.preference_pairs}", "pairs")
    sources = (TEACH_RESPONSES_PATH, RELEASE_RESPONSES_PATH, VERDICTS_PATH, RATING_SAMPLE_PATH)
    return require_files(POSTS_PATH)(recipe, folder) | existing_files(folder, *sources)


def _posts_if_any(recipe: Recipe, folder: Path) -> dict[str, Path]:
    """The run's posts; they are required if the recipe has the stage collect."""
    if recipe.collect is None:
        return existing_files(folder, POSTS_PATH)
    return require_files(POSTS_PATH)(recipe, folder)


def existing_files(folder: Path, *paths: str) -> dict[str, Path]:
    """The files among some paths in the run's folder, by path."""
    return {path: folder / path for path in paths if (folder / path).is_file()}


_INPUTS_BY_OBJECTIVE: dict[str, Callable[[Recipe, Path], dict[str, Path]]] = {
    "sft": _sft_inputs,
    "pretrain": _pretrain_inputs,
    "dpo": _dpo_inputs,
}


def train(recipe: Recipe, folder: Path, out: Path) -> dict[str, Any]:
    """Run the stage; under torchrun, send the waiting workers into training as well."""
    from mentallama.train.run import run

    if is_torchrun():
        from mentallama.train.loop.distributed import broadcast_to_workers

        broadcast_to_workers(str(out))
    return run(recipe, folder, out)


_MODEL_FILE_PATTERNS = (
    "*.npz",
    "*.safetensors",
    "*.json",
    "*.model",
    "merges.txt",
    "vocab.txt",
    "chat_template.jinja",
    "recipe.yaml",
    "README.md",
)

STAGE = Stage(
    name="train",
    help="Train an analyst on the collected data.",
    inputs=train_inputs,
    run=train,
    cache_exclude=dict.fromkeys(TRAIN_CACHE_EXCLUDES, True),
    analyst_kinds=lambda recipe, _: () if recipe.train is None else (recipe.train.analyst,),
    file_patterns=_MODEL_FILE_PATTERNS,
)
