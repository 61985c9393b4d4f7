"""The folder beside a table that is being written: the answers so far, and what came from standard input."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from mentallama.errors import UsageError
from mentallama.files.ownership import make_output_folder
from mentallama.pipeline.run_lock import run_lock
from mentallama.predict.stage import LEDGER_NAME
from mentallama.predict.tables.answer_store import STORE_FILE
from mentallama.run_files import LOCK_PATH

SPOOL_FILE = "standard-input"
"""A copy of standard input, since a table is read several times."""

_SUFFIX = ".part"
_OWN_FILES = (f"{STORE_FILE}*", LEDGER_NAME.format("*") + "*", SPOOL_FILE, LOCK_PATH)
"""Patterns of the names of its files; SQLite keeps two more beside each of its own."""


@dataclass
class PartFolder:
    """`keep`: whether it stays when the command ends, because it holds answers that the next one needs."""

    path: Path
    keep: bool


@contextmanager
def part_folder(out: Path | None) -> Iterator[PartFolder]:
    """The folder beside `out`, such as `labelled.csv.part`, locked; a temporary one if the output is a stream (None).

    It is deleted at the end unless `keep` is set, as it is from the start if answers are in it.

    Raises
    ------
    UsageError
        `out` is a folder, another command works on it, or the folder holds other files.
    MentallamaError
        The folder cannot be written.
    """
    if out is None:
        with tempfile.TemporaryDirectory(prefix="mentallama-") as folder:
            yield PartFolder(Path(folder), keep=True)
        return
    path = out.with_name(out.name + _SUFFIX)
    if out.is_dir():
        raise UsageError(f"{out}: this is a folder; name a file with --out, such as {out / 'labelled.csv'}")
    if os.path.lexists(out) and not path.is_dir():
        raise foreign_output_error(out)
    if path.is_dir() and (others := sorted(file.name for file in path.iterdir() if not _is_own(file.name))):
        raise UsageError(
            f"{path}: this folder contains other files, such as {others[0]}; choose another --out"
        )
    part = PartFolder(path, keep=(path / STORE_FILE).is_file())
    make_output_folder(path, mode=0o700)  # explanations quote posts
    with run_lock(path):
        try:
            yield part
        finally:
            if not part.keep:
                shutil.rmtree(path)


def _is_own(name: str) -> bool:
    return any(fnmatch(name, pattern) for pattern in _OWN_FILES)


def foreign_output_error(out: Path) -> UsageError:
    """The error for an output that exists and that this command did not make."""
    return UsageError(
        f"{out}: there is such a file already, and predict replaces none; choose another --out, or delete it"
    )
