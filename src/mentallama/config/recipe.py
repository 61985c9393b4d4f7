"""The recipe: the data of one experiment and the settings of its stages."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from mentallama.config.base import Settings
from mentallama.config.check import Check
from mentallama.config.collect import Collect
from mentallama.config.evaluate import Evaluate
from mentallama.config.explain import Explain
from mentallama.config.predict import Predict
from mentallama.config.teach import Teach
from mentallama.config.train import Train
from mentallama.records import Form
from mentallama.tasks import Task, load_tasks
from mentallama.text.names import FileName


class Report(Settings):
    """The page of a run."""

    title: str | None = None


class SharedSettings(Settings):
    """The keys of a recipe that all stages share."""

    name: FileName
    data: Path
    sets: tuple[str, ...] = ()
    """Sets to work on; empty: all sets of the catalogue."""
    form: Form = "instruction"
    seed: int = Field(default=7, ge=0, lt=2**32)
    jobs: int = Field(default=2, ge=1, le=1024)
    tasks: Path | None = None
    """A folder with additional task files."""
    ray: str | None = None
    """Address of a Ray cluster for the requests of teach and the analysts of predict, such as auto or
    ray://HOST:10001; None: this machine."""


class Recipe(SharedSettings):
    """One experiment: the shared keys and one key for each stage. A stage whose key is absent is not run."""

    collect: Collect | None = None
    teach: Teach | None = None
    check: Check | None = None
    train: Train | None = None
    predict: Predict | None = None
    explain: Explain | None = None
    evaluate: Evaluate | None = None
    report: Report | None = None

    def catalogue(self) -> dict[str, Task]:
        """The tasks of this run, by the name of the set."""
        known = load_tasks(self.tasks)
        return {name: known[name] for name in (self.sets or known)}

    @classmethod
    def stage_names(cls) -> tuple[str, ...]:
        """The keys that are stages."""
        return tuple(name for name in cls.model_fields if name not in SharedSettings.model_fields)
