"""Write whole files atomically: a file never appears half-written under its final name."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mentallama.errors import MentallamaError

_ADVICE = {
    errno.ENOSPC: "free some space, and the same command resumes",
    errno.EDQUOT: "free some of your quota, and the same command resumes",
    errno.EFBIG: "raise the limit on the size of files, and the same command resumes",
    errno.EROFS: "choose another folder with --out",
    errno.EACCES: "change the permissions, or choose another folder",
    errno.EPERM: "change the permissions, or choose another folder",
    errno.EIO: "the disk may be failing",
}
"""Advice for an error of the system on writing a file."""

_FULL_DISK_MESSAGE = re.compile(
    r"no space left|StorageFull|os error 28\b|quota exceeded|os error 122\b", re.IGNORECASE
)
"""A full disk in the words of libraries that raise errors of their own, such as those of Rust."""

_ALMOST_NOTHING = 1 << 16
"""Free bytes below which a disk is taken to be full when a library failed without saying why."""


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success the file is flushed to disk and renamed to `path`.

    Errors of the system on writing name `path`.
    """
    partial = path.with_name(f".{path.name}.partial")
    with named_in_errors(path, partial):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield partial
            with partial.open("rb") as written:
                os.fsync(written.fileno())
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


@contextmanager
def named_in_errors(path: Path, partial: Path | None = None) -> Iterator[None]:
    """Make errors of the system name the file that is being written: those of open files name none."""
    try:
        yield
    except OSError as error:
        if error.errno in _ADVICE and error.filename in (None, *([] if partial is None else [str(partial)])):
            error.filename = str(path)
        raise


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 file atomically."""
    with atomic_write(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file atomically."""
    with atomic_write(path) as partial:
        partial.write_bytes(content)


def write_json(path: Path, value: object) -> None:
    """Write indented JSON with a final line break, atomically; NaN is refused."""
    write_bytes(path, json_bytes(value))


def json_bytes(value: object) -> bytes:
    """A value as `write_json` writes it."""
    return (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def system_error_sentence(error: OSError) -> str:
    """An error of the system as a sentence: the file, the reason, and what to do."""
    advice = f"; {_ADVICE[error.errno]}" if error.errno in _ADVICE and error.filename else ""
    return f"{error.filename or 'the system'}: {error.strerror or error}{advice}"


@contextmanager
def full_disk_named(folder: Path) -> Iterator[None]:
    """If work on a new folder fails because the disk is full, delete the folder and make the error name it.

    Libraries raise errors of their own, which become an OSError.
    """
    try:
        yield
    except MentallamaError:
        raise
    except Exception as error:
        if not is_full_disk(error, folder.parent):
            raise
        shutil.rmtree(folder, ignore_errors=True)
        if not isinstance(error, OSError):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder)) from error
        error.filename = error.filename or str(folder)
        raise


def is_full_disk(error: BaseException, folder: Path) -> bool:
    """Whether an exception of any library means that `folder`, into which it wrote, has no space left."""
    chain: BaseException | None = error
    while chain is not None:
        if getattr(chain, "errno", None) in {errno.ENOSPC, errno.EDQUOT} or _FULL_DISK_MESSAGE.search(
            str(chain)
        ):
            return True
        chain = chain.__cause__ or chain.__context__
    return shutil.disk_usage(folder).free < _ALMOST_NOTHING
