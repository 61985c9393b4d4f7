"""The cache key of a result: everything that the result depends on.

A manifest records it; a stage whose key still matches is not run again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mentallama.analysts.registry import analyst_libraries
from mentallama.config import Recipe
from mentallama.files.manifest import digest_file, library_versions
from mentallama.pipeline.stage import Stage
from mentallama.tasks import Task


def cache_key(
    settings: Mapping[str, Any],
    tasks: Mapping[str, Task],
    analyst_kinds: Iterable[str],
    inputs: Mapping[str, Path],
    human_inputs: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Settings, tasks, library versions and input files, as JSON values.

    Parameters
    ----------
    settings
        Every setting that can change the result.
    analyst_kinds
        Kinds of analyst that are trained or asked; the versions of their libraries are included.
    inputs
        Files by the names that the manifest shows; they are hashed.
    human_inputs
        Digests of what people wrote; None if the result depends on no such file.
    """
    key: dict[str, Any] = {
        "settings": dict(settings),
        "tasks": tasks_digest(tasks),
        "versions": library_versions(*analyst_libraries(analyst_kinds)),
        "inputs": [digest_file(path, name).model_dump() for name, path in inputs.items()],
    }
    if human_inputs is not None:
        key["human_inputs"] = dict(human_inputs)
    return dict(json.loads(json.dumps(key)))


def stage_cache_key(stage: Stage, recipe: Recipe, folder: Path) -> dict[str, Any]:
    """The cache key of a recipe's stage in a run's folder."""
    shared = {"form": recipe.form, "seed": recipe.seed, "sets": list(recipe.sets)}
    return cache_key(
        shared | {stage.name: _stage_settings(stage, recipe)},
        recipe.catalogue(),
        () if stage.analyst_kinds is None else stage.analyst_kinds(recipe, folder),
        stage.input_files(recipe, folder),
        None if stage.human_inputs is None else stage.human_inputs(folder),
    )


def tasks_digest(tasks: Mapping[str, Task]) -> str:
    """SHA-256 of the contents of all tasks."""
    content = json.dumps([task.model_dump(mode="json") for task in tasks.values()])
    return hashlib.sha256(content.encode()).hexdigest()


def _stage_settings(stage: Stage, recipe: Recipe) -> dict[str, Any]:
    """The settings that the stage's results depend on."""
    settings = getattr(recipe, stage.name).model_dump(mode="json", exclude=dict(stage.cache_exclude))
    return dict(settings) | ({} if stage.cache_extra is None else stage.cache_extra(recipe))
