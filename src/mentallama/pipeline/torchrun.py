"""Run a recipe under torchrun: the first process runs all stages, the others only take part in training."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from mentallama.config import Recipe
from mentallama.parallel import is_torchrun
from mentallama.pipeline.registry import STAGES
from mentallama.pipeline.runner import run_recipe
from mentallama.pipeline.stage import Stage
from mentallama.progress import LogFn


def run_recipe_distributed(
    recipe: Recipe,
    folder: Path,
    log: LogFn,
    until: str | None = None,
    retry_failed: bool = False,
    stages: Sequence[Stage] = STAGES,
) -> bool:
    """Run the recipe; in a worker process of torchrun, only take part in its training.

    Returns whether this process ran the recipe.
    """
    if not is_torchrun():
        run_recipe(recipe, folder, log, until, retry_failed, stages)
        return True
    if os.environ.get("RANK") != "0":
        _run_worker(recipe, folder)
        return False
    run_recipe(recipe, folder, log, until, retry_failed, stages)
    _release_workers()
    return True


def _run_worker(recipe: Recipe, folder: Path) -> None:
    """Wait for the main process to start training, and train with it."""
    from mentallama.analysts.checkpoints.optional_deps import require_torch
    from mentallama.train.run import run

    require_torch()
    from mentallama.train.loop.distributed import destroy_group, wait_for_main

    out = wait_for_main()
    if out is not None:
        run(recipe, folder, Path(out))
    destroy_group()


def _release_workers() -> None:
    """Let the workers exit, including those that still wait because training was up to date."""
    from mentallama.train.loop.distributed import broadcast_to_workers, destroy_group, is_group_initialized

    if not is_group_initialized():
        broadcast_to_workers(None)
    destroy_group()
