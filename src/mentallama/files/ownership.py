"""Whose files and folders are: a command neither replaces nor deletes any that it did not make.

A folder belongs to a command if its manifest says so, and then only the files that the manifest lists. Output is
examined before any work, so that nothing is computed that cannot be written.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Collection, Iterator
from fnmatch import fnmatch
from pathlib import Path

from mentallama.errors import MentallamaError, UsageError
from mentallama.files.atomic import system_error_sentence
from mentallama.files.manifest import (
    FILE_MANAGER_FILES,
    FileDigest,
    digest_file,
    read_manifest,
    write_manifest,
)
from mentallama.run_files import MANIFEST_FILE


def is_made_by(folder: Path, command: str) -> bool:
    """Whether the folder has a manifest of this command."""
    manifest = read_manifest(folder)
    return manifest is not None and manifest.stage == command


def require_own_folder(folder: Path, command: str, patterns: Collection[str] = ()) -> None:
    """Refuse to replace a folder unless it does not exist or holds nothing but what the command made.

    Parameters
    ----------
    patterns
        Names of the command's files, for a folder whose manifest was lost; () if it cannot be told whose files
        those are.

    Raises
    ------
    UsageError
        The folder holds a file that the command did not make, or is a symbolic link.
    MentallamaError
        There is a file in its place, or the folder cannot be written.
    """
    if folder.is_symlink():
        raise UsageError(
            f"{folder}: {command} replaces this folder and cannot replace a symbolic link; put a folder in its place, "
            "or link the whole run's folder"
        )
    if not folder.exists():
        return
    if not folder.is_dir():
        raise MentallamaError(
            f"{folder}: this is a file, and {command} writes a folder here; move it elsewhere"
        )
    foreign = next(_foreign_files(folder, command, patterns), None)
    if foreign is not None:
        kind = "folder" if foreign.is_dir() else "file"
        raise UsageError(
            f"{folder}: {command} would replace this folder, which holds a {kind} that it did not make, "
            f"{foreign.relative_to(folder)}; move the {kind} elsewhere, or choose another folder with --out"
        )
    for inner in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
        if not os.access(inner, os.W_OK | os.X_OK):
            raise MentallamaError(f"{inner}: this folder cannot be written; change its permissions")


def claim_files(folder: Path, command: str, names: Collection[str]) -> None:
    """Record in a manifest that the command writes files of these names, before it does.

    Other files may lie in the folder and are not touched.

    Raises
    ------
    UsageError
        There is a file of such a name that the command did not make.
    """
    manifest = read_manifest(folder)
    is_ours = manifest is not None and manifest.stage == command
    earlier = {file.name for file in manifest.outputs} if manifest is not None and is_ours else set()
    for name in (*names, *(() if is_ours else (MANIFEST_FILE,))):
        if name not in earlier and os.path.lexists(folder / name):
            raise UsageError(
                f"{folder / name}: {command} did not make this file and does not replace it; choose another folder "
                "with --out"
            )
    claimed = tuple(FileDigest(name=name, bytes=0, sha256="") for name in sorted({*names, *earlier}))
    write_manifest(folder, command, {}, claimed, {}, 0)


def record_claimed_files(folder: Path, command: str, names: Collection[str]) -> None:
    """Record the content of claimed files, once they are written, and delete those that this time were not."""
    manifest = read_manifest(folder)
    for file in () if manifest is None else manifest.outputs:
        if file.name not in names:
            (folder / file.name).unlink(missing_ok=True)
    write_manifest(folder, command, {}, tuple(digest_file(folder / name, name) for name in names), {}, 0)


def make_output_folder(folder: Path, mode: int = 0o777) -> None:
    """Create a folder for results, and find out before the work whether it can be written.

    Parameters
    ----------
    mode
        Permissions of a new folder, from which the user's mask is taken.

    Raises
    ------
    MentallamaError
        There is a file in its place, or it cannot be created or written; the message says why.
    """
    try:
        folder.mkdir(mode, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"\0")
            probe.flush()
    except (FileExistsError, NotADirectoryError):
        raise MentallamaError(
            f"{folder}: there is a file where results would be written; choose another folder with --out"
        ) from None
    except OSError as error:
        error.filename = str(folder)
        raise MentallamaError(f"results cannot be written: {system_error_sentence(error)}") from None


def _foreign_files(folder: Path, command: str, patterns: Collection[str]) -> Iterator[Path]:
    """Files, empty ones included, and empty folders below the folder that the command did not make."""
    is_own = _own_file_test(folder, command, patterns)
    for path in sorted(folder.rglob("*")):
        is_whole_folder = path.is_dir() and any(path.iterdir())
        counts = not is_whole_folder and path.name not in FILE_MANAGER_FILES
        if path.is_symlink() or (counts and not is_own(path.relative_to(folder).as_posix())):
            yield path


def _own_file_test(folder: Path, command: str, patterns: Collection[str]) -> Callable[[str], bool]:
    """Whether the command made a file, by its name in the folder: as the manifest says, else by the patterns."""
    manifest = read_manifest(folder)
    if manifest is not None and manifest.stage == command:
        names = {MANIFEST_FILE, *(file.name for file in manifest.outputs)}
        return names.__contains__
    own_patterns = (MANIFEST_FILE, *patterns) if patterns else ()
    return lambda name: any(fnmatch(name, pattern) for pattern in own_patterns)
