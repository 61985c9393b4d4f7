"""Run a recipe from Python, and look at what a run has made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from mentallama.analysts.registry import model_spec
from mentallama.config import Recipe, read_recipe
from mentallama.errors import UsageError
from mentallama.evaluate.score_file import ScoreFile, read_scores
from mentallama.pipeline.registry import STAGES, recipe_model
from mentallama.pipeline.torchrun import run_recipe_distributed
from mentallama.progress import LogFn, log_to_stderr
from mentallama.run_files import MANIFEST_FILE, REPORT_PAGE_PATH, SCORES_PATH, TRAIN_FOLDER


@dataclass(frozen=True)
class Run:
    """The folder of a run, and what its stages have made in it.

    Parameters
    ----------
    folder
        The run's folder, such as `runs/sample-linear`.

    Examples
    --------
    >>> import mentallama as ml
    >>> done = ml.Run("runs/sample-linear")
    >>> done.model
    'linear:runs/sample-linear/train'
    >>> done.scores.to_frame().columns[:4].tolist()
    ['set', 'n', 'posts', 'weighted_f1']
    """

    folder: Path

    def __init__(self, folder: str | PathLike[str]) -> None:
        object.__setattr__(self, "folder", Path(folder))
        if not self.folder.is_dir():
            raise UsageError(f"{self.folder}: there is no such run")

    @property
    def stages(self) -> dict[str, Path]:
        """The finished stages in their order, and the folder of each."""
        folders = {stage.name: self.folder / stage.name for stage in STAGES}
        return {name: path for name, path in folders.items() if (path / MANIFEST_FILE).is_file()}

    @property
    def model(self) -> str:
        """The trained model, as `open_analyst` takes it: `linear:runs/sample-linear/train`.

        Raises
        ------
        UsageError
            The run has trained no model.
        """
        spec = model_spec(self.folder / TRAIN_FOLDER)
        if spec is None:
            raise UsageError(f"{self.folder}: this run has trained no model")
        return spec

    @property
    def scores(self) -> ScoreFile:
        """The scores of the stage evaluate: `scores["dreaddit"].weighted_f1`, `scores.to_frame()`.

        Raises
        ------
        UsageError
            The run has no scores.
        """
        return read_scores(self._file(SCORES_PATH, "scores", "evaluate"))

    @property
    def report(self) -> Path:
        """The report page, `index.html`.

        Raises
        ------
        UsageError
            The run has no report.
        """
        return self._file(REPORT_PAGE_PATH, "report", "report")

    def _file(self, name: str, content: str, stage: str) -> Path:
        if not (self.folder / name).is_file():
            raise UsageError(f"{self.folder}: this run has no {content}; its recipe needs the stage {stage}")
        return self.folder / name


def run(
    recipe: str | PathLike[str] | Mapping[str, Any] | Recipe,
    overrides: Mapping[str, Any] | None = None,
    *,
    out: str | PathLike[str] | None = None,
    until: str | None = None,
    retry_failed: bool = False,
    log: LogFn = log_to_stderr,
) -> Run:
    """Run all stages of a recipe, as `mentallama run` does; finished stages are skipped, a killed run is resumed.

    Parameters
    ----------
    recipe
        A recipe's file; or its content, such as `{"name": "mine", "data": "sample", "collect": {}}`.
    overrides
        Values by key, such as `{"jobs": 1, "collect.test_share": 0.2}`.
    out
        Folder of the run; None: `runs/NAME`.
    until
        The last stage to run, such as "collect"; None: all.
    retry_failed
        Send requests again that failed in earlier runs.
    log
        Receives one line per finished stage and note; default: standard error.

    Returns
    -------
    Run
        Its `folder`, `stages`, `scores`, `model` and `report`.

    Raises
    ------
    UsageError
        The recipe has faults, which are listed together, or a stage lacks what it reads; nothing was done.
    DataError
        An input file is damaged.
    TooManyRejectsError
        Everything was done and written, and can be looked at with `Run(folder)`; but more rows were rejected than the
        recipe allows.
    SystemExit
        In the worker processes of torchrun, once their part is done; the first process goes on.

    Examples
    --------
    >>> import mentallama as ml
    >>> done = ml.run("recipes/sample-linear.yaml", {"jobs": 1}, until="evaluate")
    >>> list(done.stages)
    ['collect', 'train', 'predict', 'evaluate']
    >>> 0 <= done.scores["dreaddit"].weighted_f1 <= 100
    True
    """
    parsed = read_recipe(_content(recipe), overrides or {}, recipe_model(STAGES))
    folder = Path("runs") / parsed.name if out is None else Path(out)
    if not run_recipe_distributed(parsed, folder, log, until, retry_failed):
        raise SystemExit
    return Run(folder)


def _content(recipe: str | PathLike[str] | Mapping[str, Any] | Recipe) -> Path | Mapping[str, Any]:
    if isinstance(recipe, Recipe):
        return recipe.model_dump(exclude_unset=True)
    return recipe if isinstance(recipe, Mapping) else Path(recipe)
