"""Read and validate a recipe, reporting all its faults at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mentallama.config.overrides import apply_override
from mentallama.config.recipe import Recipe
from mentallama.config.renamed_keys import OLD_KEYS
from mentallama.errors import DataError, MentallamaError, UsageError
from mentallama.files.schema_faults import fault_sentence, fault_sentences, key_name
from mentallama.files.yaml_file import KeyPath, read_yaml
from mentallama.tasks import load_tasks
from mentallama.text.suggestions import did_you_mean

SET_KEYS: tuple[KeyPath, ...] = (
    ("sets",),
    ("collect", "held_out"),
    ("collect", "tables"),
    ("teach", "allow_remote"),
    ("predict", "allow_remote"),
)
"""Keys that hold names of sets, in a list or as keys of a mapping."""


class RecipeSource:
    """The keys of a recipe's file and of the command line, and where each was written.

    A relative `data` is relative to the working directory, as in a shell.

    Raises
    ------
    UsageError
        The file does not exist or holds no keys, or an override cannot be applied.
    """

    def __init__(self, path: Path, overrides: Sequence[str], stages: Sequence[str]) -> None:
        self.path = path
        if not path.exists():
            raise UsageError(f"{path}: there is no such recipe")
        try:
            document = read_yaml(path)
        except DataError as fault:
            raise UsageError(str(fault)) from None
        if not isinstance(document.content, dict):
            raise UsageError(f"{path}: not a recipe: it holds no keys")
        self.content: dict[str, Any] = {
            key: {} if value is None and key in stages else value for key, value in document.content.items()
        }
        self._lines = document.lines
        self._overridden = [apply_override(self.content, override) for override in overrides]

    def locate(self, path: KeyPath) -> str | None:
        """Where the value at a path was written: in a line of the file, or on the command line."""
        above = [key for key in self._overridden if key == path[: len(key)]]
        if not above and path in self._lines:
            return f"line {self._lines[path]}"
        below = [key for key in self._overridden if path == key[: len(path)]]
        return next((f"--set {key_name(key)}" for key in above + below), None)

    def error(self, faults: Sequence[str]) -> UsageError:
        """The error that lists faults of this recipe."""
        count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        listed = "\n".join(f"  - {fault}" for fault in faults)
        return UsageError(f"{self.path}: {count} in the recipe\n{listed}")


def read_recipe(path: Path, overrides: tuple[str, ...] = (), model: type[Recipe] = Recipe) -> Recipe:
    """Read a recipe and apply `--set a.b=c` overrides. `model` is the recipe's schema.

    Raises
    ------
    UsageError
        The file does not exist or is not a recipe; all faults are listed at once.
    """
    source = RecipeSource(path, overrides, model.stage_names())
    try:
        recipe = model.model_validate(source.content)
    except ValidationError as invalid:
        faults = fault_sentences(invalid, source.content, model, source.locate, _renamed_key)
        raise source.error(faults + _unknown_sets(source)) from None
    faults = _unknown_sets(source) or _catalogue_faults(recipe, source)
    if faults:
        raise source.error(faults)
    return recipe


def _renamed_key(path: KeyPath) -> str | None:
    return OLD_KEYS.get(str(path[0]), {}).get(str(path[-1]))


def _unknown_sets(source: RecipeSource) -> list[str]:
    """A sentence for every set that a recipe names and the catalogue does not have."""
    folder = source.content.get("tasks")
    try:
        known = list(load_tasks(Path(folder) if isinstance(folder, str) else None))
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
    return [name for name in content if isinstance(name, str)] if isinstance(content, (list, dict)) else []


def _catalogue_faults(recipe: Recipe, source: RecipeSource) -> list[str]:
    """Faults in what a recipe says about known sets: labels, questions, and sets that are not part of the run."""
    if recipe.collect is None:
        return []
    known = load_tasks(recipe.tasks)
    faults = [
        (("collect", "tables", name, number), f"{name} has no label or question called {unknown!r}")
        for name, tables in recipe.collect.tables.items()
        for number, table in enumerate(tables)
        for unknown in known[name].unknown_names(table)
    ] + [
        (("collect", "held_out"), f"{name} is not among the sets of this recipe")
        for name in recipe.collect.held_out
        if recipe.sets and name not in recipe.sets
    ]
    return [fault_sentence(path, problem, source.locate) for path, problem in faults]
