"""Run the stages of a recipe; the folder of each appears only once it is complete.

A stage whose manifest still matches is skipped; a killed run is resumed by the same command.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Sequence
from concurrent.futures import BrokenExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mentallama.config import Recipe
from mentallama.errors import MentallamaError, TooManyRejectsError, UsageError
from mentallama.files.atomic import full_disk_named
from mentallama.files.manifest import (
    digest_folder,
    execution_of,
    is_up_to_date,
    read_manifest,
    write_manifest,
)
from mentallama.files.ownership import is_made_by, make_output_folder, require_own_folder
from mentallama.pipeline.cache_key import stage_cache_key
from mentallama.pipeline.preflight import check_run
from mentallama.pipeline.registry import STAGES, recipe_stages
from mentallama.pipeline.run_lock import run_lock
from mentallama.pipeline.stage import Stage
from mentallama.progress import LogFn, heartbeat


def run_recipe(
    recipe: Recipe,
    folder: Path,
    log: LogFn,
    until: str | None = None,
    retry_failed: bool = False,
    stages: Sequence[Stage] = STAGES,
) -> Path:
    """Run the recipe's stages in order, up to and including `until`, and return the run's folder.

    With `retry_failed`, or if too many of them failed, requests that failed in earlier runs are sent again.

    Raises
    ------
    UsageError
        The recipe has no stage `until`, a stage would lack what it reads, another process is working on this folder, or
        it holds results of another recipe, or files where stages write that no run made.
    TooManyRejectsError
        Everything was done and written, but more rows were rejected than the recipe allows.
    """
    selected = _stages_until(recipe, until, stages)
    with heartbeat(f"run: check {recipe.name}"):
        check_run(recipe, folder, selected, stages)
    make_output_folder(folder)
    with run_lock(folder):
        _require_own_folders(selected, folder, stages)
        _require_own_results(selected, recipe, folder)
        for stage in selected:
            if stage.retry_failed is not None and (retry_failed or _verdict(stage, recipe, folder, log)):
                stage.retry_failed(recipe, folder, log)
        for stage in selected:
            with heartbeat(stage.name):
                _run_stage(stage, recipe, folder, log)
        verdicts = [_verdict(stage, recipe, folder, log) for stage in selected]
    problems = [verdict for verdict in verdicts if verdict is not None]
    if problems:
        raise TooManyRejectsError(problems[0])
    return folder


def _verdict(stage: Stage, recipe: Recipe, folder: Path, log: LogFn) -> str | None:
    return None if stage.verdict is None else stage.verdict(recipe, folder, log)


def _stages_until(recipe: Recipe, until: str | None, stages: Sequence[Stage]) -> list[Stage]:
    selected = recipe_stages(recipe, stages)
    if until is None:
        return selected
    names = [stage.name for stage in selected]
    if until not in names:
        raise UsageError(f"the recipe {recipe.name} has no stage {until}; it has {', '.join(names)}")
    return selected[: names.index(until) + 1]


def _require_own_folders(selected: Sequence[Stage], folder: Path, stages: Sequence[Stage]) -> None:
    """Refuse to start if a stage's folder holds files that the stage did not make."""
    made = [stage for stage in stages if is_made_by(folder / stage.name, stage.name)]
    for stage in selected:
        is_run = any(other is not stage for other in made)
        require_own_folder(folder / stage.name, stage.name, stage.file_patterns if is_run else ())


def _require_own_results(selected: Sequence[Stage], recipe: Recipe, folder: Path) -> None:
    """Refuse to replace results of another recipe. One that differs in its name alone is the same recipe."""
    manifests = {stage.name: read_manifest(folder / stage.name) for stage in selected}
    makers = {name: made.recipe for name, made in manifests.items() if made is not None}
    if not any(maker not in (None, recipe.name) for maker in makers.values()):
        return
    kept = True
    for stage in selected:
        maker = makers.get(stage.name) or recipe.name
        former = recipe.model_copy(update={"name": maker})
        kept = kept and is_up_to_date(
            manifests[stage.name], stage_cache_key(stage, former, folder), folder / stage.name
        )
        if not kept and maker != recipe.name:
            raise UsageError(
                f"{folder / stage.name}: these are results of the recipe {maker}, which {recipe.name} would replace; "
                "choose another folder with --out, or delete this one"
            )


def _run_stage(stage: Stage, recipe: Recipe, folder: Path, log: LogFn) -> None:
    """Bring one stage up to date and log the outcome."""
    key = stage_cache_key(stage, recipe, folder)
    if is_up_to_date(read_manifest(folder / stage.name), key, folder / stage.name):
        log(f"{stage.name}: up to date")
    else:
        start = time.monotonic()
        out = folder / f".{stage.name}.partial"
        if not is_up_to_date(read_manifest(out), key, out):  # else it was killed while it took its final name
            _make_results(stage, recipe, folder, out, key)
        _replace_folder(out, folder / stage.name)
        log(f"{stage.name}: done in {time.monotonic() - start:.1f} s")
    if stage.on_done is not None:
        stage.on_done(folder)
    if stage.notes is not None:
        for line in stage.notes(folder):
            log(line)


def _make_results(stage: Stage, recipe: Recipe, folder: Path, out: Path, key: dict[str, Any]) -> None:
    """Run the stage into the folder `out`, which is created anew."""
    start = time.monotonic()
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    try:
        with full_disk_named(out):
            counts = stage.run(recipe, folder, out)
    except BrokenExecutor:
        raise MentallamaError(
            f"{stage.name}: a worker process was killed, perhaps because memory ran out; the same command resumes "
            "after the last finished stage, --set jobs=1 needs less memory"
        ) from None
    write_manifest(
        out,
        stage.name,
        key,
        digest_folder(out),
        counts,
        time.monotonic() - start,
        recipe=recipe.name,
        execution=execution_of(sys.argv, datetime.now(UTC)),
    )


def _replace_folder(new: Path, final: Path) -> None:
    """Give a stage's new folder its final name; the former one keeps its manifest until it has moved aside."""
    former = final.with_name(f".{final.name}.replaced")
    shutil.rmtree(former, ignore_errors=True)
    if final.exists():
        final.replace(former)
    new.rename(final)
    shutil.rmtree(former, ignore_errors=True)
