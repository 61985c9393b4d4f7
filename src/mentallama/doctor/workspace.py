"""The content of a working folder: data by set, and the models of its runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mentallama.analysts.registry import model_spec, trained_models
from mentallama.collect.inputs import survey
from mentallama.errors import MentallamaError
from mentallama.records import Form
from mentallama.tasks import Task


@dataclass(frozen=True)
class DataFound:
    """Rows of one set: in the release by split, and in upstream files by name."""

    set: str
    release: dict[str, int]
    upstream: dict[str, int]


@dataclass(frozen=True)
class Workspace:
    """`data` is None without a data folder. `models` are specs, the newest first. `faults` are sentences."""

    data_folder: str
    data: tuple[DataFound, ...] | None
    models: tuple[str, ...]
    faults: tuple[str, ...] = field(default=())


def describe_workspace(
    data: Path, runs: Path, tasks: Mapping[str, Task], form: Form = "instruction"
) -> Workspace:
    """Describe a data folder and what is below a folder of runs; a damaged file is a fault and hides nothing else."""
    faults: list[str] = []
    found = _find_data(data, tasks, form, faults) if data.is_dir() else None
    models = []
    for folder in trained_models(runs):
        try:
            spec = model_spec(folder)
        except MentallamaError as fault:
            faults.append(str(fault))
        else:
            models += [spec] if spec else []
    return Workspace(str(data), found, tuple(models), tuple(dict.fromkeys(faults)))


def _find_data(data: Path, tasks: Mapping[str, Task], form: Form, faults: list[str]) -> tuple[DataFound, ...]:
    found = []
    for name, task in tasks.items():
        try:
            (entry,) = survey(data, {name: task}, form)
        except MentallamaError as fault:
            faults.append(str(fault))
            continue
        if entry.release or entry.upstream:
            found.append(DataFound(name, entry.release, entry.upstream))
    return tuple(found)
