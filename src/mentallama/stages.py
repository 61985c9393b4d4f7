"""Run the stages of a recipe, each into a folder of its own that appears whole or not at all.

A stage whose manifest still matches is skipped; a killed run is resumed by the same command.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mentallama import forgotten
from mentallama.config import STAGES, Recipe
from mentallama.errors import MentallamaError, TooManyRejects, WrongUse
from mentallama.manifest import (
    Manifest,
    mark,
    mark_folder,
    peak_memory_mb,
    read_manifest,
    still_holds,
    versions,
)
from mentallama.store import read_json, read_records, write_text

Say = Callable[[str], None]


@dataclass(frozen=True)
class Stage:
    """`inputs` names the files a stage reads; `work(recipe, run folder, out)` does it and returns counts."""

    inputs: Callable[[Recipe, Path], dict[str, Path]]
    work: Callable[[Recipe, Path, Path], dict[str, Any]]


def run_recipe(recipe: Recipe, folder: Path, say: Say, until: str | None = None) -> Path:
    """Run the recipe's stages, in the order of the way, up to `until`.

    Raises
    ------
    TooManyRejects
        All was done and written, but more rows were rejected than the recipe allows.
    """
    wanted = recipe.stages()
    if until is not None:
        if until not in wanted:
            raise WrongUse(f"the recipe {recipe.name} has no stage {until}; it has {', '.join(wanted)}")
        wanted = wanted[: wanted.index(until) + 1]
    folder.mkdir(parents=True, exist_ok=True)
    with alone(folder):
        for name in wanted:
            _run_stage(name, recipe, folder, say)
        fault = _rejects(recipe, folder, say) if "collect" in wanted else None
    if fault:
        raise TooManyRejects(fault)
    return folder


def _run_stage(name: str, recipe: Recipe, folder: Path, say: Say) -> None:
    stage, final = _STAGES[name], folder / name
    cause = _cause(name, stage, recipe, folder)
    if still_holds(read_manifest(final), cause, final):
        say(f"{name}: up to date")
        return
    partial = folder / f".{name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    start = time.monotonic()
    try:
        counts = stage.work(recipe, folder, partial)
    except BrokenExecutor:
        raise MentallamaError(
            f"{name}: a worker process was ended from outside, perhaps for want of memory; the same command goes "
            "on from the last finished stage, --set jobs=1 needs less"
        ) from None
    seconds = round(time.monotonic() - start, 2)
    manifest = Manifest(
        stage=name,
        cause=cause,
        outputs=mark_folder(partial),
        counts=counts,
        seconds=seconds,
        peak_memory_mb=peak_memory_mb(),
    )
    write_text(partial / "manifest.json", manifest.model_dump_json(indent=2) + "\n")
    if final.exists():
        shutil.rmtree(final)
    partial.rename(final)
    say(f"{name}: done in {seconds:.1f} s")


def _cause(name: str, stage: Stage, recipe: Recipe, folder: Path) -> dict[str, Any]:
    """All that a stage's outputs follow from: its inputs, its settings, the tasks, the versions."""
    tasks = json.dumps([task.model_dump(mode="json") for task in recipe.catalogue().values()])
    settings = _shown(recipe) if name == "report" else getattr(recipe, name).model_dump(mode="json")
    cause = {
        "settings": {"form": recipe.form, "seed": recipe.seed, "sets": list(recipe.sets), name: settings},
        "tasks": hashlib.sha256(tasks.encode()).hexdigest(),
        "versions": versions(),
        "inputs": [mark(path, shown).model_dump() for shown, path in stage.inputs(recipe, folder).items()],
    }
    return dict(json.loads(json.dumps(cause)))


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Two processes on one run folder would overwrite each other; the lock ends with the process."""
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise WrongUse(
                f"{folder}: another process is working on this run; wait for it or use --out"
            ) from None
        yield


def _rejects(recipe: Recipe, folder: Path, say: Say) -> str | None:
    """Say what was rejected; a sentence where it is more than allowed."""
    from mentallama.collect.raw import Reject

    summary = read_json(folder / "collect/summary.json")
    if not summary["rejected"]:
        return None
    assert recipe.collect is not None
    share, allowed = summary["rejected"] / summary["read"], recipe.collect.allowed_rejects
    first = next(read_records(folder / "collect/rejects.jsonl", Reject))
    told = (
        f"{recipe.data / first.file}, row {first.row}: {first.reason} "
        f"({summary['rejected']} of {summary['read']} rows rejected, {share:.2%}; all are listed in "
        f"{folder / 'collect/rejects.jsonl'})"
    )
    if share > allowed:
        return f"{told}; the recipe allows {allowed:.2%} (collect.allowed_rejects)"
    say(f"note: {told}")
    return None


def _collect_inputs(recipe: Recipe, folder: Path) -> dict[str, Path]:
    from mentallama.collect.sources import find_inputs

    assert recipe.collect is not None
    inputs = find_inputs(recipe.data, recipe.catalogue(), recipe.form, recipe.collect.tables)
    asked = {forgotten.NAME: folder / forgotten.NAME}
    return {each.name: each.path for each in inputs} | {n: path for n, path in asked.items() if path.is_file()}


def _collect(recipe: Recipe, folder: Path, out: Path) -> dict[str, Any]:
    from mentallama.collect.run import run

    summary = run(recipe, out, forgotten.read_forgotten(folder))
    return {key: summary[key] for key in ("read", "rejected", "rejects", "posts")}


def _needs(*names: str) -> Callable[[Recipe, Path], dict[str, Path]]:
    """Files of earlier stages, by their place in the run's folder."""

    def inputs(recipe: Recipe, folder: Path) -> dict[str, Path]:
        found = {name: folder / name for name in names}
        missing = [name for name, path in found.items() if not path.is_file()]
        if missing:
            raise WrongUse(f"{folder / missing[0]}: there is no such file; the stage before it has not run")
        return found

    return inputs


_POSTS, _PREDICTIONS = "collect/posts.jsonl.zst", "predict/predictions.jsonl.zst"


def _train(recipe: Recipe, folder: Path, out: Path) -> dict[str, Any]:
    from mentallama.train.run import run

    assert recipe.train is not None
    return run(folder / _POSTS, out, recipe.train, recipe.jobs, recipe.catalogue()).model_dump(mode="json")


def _predict_inputs(recipe: Recipe, folder: Path) -> dict[str, Path]:
    _, _, where = _model(recipe, folder).partition(":")
    path = Path(where)
    files = sorted(path.rglob("*")) if where and path.is_dir() else [path]
    own = {f"model/{file.name}": file for file in files if file.is_file() and file.name != "manifest.json"}
    return _needs(_POSTS)(recipe, folder) | own


def _model(recipe: Recipe, folder: Path) -> str:
    assert recipe.predict is not None
    return recipe.predict.model or f"linear:{folder / 'train'}"


def _predict(recipe: Recipe, folder: Path, out: Path) -> dict[str, Any]:
    from mentallama.models.analyst import open_analyst
    from mentallama.predict import run

    assert recipe.predict is not None
    analyst = open_analyst(_model(recipe, folder))
    return run(analyst, folder / _POSTS, out, recipe.predict.splits, recipe.form).model_dump(mode="json")


def _evaluate(recipe: Recipe, folder: Path, out: Path) -> dict[str, Any]:
    from mentallama.evaluate.run import evaluate_predictions

    assert recipe.evaluate is not None
    scores = evaluate_predictions(
        folder / _POSTS,
        folder / _PREDICTIONS,
        out,
        recipe.form,
        recipe.catalogue(),
        seed=recipe.seed,
        resamples=recipe.evaluate.resamples,
    )
    return {"weighted_f1": scores.weighted_f1(), "missing": list(scores.missing)}


def _report_inputs(recipe: Recipe, folder: Path) -> dict[str, Path]:
    """All that earlier stages wrote, but what holds a clock."""
    earlier = [folder / stage for stage in STAGES[: STAGES.index("report")]]
    files = (file for stage in earlier if stage.is_dir() for file in sorted(stage.iterdir()))
    return {
        file.relative_to(folder).as_posix(): file
        for file in files
        if file.is_file() and file.name != "manifest.json"
    }


def _shown(recipe: Recipe) -> dict[str, Any]:
    """The settings that the page shows: of the whole recipe, but where data stood and how many processes there were.

    The salt stays out: a page is handed on with its manifest.
    """
    return recipe.model_dump(
        mode="json", exclude={"data": True, "jobs": True, "collect": {"author_salt"}}, exclude_none=True
    )


def _report(recipe: Recipe, folder: Path, out: Path) -> dict[str, Any]:
    from mentallama.report.run import run

    assert recipe.report is not None
    settings = recipe.model_dump(mode="json", exclude={"data", "report", "jobs"}, exclude_none=True)
    run(folder, out, recipe.report.title or recipe.name, settings, recipe.catalogue())
    return {}


_STAGES: dict[str, Stage] = {
    "collect": Stage(_collect_inputs, _collect),
    "train": Stage(_needs(_POSTS), _train),
    "predict": Stage(_predict_inputs, _predict),
    "evaluate": Stage(_needs(_POSTS, _PREDICTIONS), _evaluate),
    "report": Stage(_report_inputs, _report),
}
