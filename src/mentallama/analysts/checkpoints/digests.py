"""Digests of a saved model: every model made here carries `hashes.json`, and is checked against it before it is used.

A flipped byte in a weight changes every answer without any error, so a model answers only if its files are those that
were saved. Models that were not made here have no digests and are not checked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from mentallama.errors import DataError
from mentallama.files.atomic import write_json
from mentallama.files.manifest import digest_file, digest_folder
from mentallama.files.record_files import read_json
from mentallama.run_files import MANIFEST_FILE, METRICS_FILE, SUMMARY_FILE
from mentallama.tasks.terms import TERMS_FILE

HASHES_FILE = "hashes.json"
CARD_FILE, RECIPE_FILE = "README.md", "recipe.yaml"

DESCRIPTIONS = frozenset(
    (CARD_FILE, TERMS_FILE, RECIPE_FILE, SUMMARY_FILE, METRICS_FILE, MANIFEST_FILE, HASHES_FILE)
)
"""Files for people: no answer depends on them, so they may be edited."""

LIBRARY_SUFFIXES = (".json", ".jinja", ".safetensors", ".bin", ".model")
"""Endings of files that transformers and peft load when they find them in a model's folder."""


def write_hashes(folder: Path) -> None:
    """Write the SHA-256 of every file in a model's folder to `hashes.json`; to be called last."""
    write_json(
        folder / HASHES_FILE,
        {file.name: file.sha256 for file in digest_folder(folder) if file.name != HASHES_FILE},
    )


COPY_AGAIN = (
    "copy the model again, or train again; if you changed it on purpose, put the output of sha256sum for it into "
    f"{HASHES_FILE}"
)


def verify_hashes(
    folder: Path, made_here: bool, added_suffixes: tuple[str, ...] = (), advice: str = COPY_AGAIN
) -> None:
    """Check the files of a model against the digests that were saved with it; reads each file once.

    Parameters
    ----------
    made_here
        Whether this project made the model, so that it must have digests.
    added_suffixes
        Endings of files that must not have been added since, because a library would load them.
    advice
        The part of the error that says what to do.

    Raises
    ------
    DataError
        A file is missing, changed or was added after the model was saved; or there are no digests.
    """
    path = folder / HASHES_FILE
    if not path.is_file():
        if made_here:
            raise DataError(
                "missing, so nobody can tell whether the model is as it was saved; copy the whole folder, or train "
                "again",
                path,
            )
        return
    hashes = read_json(path)
    if not isinstance(hashes, dict):
        raise DataError("not a list of digests; copy the whole folder again, or train again", path)
    for problem, file in _differences(folder, hashes, added_suffixes):
        raise DataError(f"{problem}; {advice}", file)


def _differences(
    folder: Path, hashes: Mapping[str, object], added_suffixes: tuple[str, ...]
) -> Iterator[tuple[str, Path]]:
    """Sentences on the files that differ from the digests."""
    for name, expected in hashes.items():
        path = folder / name
        if name in DESCRIPTIONS:
            continue
        if not path.is_file():
            yield "this part of the model is missing", path
        elif digest_file(path, name).sha256 != expected:
            yield "damaged or changed: not the file that the model was saved with", path
    for path in sorted(folder.iterdir()):
        if path.suffix in added_suffixes and path.name not in hashes and path.name not in DESCRIPTIONS:
            yield "not one of the files that the model was saved with", path
