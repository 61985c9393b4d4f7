"""The interface between a stage and the runner: one `Stage` object, exported as `STAGE` by every `<stage>/stage.py`.

The runner, the command line and the cache key read everything they need from it and know no stage by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mentallama.analysts.base import AnalystSpec
from mentallama.config import Recipe
from mentallama.config.base import Settings
from mentallama.errors import UsageError
from mentallama.progress import LogFn
from mentallama.run_files import MANIFEST_FILE, METRICS_FILE

_NOT_INPUTS = frozenset((MANIFEST_FILE, METRICS_FILE))
"""Files of a stage's folder that say how long it took; no result depends on them."""


@dataclass(frozen=True)
class Stage:
    """One step of a run. `folder` below is the run's folder.

    Parameters
    ----------
    name
        Command, recipe key and folder in a run.
    help
        The command's help text: a sentence on its purpose, then what it reads and writes.
    inputs
        `(recipe, folder)` -> the files that the stage reads besides those of `reads`, by the names that the manifest
        shows.
    run
        `(recipe, folder, out)` does the work, writes into `out` and returns counts for the manifest.
    file_patterns
        Names of the files that the stage writes. Where its manifest was lost in the folder of a run, the stage replaces
        its folder only if no other file is in it.
    reads
        `recipe` -> files of the run, by their paths in its folder, that the stage cannot do without.
    problems
        `(recipe, folder)` -> sentences on what the stage would fail for: a setting that another stage rules out, a
        model or file that does not exist. They are collected before any stage runs.
    settings
        Type of the recipe key; needed only where `Recipe` does not declare the key itself.
    cache_exclude
        Settings that change how results are obtained but not the results, as pydantic's `exclude`.
    cache_extra
        `recipe` -> further settings that enter the cache key.
    analyst_kinds
        `(recipe, folder)` -> kinds of analyst that the stage trains or asks; the versions of their libraries enter the
        cache key.
    human_inputs
        `folder` -> digests of what people wrote into the run. They are not plain inputs, because the stage itself
        adds to these files.
    notes
        `folder` -> lines about the results, logged also when the stage was up to date.
    verdict
        `(recipe, folder, log)`, called once all stages are done. Returns a sentence if the run has to end with exit
        code 3. A stage that has `retry_failed` is asked before the first stage runs too, when it may have no folder.
    on_done
        `folder`, called whenever the stage is finished or found up to date.
    retry_failed
        `(recipe, folder, log)`, called before the first stage runs if requests that failed are to be retried: on
        demand, or because of the stage's verdict on an earlier run.
    """

    name: str
    help: str
    inputs: Callable[[Recipe, Path], dict[str, Path]]
    run: Callable[[Recipe, Path, Path], dict[str, Any]]
    file_patterns: tuple[str, ...] = ()
    reads: Callable[[Recipe], tuple[str, ...]] | None = None
    problems: Callable[[Recipe, Path], Iterable[str]] | None = None
    settings: type[Settings] | None = None
    cache_exclude: Mapping[str, Any] = field(default_factory=dict)
    cache_extra: Callable[[Recipe], dict[str, Any]] | None = None
    analyst_kinds: Callable[[Recipe, Path], Iterable[str]] | None = None
    human_inputs: Callable[[Path], dict[str, str]] | None = None
    notes: Callable[[Path], Iterable[str]] | None = None
    verdict: Callable[[Recipe, Path, LogFn], str | None] | None = None
    on_done: Callable[[Path], None] | None = None
    retry_failed: Callable[[Recipe, Path, LogFn], None] | None = None

    def input_files(self, recipe: Recipe, folder: Path) -> dict[str, Path]:
        """All files that the stage reads, by the names that the manifest shows.

        Raises
        ------
        UsageError
            One of `reads` does not exist.
        """
        required = () if self.reads is None else self.reads(recipe)
        return require_files(*required)(recipe, folder) | self.inputs(recipe, folder)


def require_files(*names: str) -> Callable[[Recipe, Path], dict[str, Path]]:
    """Inputs written by earlier stages, by their paths in the run's folder.

    Raises
    ------
    UsageError
        One of them does not exist.
    """

    def inputs(recipe: Recipe, folder: Path) -> dict[str, Path]:
        paths = {name: folder / name for name in names}
        missing = [path for path in paths.values() if not path.is_file()]
        if missing:
            raise UsageError(f"{missing[0]}: there is no such file; the stage that writes it has not run")
        return paths

    return inputs


def lacks_release_responses(stage: str, recipe: Recipe) -> Iterator[str]:
    """A sentence if `collect` would find no responses in the data for a stage that needs them."""
    from mentallama.files.imhi_release import find_release_files

    release = recipe.data / "release"
    if recipe.collect is None or not recipe.data.is_dir():
        return  # what an earlier run collected is not looked into
    if not release.is_dir() or not find_release_files(release, recipe.form, recipe.catalogue()):
        yield f"{stage} has no responses to read: {release} holds none; add teach to the recipe"


def spec_files(spec: str, prefix: str) -> dict[str, Path]:
    """The files behind a spec such as linear:DIR, by the names that a manifest shows."""
    location = AnalystSpec.parse(spec).location
    path = Path(location)
    candidates = sorted(path.rglob("*")) if location and path.is_dir() else [path]
    files = [file for file in candidates if file.is_file() and file.name not in _NOT_INPUTS]
    return {f"{prefix}/{file.relative_to(path) if path.is_dir() else file.name}": file for file in files}
