"""The report of `mentallama doctor`: all facts, what is broken, and what could be better."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from packaging.specifiers import SpecifierSet

import mentallama
from mentallama.doctor.installation import Installation, LibraryState, describe_installation
from mentallama.doctor.machine import Machine, describe_machine
from mentallama.doctor.workspace import Workspace, describe_workspace
from mentallama.environment import size_text
from mentallama.tasks import Task

LITTLE_DISK = 5_000_000_000
"""Free bytes below which a run on the published sets (1 GB) or the weights of a small model may not fit."""

LITTLE_MEMORY = 2_000_000_000
"""Bytes that the linear recipe on the published sets takes."""


@dataclass(frozen=True)
class DoctorReport:
    """`problems` are sentences on what is broken, `advice` on what works and could be better."""

    installation: Installation
    machine: Machine
    workspace: Workspace
    problems: tuple[str, ...]
    advice: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """JSON-compatible values."""
        return asdict(self)


def examine(
    data: Path, runs: Path, tasks: Mapping[str, Task], environ: Mapping[str, str] = os.environ
) -> DoctorReport:
    """Examine this installation, the machine and the working folder. Nothing is sent, and no file is left behind."""
    installation = describe_installation(mentallama.__version__)
    machine = describe_machine(Path.cwd(), environ)
    workspace = describe_workspace(data, runs, tasks)
    return DoctorReport(
        installation,
        machine,
        workspace,
        problems=tuple(find_problems(installation, machine, workspace)),
        advice=tuple(give_advice(installation, machine)),
    )


def find_problems(installation: Installation, machine: Machine, workspace: Workspace) -> Iterator[str]:
    """A sentence on each thing that is broken, and on how to repair it."""
    needed = SpecifierSet(installation.needed_python)
    if not needed.contains(installation.python, prereleases=True):
        yield f"Python {installation.python} runs this, which needs {needed}: make an environment with such a Python"
    for library in installation.libraries:
        if library.installed is None:
            yield f"{library.name} is not installed, and every command needs it: {_upgrade(library)}"
    libraries = [
        *installation.libraries,
        *(each for extra in installation.extras for each in extra.libraries),
    ]
    for library in dict.fromkeys(libraries):
        if library.is_too_old_or_new:
            yield (
                f"{library.name} {library.installed} is installed, but {library.name}{library.needed} is needed: "
                f"{_upgrade(library)}"
            )
    if machine.accelerator.is_broken:
        yield f"{machine.accelerator.note}: install it again with the line for the extra train"
    for folder in machine.folders:
        if folder.fault is not None:
            yield f"{folder.path}: nothing can be written here ({folder.fault}); {_ELSEWHERE[folder.purpose]}"
    yield from workspace.faults


_ELSEWHERE = {
    "working folder": "go to a folder of yours",
    "temporary files": "set TMPDIR to a folder that can be written",
    "models of the hub": "set HF_HOME to a folder that can be written, or name models by their folders",
}
"""Purpose of a folder -> what to do if it cannot be written."""


def give_advice(installation: Installation, machine: Machine) -> Iterator[str]:
    """A sentence on each thing that works and may not suffice."""
    if not installation.libraries:
        yield "mentallama runs from a folder and is not installed, so the versions of its libraries are not checked"
    has_nvidia = machine.accelerator.kind == "none" and "NVIDIA" in machine.accelerator.note
    if has_nvidia and not machine.accelerator.is_broken:
        yield f"{machine.accelerator.note}; models run on CPUs until a build of torch for this GPU is installed"
    if machine.memory is not None and machine.memory < LITTLE_MEMORY:
        yield f"{size_text(machine.memory)} of memory suffice for the sample, not for the published sets"
    for folder in machine.folders:
        if folder.free is not None and folder.free < LITTLE_DISK:
            yield f"{folder.path}: {size_text(folder.free)} of its disk are free, which a run or a model may fill"


def _upgrade(library: LibraryState) -> str:
    return f"pip install --upgrade {shlex.quote(library.name + library.needed)}"
