"""Run the stages of a recipe; the folder of each appears only once it is complete.

A stage whose manifest still matches is skipped; a killed run is resumed by the same command.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from concurrent.futures import BrokenExecutor
from pathlib import Path

from mentallama.config import Recipe
from mentallama.errors import MentallamaError, TooManyRejectsError, UsageError
from mentallama.files.manifest import digest_folder, is_up_to_date, read_manifest, write_manifest
from mentallama.pipeline.cache_key import stage_cache_key
from mentallama.pipeline.registry import STAGES, recipe_stages
from mentallama.pipeline.run_lock import run_lock
from mentallama.pipeline.stage import Stage
from mentallama.progress import LogFn


def run_recipe(
    recipe: Recipe,
    folder: Path,
    log: LogFn,
    until: str | None = None,
    retry_failed: bool = False,
    stages: Sequence[Stage] = STAGES,
) -> Path:
    """Run the recipe's stages in order, up to and including `until`, and return the run's folder.

    With `retry_failed`, requests that failed in earlier runs are sent again.

    Raises
    ------
    UsageError
        The recipe has no stage `until`, or another process is working on this folder.
    TooManyRejectsError
        Everything was done and written, but more rows were rejected than the recipe allows.
    """
    selected = _stages_until(recipe, until, stages)
    folder.mkdir(parents=True, exist_ok=True)
    with run_lock(folder):
        if retry_failed:
            for stage in selected:
                if stage.retry_failed is not None:
                    stage.retry_failed(recipe, folder, log)
        for stage in selected:
            _run_stage(stage, recipe, folder, log)
        verdicts = [stage.verdict(recipe, folder, log) for stage in selected if stage.verdict is not None]
    problems = [verdict for verdict in verdicts if verdict is not None]
    if problems:
        raise TooManyRejectsError(problems[0])
    return folder


def _stages_until(recipe: Recipe, until: str | None, stages: Sequence[Stage]) -> list[Stage]:
    selected = recipe_stages(recipe, stages)
    if until is None:
        return selected
    names = [stage.name for stage in selected]
    if until not in names:
        raise UsageError(f"the recipe {recipe.name} has no stage {until}; it has {', '.join(names)}")
    return selected[: names.index(until) + 1]


def _run_stage(stage: Stage, recipe: Recipe, folder: Path, log: LogFn) -> None:
    """Bring one stage up to date and log the outcome."""
    key = stage_cache_key(stage, recipe, folder)
    if is_up_to_date(read_manifest(folder / stage.name), key, folder / stage.name):
        log(f"{stage.name}: up to date")
    else:
        start = time.monotonic()
        out = folder / f".{stage.name}.partial"
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        try:
            counts = stage.run(recipe, folder, out)
        except BrokenExecutor:
            raise MentallamaError(
                f"{stage.name}: a worker process was killed, perhaps because memory ran out; the same command resumes "
                "after the last finished stage, --set jobs=1 needs less memory"
            ) from None
        seconds = time.monotonic() - start
        write_manifest(out, stage.name, key, digest_folder(out), counts, seconds)
        if (folder / stage.name).exists():
            shutil.rmtree(folder / stage.name)
        out.rename(folder / stage.name)
        log(f"{stage.name}: done in {seconds:.1f} s")
    if stage.on_done is not None:
        stage.on_done(folder)
    if stage.notes is not None:
        for line in stage.notes(folder):
            log(line)
