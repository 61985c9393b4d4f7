"""One experiment: its data, and the settings of its stages."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from mentallama.config.base import Settings
from mentallama.config.check import Check
from mentallama.config.collect import Collect
from mentallama.config.predict import Predict
from mentallama.config.teach import Teach
from mentallama.config.train import Train
from mentallama.records import Form
from mentallama.tasks import Task, load_tasks

STAGE_NAMES = ("collect", "teach", "check", "train", "predict", "evaluate", "report")
"""In the order of the way through."""


class Evaluate(Settings):
    """How predictions are scored."""

    resamples: int = Field(default=1000, ge=100)
    """Bootstrap resamples behind every 95 % interval."""
    reader: Path | None = None
    """A folder of a trained label reader (train.analyst: encoder, reads: explanations): the labels that it tells from
    explanations alone are scored beside those of the answers. It must not have seen the posts of the test rows."""


class Report(Settings):
    """The page."""

    title: str | None = None


class Recipe(Settings):
    """One experiment. A stage whose key is absent is not run."""

    name: str = Field(pattern=r"^[\w.-]+$")
    data: Path
    sets: tuple[str, ...] = ()
    """Empty: all sets of the catalogue."""
    form: Form = "instruction"
    seed: int = 7
    jobs: int = Field(default=2, ge=1)
    tasks: Path | None = None
    """A folder of further task files."""
    ray: str | None = None
    """The address of a Ray cluster on which teach sends its calls and predict answers, as auto or ray://HOST:10001;
    None: this machine."""
    collect: Collect | None = None
    teach: Teach | None = None
    check: Check | None = None
    train: Train | None = None
    predict: Predict | None = None
    evaluate: Evaluate | None = None
    report: Report | None = None

    def catalogue(self) -> dict[str, Task]:
        """The tasks of this run, by set."""
        known = load_tasks(self.tasks)
        return {name: known[name] for name in (self.sets or known)}

    def stages(self) -> list[str]:
        return [stage for stage in STAGE_NAMES if getattr(self, stage) is not None]
