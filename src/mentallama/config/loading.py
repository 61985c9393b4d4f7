"""Read a recipe, and tell all its faults at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from mentallama.config.check import Check
from mentallama.config.collect import Collect
from mentallama.config.predict import Predict
from mentallama.config.recipe import STAGE_NAMES, Evaluate, Recipe, Report
from mentallama.config.suggestions import did_you_mean
from mentallama.config.teach import Teach, Teacher
from mentallama.config.train import TRAIN_SETTINGS, FromScratchSettings, LoraSettings
from mentallama.errors import UsageError
from mentallama.tasks import ColumnMap, Source, load_tasks


def read_recipe(path: Path, overrides: tuple[str, ...] = ()) -> Recipe:
    """Read a recipe and lay `--set a.b=c` changes over it.

    A relative `data` is below the working directory, as a shell would have it.

    Raises
    ------
    WrongUse
        The file is missing or no recipe; all faults are listed at once.
    """
    if not path.is_file():
        raise UsageError(f"{path}: there is no such recipe")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError) as fault:  # an impossible date is a ValueError
        where = getattr(fault, "problem_mark", None)
        raise UsageError(f"{path}: not a YAML file{f', line {where.line + 1}' if where else ''}") from None
    if not isinstance(content, dict):
        raise UsageError(f"{path}: not a recipe: it holds no keys")
    content = {key: {} if value is None and key in STAGE_NAMES else value for key, value in content.items()}
    for change in overrides:
        _apply_override(content, change)
    try:
        recipe = Recipe.model_validate(content)
    except ValidationError as found:
        raise _recipe_error(
            path, [_error_sentence(error) for error in found.errors()] + _unknown_sets(content)
        ) from None
    unknown = _unknown_sets(content) or _catalogue_faults(recipe)
    if unknown:
        raise _recipe_error(path, unknown)
    return recipe


def _recipe_error(path: Path, faults: list[str]) -> UsageError:
    count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
    return UsageError(f"{path}: {count} in the recipe\n" + "\n".join(f"  - {fault}" for fault in faults))


def _apply_override(content: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    if not equals or not key:
        raise UsageError(f"--set {override}: write it as key=value, as collect.leak_guard=run")
    *parents, last = key.split(".")
    for parent in parents:
        content = content.setdefault(parent, {})
        if not isinstance(content, dict):
            raise UsageError(f"--set {override}: {parent} holds no keys")
    try:
        content[last] = yaml.safe_load(value)
    except (yaml.YAMLError, ValueError):
        raise UsageError(f"--set {override}: what follows the = is not YAML") from None


def _error_sentence(error: Any) -> str:
    kind, place = _error_location(error["loc"])
    if error["type"] != "extra_forbidden":
        return f"{'.'.join(place) or 'the recipe'}: {error['msg'].removeprefix('Value error, ')}"
    return f"{'.'.join(place)}: no such key; {did_you_mean(place[-1], _known_keys(place[:-1], kind))}"


def _error_location(loc: tuple[str | int, ...]) -> tuple[str, list[str]]:
    """Which analyst is trained, and the place of a fault as the recipe has it: pydantic names the analyst within."""
    place = [str(part) for part in loc]
    if place[:1] == ["train"] and len(place) > 1 and place[1] in TRAIN_SETTINGS:
        return place[1], [place[0], *place[2:]]
    return "linear", place


def _known_keys(place: list[str], analyst: str) -> list[str]:
    models: dict[str, type[BaseModel]] = {
        "collect": Collect,
        "teach": Teach,
        "check": Check,
        "train": TRAIN_SETTINGS[analyst],
        "train.from_scratch": FromScratchSettings,
        "train.lora": LoraSettings,
        "predict": Predict,
        "evaluate": Evaluate,
        "report": Report,
    }
    if not place:
        return list(Recipe.model_fields)
    if place[0] == "collect" and len(place) >= 4:
        return list((ColumnMap if "columns" in place else Source).model_fields)
    if place[:2] == ["teach", "teacher"] and len(place) >= 3:
        return list(Teacher.model_fields)
    model = models.get(".".join(place)) or models.get(place[0])
    return list(model.model_fields) if model is not None else []


def _unknown_sets(content: dict[str, Any]) -> list[str]:
    """Faults in set names, wherever a recipe holds some."""
    folder = content.get("tasks")
    known = list(load_tasks(Path(folder) if isinstance(folder, str) else None))
    collect, teach, predict = (
        content[stage] if isinstance(content.get(stage), dict) else {}
        for stage in ("collect", "teach", "predict")
    )
    places = {
        "sets": content.get("sets"),
        "collect.held_out": collect.get("held_out"),
        "collect.tables": collect.get("tables"),
        "teach.allow_remote": teach.get("allow_remote"),
        "predict.allow_remote": predict.get("allow_remote"),
    }
    faults = []
    for place, names in places.items():
        for name in names if isinstance(names, (list, tuple, dict)) else ():
            if name not in known:
                faults.append(f"{place}: no set is called {name!r}; {did_you_mean(str(name), known)}")
    return faults


def _catalogue_faults(recipe: Recipe) -> list[str]:
    """Faults in what a recipe says of sets that are known: labels, questions, and sets that are not run."""
    if recipe.collect is None:
        return []
    known = load_tasks(recipe.tasks)
    faults = [
        f"collect.tables.{name}.{number}: {name} has no label or question called {unknown!r}"
        for name, sources in recipe.collect.tables.items()
        for number, source in enumerate(sources)
        for unknown in known[name].unknown_names(source)
    ]
    absent = [name for name in recipe.collect.held_out if recipe.sets and name not in recipe.sets]
    return faults + [f"collect.held_out: {name} is not among the sets of this recipe" for name in absent]
