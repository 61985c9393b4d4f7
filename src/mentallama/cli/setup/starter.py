"""The files that `mentallama init` writes: recipes, the synthetic sample, a task template, posts, and a README."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import mentallama
from mentallama.errors import UsageError
from mentallama.program import command_line

SHARED_FOLDERS = ("recipes", "sample")
"""Copied side by side, because the paths in the recipes are relative to the folder that holds both. They lie in the
root of a clone, and in the package's data once it is installed."""

STARTER_NAMES = (*SHARED_FOLDERS, "tasks", "posts.csv", "README.md")
"""Everything that is written. What is not in `SHARED_FOLDERS` is data of the package in a clone, too."""

_IGNORED = shutil.ignore_patterns("__pycache__")


def starter_sources() -> dict[str, Path]:
    """Name of each file or folder that is written -> where it is copied from.

    Raises
    ------
    UsageError
        This installation lacks one of them.
    """
    package = Path(mentallama.__file__).parent
    places = {
        name: [package / "starter" / name, *([package.parents[1] / name] if name in SHARED_FOLDERS else [])]
        for name in STARTER_NAMES
    }
    found = {name: next((path for path in paths if path.exists()), None) for name, paths in places.items()}
    sources = {name: path for name, path in found.items() if path is not None}
    if len(sources) < len(STARTER_NAMES):
        raise UsageError(
            "this installation holds no recipes and no sample; install the wheel, or use a clone"
        )
    return sources


def copy_starter(folder: Path) -> list[Path]:
    """Write the starter files into a folder, and return their paths; nothing that exists is changed.

    Raises
    ------
    UsageError
        The folder is a file, or something in it has one of the names.
    """
    sources = starter_sources()
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder}: this is a file; name a folder")
    for name in sources:
        if (folder / name).exists() or (folder / name).is_symlink():
            raise UsageError(f"{folder / name}: this exists and is not replaced; name another folder")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".init-", dir=folder) as partial:
        for name, source in sources.items():
            if source.is_dir():
                shutil.copytree(source, Path(partial) / name, ignore=_IGNORED)
            else:
                shutil.copyfile(source, Path(partial) / name)
        for name in sources:
            (Path(partial) / name).rename(folder / name)
    return [folder / name for name in sources]


def missing_recipe_hint(path: Path) -> str:
    """How to get a recipe that does not exist, if it is one of the shipped ones; else ""."""
    name = f"{path.name.removesuffix('.yaml').removesuffix('.yml')}.yaml"
    here = Path("recipes") / name
    if here.is_file():
        return f"; did you mean {here}?"
    try:
        shipped = (starter_sources()["recipes"] / name).is_file()
    except UsageError:
        return ""
    command = command_line("init DIR")
    return f"; `{command}` writes it to DIR/{here.as_posix()}, with the sample" if shipped else ""
