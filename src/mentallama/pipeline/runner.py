"""Run the stages of a recipe, each into a folder of its own that appears whole or not at all.

A stage whose manifest still matches is skipped; a killed run is resumed by the same command.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mentallama.check.stage import rejected_by_raters
from mentallama.collect.stage import check_reject_share
from mentallama.config import Recipe
from mentallama.errors import MentallamaError, TooManyRejectsError, UsageError
from mentallama.files.manifest import (
    Manifest,
    digest_file,
    digest_folder,
    is_up_to_date,
    library_versions,
    peak_memory_mb,
    read_manifest,
)
from mentallama.files.record_files import write_text
from mentallama.pipeline.registry import STAGE_NOTES, STAGE_REGISTRY, analyst_kind, cache_key_settings
from mentallama.pipeline.stage import LogFn, Stage
from mentallama.teach.stage import ask_again


def run_recipe(
    recipe: Recipe, folder: Path, log: LogFn, until: str | None = None, retry_failed: bool = False
) -> Path:
    """Run the recipe's stages, in the order of the way, up to `until`.

    With `retry`, teachers are asked again what they have been set aside for.

    Raises
    ------
    TooManyRejects
        All was done and written, but more rows were rejected than the recipe allows.
    """
    wanted = recipe.stages()
    if until is not None:
        if until not in wanted:
            raise UsageError(f"the recipe {recipe.name} has no stage {until}; it has {', '.join(wanted)}")
        wanted = wanted[: wanted.index(until) + 1]
    folder.mkdir(parents=True, exist_ok=True)
    with run_lock(folder):
        if retry_failed:
            ask_again(recipe, folder, log)
        for name in wanted:
            _run_stage(name, recipe, folder, log)
            if (done := STAGE_REGISTRY[name].on_done) is not None:
                done(folder)
            for line in STAGE_NOTES[name](folder) if name in STAGE_NOTES else ():
                log(line)
        fault = check_reject_share(recipe, folder, log) if "collect" in wanted else None
        if "check" in wanted:
            fault = fault or rejected_by_raters(folder)
    if fault:
        raise TooManyRejectsError(fault)
    return folder


def _run_stage(name: str, recipe: Recipe, folder: Path, say: LogFn) -> None:
    stage, final = STAGE_REGISTRY[name], folder / name
    cause = _stage_cache_key(name, stage, recipe, folder)
    if is_up_to_date(read_manifest(final), cause, final):
        say(f"{name}: up to date")
        return
    partial = folder / f".{name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    start = time.monotonic()
    try:
        counts = stage.run(recipe, folder, partial)
    except BrokenExecutor:
        raise MentallamaError(
            f"{name}: a worker process was ended from outside, perhaps for want of memory; the same command goes "
            "on from the last finished stage, --set jobs=1 needs less"
        ) from None
    seconds = round(time.monotonic() - start, 2)
    manifest = Manifest(
        stage=name,
        cause=cause,
        outputs=digest_folder(partial),
        counts=counts,
        seconds=seconds,
        peak_memory_mb=peak_memory_mb(),
    )
    write_text(partial / "manifest.json", manifest.model_dump_json(indent=2) + "\n")
    if final.exists():
        shutil.rmtree(final)
    partial.rename(final)
    say(f"{name}: done in {seconds:.1f} s")


def _stage_cache_key(name: str, stage: Stage, recipe: Recipe, folder: Path) -> dict[str, Any]:
    """All that a stage's outputs follow from: its inputs, its settings, the tasks, the versions."""
    tasks = json.dumps([task.model_dump(mode="json") for task in recipe.catalogue().values()])
    common = {"form": recipe.form, "seed": recipe.seed, "sets": list(recipe.sets)}
    cause = {
        "settings": common | {name: cache_key_settings(name, recipe)},
        "tasks": hashlib.sha256(tasks.encode()).hexdigest(),
        "versions": library_versions(analyst_kind(name, recipe, folder)),
        "inputs": [
            digest_file(path, shown).model_dump() for shown, path in stage.inputs(recipe, folder).items()
        ],
    }
    if stage.human_inputs is not None:
        cause["said"] = stage.human_inputs(folder)
    return dict(json.loads(json.dumps(cause)))


@contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """Two processes on one run folder would overwrite each other; the lock ends with the process."""
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                f"{folder}: another process is working on this run; wait for it or use --out"
            ) from None
        yield
