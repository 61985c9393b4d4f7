"""The shipped recipes and the synthetic sample: where they are, and a copy of them in a folder of the user's."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import mentallama
from mentallama.errors import UsageError

STARTER_FOLDERS = ("recipes", "sample")
"""Copied side by side, because the paths in the recipes are relative to the folder that holds both."""


def starter_root() -> Path:
    """The folder that holds `recipes/` and `sample/`: data of an installed package, or the clone.

    Raises
    ------
    UsageError
        This installation has neither.
    """
    package = Path(mentallama.__file__).parent
    for root in (package / "starter", package.parents[1]):
        if all((root / name).is_dir() for name in STARTER_FOLDERS):
            return root
    raise UsageError("this installation holds no recipes and no sample; install the wheel, or use a clone")


def copy_starter(folder: Path) -> None:
    """Copy recipes and sample into a folder; nothing that exists is changed.

    Raises
    ------
    UsageError
        The folder is a file, or holds something called `recipes` or `sample`.
    """
    source = starter_root()
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder}: this is a file; name a folder")
    for name in STARTER_FOLDERS:
        if (folder / name).exists() or (folder / name).is_symlink():
            raise UsageError(f"{folder / name}: this exists and is not replaced; name another folder")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".init-", dir=folder) as partial:
        for name in STARTER_FOLDERS:
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source / name, Path(partial) / name, ignore=ignored)
        for name in STARTER_FOLDERS:
            (Path(partial) / name).rename(folder / name)


def missing_recipe_hint(path: Path) -> str:
    """How to get a recipe that does not exist, if it is one of the shipped ones; else ""."""
    name = f"{path.name.removesuffix('.yaml').removesuffix('.yml')}.yaml"
    here = Path("recipes") / name
    if here.is_file():
        return f"; did you mean {here}?"
    try:
        shipped = (starter_root() / here).is_file()
    except UsageError:
        return ""
    return f"; `mentallama init DIR` writes it to DIR/{here.as_posix()}, with the sample" if shipped else ""
