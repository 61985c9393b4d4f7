"""Which files of a folder belong to a run, and which are somebody else's."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from mentallama.erasure.person import INSTRUCTION_DATA_GLOB
from mentallama.erasure.row_removal import has_rows
from mentallama.files.erasure_requests import FORMER_ERASURE_LIST_PATH
from mentallama.files.manifest import read_manifest
from mentallama.llm_api.ledger.schema import APPLICATION_ID
from mentallama.pipeline.registry import STAGES
from mentallama.run_files import (
    BASELINE_FILE,
    BATCH_FOLDER,
    CHECKPOINTS_FOLDER,
    DISAGREEMENTS_FILE,
    ERASURE_LIST_PATH,
    FAILED_REQUESTS_FILE,
    LEDGER_PATH,
    LOCK_PATH,
    MANIFEST_FILE,
    METRICS_FILE,
    POSTS_PATH,
    PREDICTIONS_FILE,
    QUESTIONS_FILE,
    RATING_SAMPLE_FILE,
    RESPONSES_FOLDER,
    REVIEW_FOLDER,
    SUMMARY_FILE,
    TENSORBOARD_FOLDER,
)

_STAGES = {stage.name: stage for stage in STAGES}
_FILES_BESIDE_STAGES = frozenset(
    (BASELINE_FILE, PREDICTIONS_FILE, QUESTIONS_FILE, SUMMARY_FILE, FAILED_REQUESTS_FILE)
)
"""Files of a run, or of `predict --out`, beside the folders of the stages."""
_PATTERNS_BY_FOLDER: dict[str, tuple[str, ...]] = {
    BATCH_FOLDER: ("*.jsonl", "results/*.jsonl"),
    CHECKPOINTS_FOLDER: ("step-*/*", "best-*/*", METRICS_FILE),
    RESPONSES_FOLDER: ("*.csv",),
    TENSORBOARD_FOLDER: ("*/events.out.tfevents.*",),
    REVIEW_FOLDER: (DISAGREEMENTS_FILE, RATING_SAMPLE_FILE),
}
"""Names of the files that a run writes into its other folders; people put files of their own beside them."""
_JOURNAL = re.compile(r"(?:predicted|explained)-[0-9a-f]{16}\.part\.jsonl")
_LEFTOVER_GLOBS = (".*.partial", ".*.replaced")
"""Folders of stages that were killed: they may be damaged and are deleted, as are half-written files."""
_KEPT_NAMES = frozenset((MANIFEST_FILE, ERASURE_LIST_PATH, FORMER_ERASURE_LIST_PATH, LOCK_PATH))
_SQLITE_SIDE_FILES = ("-wal", "-shm", "-journal")


@dataclass(frozen=True)
class RunContents:
    """The files of a run's folder.

    `files` are those of the run that may mention a person, `leftovers` what killed commands left, and
    `foreign_files` those that no run made.
    """

    files: tuple[Path, ...]
    leftovers: tuple[Path, ...]
    foreign_files: tuple[Path, ...]

    @property
    def ledgers(self) -> tuple[Path, ...]:
        return tuple(path for path in self.files if path.suffix == ".sqlite")

    @property
    def batch_metadata(self) -> tuple[Path, ...]:
        return tuple(path for path in self.files if re.fullmatch(r"metadata-\d+\.jsonl", path.name))


def is_run(folder: Path) -> bool:
    """Whether a folder is a run, or one of `predict --out`: it has a manifest, posts, questions or a list of ours."""
    proofs = (POSTS_PATH, QUESTIONS_FILE, ERASURE_LIST_PATH, FORMER_ERASURE_LIST_PATH)
    manifests = ((read_manifest(folder / name), name) for name in _STAGES)
    return (
        any((folder / name).is_file() for name in proofs)
        or any(manifest is not None and manifest.stage == name for manifest, name in manifests)
        or read_manifest(folder) is not None
        or _is_ledger(folder / LEDGER_PATH)
    )


def read_run_contents(folder: Path) -> RunContents:
    """Sort the files of a run's folder by whose they are.

    Those by which others are found (metadata of batches, instruction data, questions, posts) come last, so that a
    killed erasure can be finished by the same command.
    """
    leftovers = [
        path
        for pattern in _LEFTOVER_GLOBS
        for path in folder.glob(pattern)
        if path.is_dir() and not path.is_symlink()
    ]
    own, foreign = list[Path](), list[Path]()
    for entry in sorted(folder.iterdir()):
        if entry in leftovers or entry.name in _KEPT_NAMES or entry.name.endswith(_SQLITE_SIDE_FILES):
            continue
        is_own = _own_file_test(folder, _final_path(entry))
        for path in _files_below(entry):
            if not is_own(_final_path(path)):
                foreign.append(path)
            elif _final_path(path) == path:
                own.append(path)
            else:
                leftovers.append(path)
    finders = {*folder.glob(INSTRUCTION_DATA_GLOB), folder / QUESTIONS_FILE, folder / POSTS_PATH}
    own.sort(key=lambda path: (path in finders, path.name.startswith("metadata-"), path))
    return RunContents(tuple(own), tuple(sorted(leftovers)), tuple(foreign))


def _own_file_test(folder: Path, entry: Path) -> Callable[[Path], bool]:
    """Whether files at or below an entry of the run's folder are the run's.

    Where a stage's manifest was lost, a file without rows, which would be deleted as a whole, must bear the name of one
    that the stage writes.
    """
    if entry.suffix == ".sqlite":
        return _is_ledger
    if entry.name in _STAGES:
        manifest = read_manifest(entry)
        if manifest is None:
            patterns = _STAGES[entry.name].file_patterns
            return lambda path: _is_named(path, entry, patterns) or (has_rows(path) and not path.is_symlink())
        names = {file.name for file in manifest.outputs}
        return lambda path: path.relative_to(entry).as_posix() in names
    if entry.name in _PATTERNS_BY_FOLDER and entry.is_dir():
        return lambda path: _is_named(path, entry, _PATTERNS_BY_FOLDER[entry.name])
    is_own = entry.name in _FILES_BESIDE_STAGES or _JOURNAL.fullmatch(entry.name) is not None
    return lambda path: is_own and path == entry and not path.is_symlink()


def _final_path(path: Path) -> Path:
    """The path that a file gets once it is written (`files.atomic`); any other path is final."""
    partial = re.fullmatch(r"\.(.+)\.partial", path.name)
    return path if partial is None else path.with_name(partial[1])


def _is_named(path: Path, folder: Path, patterns: Iterable[str]) -> bool:
    """Whether a file has a name and a depth in the folder that one of the patterns describes, and is no link."""
    name = path.relative_to(folder).as_posix()
    named = (fnmatch(name, pattern) and name.count("/") == pattern.count("/") for pattern in patterns)
    return any(named) and not path.is_symlink()


def _files_below(entry: Path) -> Iterator[Path]:
    if entry.is_file():
        yield entry
    elif entry.is_dir():
        yield from sorted(
            path
            for path in entry.rglob("*")
            if path.is_file() and path.name not in _KEPT_NAMES and not path.name.endswith(_SQLITE_SIDE_FILES)
        )


def _is_ledger(path: Path) -> bool:
    """Whether a file is a ledger of requests, by the application id in the header of every SQLite file."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        header = file.read(72)
    return header.startswith(b"SQLite format 3\0") and header[68:72] == APPLICATION_ID.to_bytes(4, "big")
