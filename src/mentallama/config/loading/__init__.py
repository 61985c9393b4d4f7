"""Read and validate a recipe, reporting all its faults at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mentallama.config.loading.overrides import apply_override, set_key
from mentallama.config.loading.renamed_keys import OLD_KEYS
from mentallama.config.recipe import Recipe
from mentallama.errors import DataError, MentallamaError, UsageError, counted
from mentallama.files.schema_faults import fault_sentence, fault_sentences, key_name
from mentallama.files.yaml_file import KeyPath, read_yaml
from mentallama.tasks import load_tasks
from mentallama.text.suggestions import did_you_mean

Overrides = Sequence[str] | Mapping[str, Any]
"""`KEY=VALUE` as on the command line, or values by key."""

SET_KEYS: tuple[KeyPath, ...] = (
    ("sets",),
    ("collect", "held_out"),
    ("collect", "tables"),
    ("teach", "allow_remote"),
    ("predict", "allow_remote"),
    ("evaluate", "judge", "allow_remote"),
)
"""Keys that hold names of sets, in a list or as keys of a mapping."""


class RecipeSource:
    """The keys of a recipe and their overrides, and where each was written.

    A relative `data` is relative to the working directory, as in a shell.

    Parameters
    ----------
    recipe
        A recipe's file, or its content.
    overrides
        `KEY=VALUE` as on the command line, or values by key, such as `{"collect.test_share": 0.2}`.
    stages
        The keys that are stages, which may stand without a value.

    Raises
    ------
    UsageError
        The file does not exist or holds no keys, or an override cannot be applied.
    """

    def __init__(self, recipe: Path | Mapping[str, Any], overrides: Overrides, stages: Sequence[str]) -> None:
        self.path = recipe if isinstance(recipe, Path) else None
        content, self._lines = _read_file(recipe) if isinstance(recipe, Path) else (deepcopy(recipe), {})
        self.content: dict[str, Any] = {
            key: {} if value is None and key in stages else value for key, value in content.items()
        }
        if isinstance(overrides, Mapping):
            self._place = "overrides[{!r}]"
            self._overridden = [
                set_key(self.content, key, deepcopy(value), self._place.format(key))
                for key, value in overrides.items()
            ]
        else:
            self._place = "--set {}"
            self._overridden = [apply_override(self.content, override) for override in overrides]

    def locate(self, path: KeyPath) -> str | None:
        """Where the value at a path was written: in a line of the file, or as an override."""
        above = [key for key in self._overridden if key == path[: len(key)]]
        if not above and path in self._lines:
            return f"line {self._lines[path]}"
        below = [key for key in self._overridden if path == key[: len(path)]]
        return next((self._place.format(key_name(key)) for key in above + below), None)

    def error(self, faults: Sequence[str]) -> UsageError:
        """The error that lists faults of this recipe."""
        listed = "\n".join(f"  - {fault}" for fault in faults)
        return UsageError(
            f"{'' if self.path is None else f'{self.path}: '}{counted(len(faults), 'fault')} in the recipe\n{listed}"
        )


def _read_file(path: Path) -> tuple[Mapping[str, Any], Mapping[KeyPath, int]]:
    """The keys of a recipe's file, and the lines that they are in."""
    if not path.exists():
        raise UsageError(f"{path}: there is no such recipe")
    try:
        document = read_yaml(path)
    except DataError as fault:
        raise UsageError(str(fault)) from None
    if not isinstance(document.content, dict):
        raise UsageError(f"{path}: not a recipe: it holds no keys; predict takes a table with --data")
    return document.content, document.lines


def read_recipe(
    recipe: Path | Mapping[str, Any], overrides: Overrides = (), model: type[Recipe] = Recipe
) -> Recipe:
    """Read a recipe's file, or take its content, and apply overrides. `model` is the recipe's schema.

    Raises
    ------
    UsageError
        The file does not exist or is not a recipe; all faults are listed at once.
    """
    source = RecipeSource(recipe, overrides, model.stage_names())
    try:
        read = model.model_validate(source.content)
    except ValidationError as invalid:
        faults = fault_sentences(invalid, source.content, model, source.locate, _renamed_key)
        raise source.error(faults + _unknown_sets(source)) from None
    faults = _unknown_sets(source) or _catalogue_faults(read, source)
    if faults:
        raise source.error(faults)
    return read


def _renamed_key(path: KeyPath) -> str | None:
    return OLD_KEYS.get(str(path[0]), {}).get(str(path[-1]))


def _unknown_sets(source: RecipeSource) -> list[str]:
    """A sentence for every set that a recipe names and the catalogue does not have."""
    folder = source.content.get("tasks")
    try:
        known = list(load_tasks(folder if isinstance(folder, (str, Path)) else None))
    except MentallamaError as fault:
        return [fault_sentence(("tasks",), str(fault), source.locate)]
    return [
        fault_sentence(path, f"no set is called {name!r}; {did_you_mean(str(name), known)}", source.locate)
        for path in SET_KEYS
        for name in _names(source.content, path)
        if name not in known
    ]


def _names(content: Any, path: KeyPath) -> list[str]:
    """The texts in the list, or the keys of the mapping, at a path."""
    for part in path:
        content = content.get(part) if isinstance(content, dict) else None
    if not isinstance(content, (list, tuple, dict)):
        return []
    return [name for name in content if isinstance(name, str)]


def _catalogue_faults(recipe: Recipe, source: RecipeSource) -> list[str]:
    """Faults in what a recipe says about known sets: labels, questions, and sets that are not part of the run."""
    if recipe.collect is None:
        return []
    known = load_tasks(recipe.tasks)
    faults: list[tuple[KeyPath, str]] = [
        (("collect", "tables", name, number), f"{name} has no label or question called {unknown!r}")
        for name, tables in recipe.collect.tables.items()
        for number, table in enumerate(tables)
        for unknown in known[name].unknown_names(table)
    ]
    faults += [
        (("collect", "tables", name, number), f"there is no column for {part!r} of {name}")
        for name, tables in recipe.collect.tables.items()
        for number, table in enumerate(tables)
        for part in known[name].parts_without_column(table)
    ]
    faults += [
        (("collect", "held_out"), f"{name} is not among the sets of this recipe")
        for name in recipe.collect.held_out
        if recipe.sets and name not in recipe.sets
    ]
    return [fault_sentence(path, problem, source.locate) for path, problem in faults]
