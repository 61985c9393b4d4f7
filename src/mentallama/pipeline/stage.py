"""What a stage is to the runner, and what several of them need."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mentallama.config import Recipe
from mentallama.errors import UsageError

LogFn = Callable[[str], None]

POSTS_PATH, PREDICTIONS_PATH = "collect/posts.jsonl.zst", "predict/predictions.jsonl.zst"
"""In the run's folder."""


@dataclass(frozen=True)
class Stage:
    """`inputs` names the files a stage reads; `work(recipe, run folder, out)` does it and returns counts.

    `said(run folder)` is what the stage goes by of what people have written in the run, which the work itself adds to.
    `done(run folder)` is called whenever the stage stands finished.
    """

    inputs: Callable[[Recipe, Path], dict[str, Path]]
    run: Callable[[Recipe, Path, Path], dict[str, Any]]
    human_inputs: Callable[[Path], dict[str, str]] | None = None
    on_done: Callable[[Path], None] | None = None


def require_files(*names: str) -> Callable[[Recipe, Path], dict[str, Path]]:
    """Files of earlier stages, by their place in the run's folder."""

    def inputs(recipe: Recipe, folder: Path) -> dict[str, Path]:
        found = {name: folder / name for name in names}
        missing = [name for name, path in found.items() if not path.is_file()]
        if missing:
            raise UsageError(f"{folder / missing[0]}: there is no such file; the stage before it has not run")
        return found

    return inputs


def spec_files(spec: str, prefix: str) -> dict[str, Path]:
    """The files behind a spec as linear:DIR, by the names that a manifest shows."""
    _, _, where = spec.partition(":")
    path = Path(where)
    files = sorted(path.rglob("*")) if where and path.is_dir() else [path]
    found = [file for file in files if file.is_file() and file.name != "manifest.json"]
    return {f"{prefix}/{file.relative_to(path) if path.is_dir() else file.name}": file for file in found}


def log_to_stderr(line: str) -> None:
    """What must be known before a stage is done."""
    print(line, file=sys.stderr, flush=True)
