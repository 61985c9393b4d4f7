"""Manifest of a finished stage: cache key, hashes of the outputs, counts, time and memory."""

from __future__ import annotations

import hashlib
import platform
import sys
from collections.abc import Sequence
from datetime import datetime
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from mentallama import __version__
from mentallama.environment import command_in_words, machine_in_words
from mentallama.files.atomic import write_text
from mentallama.run_files import MANIFEST_FILE

_LIBRARIES = (
    "numpy",
    "scipy",
    "scikit-learn",
    "ftfy",
    "rapidfuzz",
    "rensa",
    "pydantic",
    "py3langid",
)
"""Libraries of every installation whose versions can change records, verdicts or scores."""


FILE_MANAGER_FILES = frozenset((".DS_Store", "Thumbs.db", "desktop.ini"))
"""Files that file managers leave in every folder that a person opens; they are nobody's work."""


class FileDigest(BaseModel):
    """Name, size in bytes and SHA-256 of a file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    bytes: int
    sha256: str


class Execution(BaseModel):
    """When, where and by which command a stage was run, in words that can be shared."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    finished: str
    """Date and time in UTC."""
    machine: str
    """Processor, cores, memory, and the accelerator where one was used."""
    command: str | None = None
    """None if it was run from Python."""


class Manifest(BaseModel):
    """`manifest.json`. `cache_key` holds everything that determines the outputs; `recipe` is the recipe's name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: str
    cache_key: dict[str, Any]
    outputs: tuple[FileDigest, ...]
    counts: dict[str, Any]
    seconds: float
    peak_memory_mb: int
    recipe: str | None = None
    execution: Execution | None = None


def digest_file(path: Path, name: str) -> FileDigest:
    """Hash a file without loading it into memory."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    return FileDigest(name=name, bytes=path.stat().st_size, sha256=digest.hexdigest())


def digest_folder(folder: Path) -> tuple[FileDigest, ...]:
    """Hash all files below a folder except manifests and what file managers leave."""
    ignored = {MANIFEST_FILE, *FILE_MANAGER_FILES}
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in ignored)
    return tuple(digest_file(path, path.relative_to(folder).as_posix()) for path in paths)


def library_versions(*optional: str) -> dict[str, str]:
    """Versions of Python, this project and the libraries that results depend on.

    Parameters
    ----------
    optional
        Further libraries by import name, which is also the name of their distribution; those that are not installed
        are left out.
    """
    more = [name for name in optional if find_spec(name) is not None]
    return {
        "python": platform.python_version(),
        "mentallama": __version__,
        **{name: version(name) for name in (*_LIBRARIES, *more)},
    }


def write_manifest(  # noqa: PLR0913
    folder: Path,
    stage: str,
    cache_key: dict[str, Any],
    outputs: tuple[FileDigest, ...],
    counts: dict[str, Any],
    seconds: float,
    *,
    recipe: str | None = None,
    execution: Execution | None = None,
) -> Manifest:
    """Write the manifest of a finished stage; it must be the last file written to the stage's folder."""
    manifest = Manifest(
        stage=stage,
        cache_key=cache_key,
        outputs=outputs,
        counts=counts,
        seconds=round(seconds, 2),
        peak_memory_mb=peak_memory_mb(),
        recipe=recipe,
        execution=execution,
    )
    write_text(folder / MANIFEST_FILE, manifest.model_dump_json(indent=2) + "\n")
    return manifest


def execution_of(argv: Sequence[str], now: datetime) -> Execution:
    """The execution of a command on this machine that ends now (in UTC)."""
    return Execution(
        finished=now.strftime("%Y-%m-%d %H:%M UTC"),
        machine=machine_in_words(),
        command=command_in_words(argv),
    )


def read_manifest(folder: Path) -> Manifest | None:
    """Read the manifest of a stage; None if it does not exist or is invalid, in which case the stage runs again."""
    try:
        return Manifest.model_validate_json((folder / MANIFEST_FILE).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, ValidationError, UnicodeDecodeError):
        return None


def mark_outdated(folder: Path) -> None:
    """Make a stage run again, without losing the record of which files it made."""
    manifest = read_manifest(folder)
    if manifest is not None:
        outdated = manifest.model_copy(update={"cache_key": {}})
        write_text(folder / MANIFEST_FILE, outdated.model_dump_json(indent=2) + "\n")


def is_up_to_date(manifest: Manifest | None, cache_key: dict[str, Any], folder: Path) -> bool:
    """Whether a stage's outputs are unchanged and were made with the same cache key."""
    return (
        manifest is not None and manifest.cache_key == cache_key and manifest.outputs == digest_folder(folder)
    )


def peak_memory_mb() -> int:
    """Peak resident memory of this process or of its largest child, in MiB."""
    import resource

    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return peak // (1024 * 1024 if sys.platform == "darwin" else 1024)
