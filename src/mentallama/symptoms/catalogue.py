"""Read criterion packs and find them by name."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from os import PathLike
from pathlib import Path
from types import MappingProxyType

from mentallama.errors import DataError, UsageError
from mentallama.files.schema_faults import read_yaml_model
from mentallama.symptoms.packs import CriterionPack
from mentallama.text.suggestions import did_you_mean


def read_pack(path: Path) -> CriterionPack:
    """Read one file.

    Raises
    ------
    DataError
        The file is not YAML, or not a pack; the message lists every error.
    """
    return read_yaml_model(path, CriterionPack, "criterion pack")


@cache
def _shipped_packs() -> Mapping[str, CriterionPack]:
    folder = Path(str(files("mentallama.symptoms") / "data"))
    packs = [read_pack(path) for path in sorted(folder.glob("*.yaml"))]
    return MappingProxyType({pack.name: pack for pack in packs})


def load_packs(folder: str | PathLike[str] | None = None) -> Mapping[str, CriterionPack]:
    """Load all packs by name, read-only: those of the package, overridden and extended by those in `folder`.

    Parameters
    ----------
    folder
        A folder of packs (`.yaml`); None: only those of the package.

    Raises
    ------
    UsageError
        There is no such folder, or no pack in it.
    DataError
        A file is not a pack, or two files have one name.

    Examples
    --------
    >>> list(load_packs())
    ['BDI-II', 'DSM-5-MDD', 'DSM-5-PTSD', 'GAD-7', 'INQ-15', 'PHQ-2', 'PHQ-9']
    """
    if folder is None:
        return _shipped_packs()
    folder = Path(folder)
    if not folder.is_dir():
        raise UsageError(f"{folder}: there is no such folder of criterion packs")
    paths = sorted(path for path in folder.iterdir() if path.suffix in {".yaml", ".yml"})
    if not paths:
        raise UsageError(f"{folder}: there is no criterion pack (.yaml) in this folder")
    own: dict[str, tuple[CriterionPack, Path]] = {}
    for path in paths:
        pack = read_pack(path)
        if pack.name in own:
            raise DataError(f"the pack {pack.name} is in {own[pack.name][1].name} already", path)
        own[pack.name] = (pack, path)
    return MappingProxyType({**_shipped_packs(), **{name: pack for name, (pack, _) in own.items()}})


def find_pack(name: str, packs: Mapping[str, CriterionPack] | None = None) -> CriterionPack:
    """Find a pack by its name, ignoring case.

    Raises
    ------
    UsageError
        There is no such pack; the message suggests a similar name.
    """
    packs = _shipped_packs() if packs is None else packs
    by_lower = {key.lower(): pack for key, pack in packs.items()}
    if name.lower() not in by_lower:
        raise UsageError(f"there is no criterion pack named {name!r}; {did_you_mean(name, packs)}")
    return by_lower[name.lower()]
