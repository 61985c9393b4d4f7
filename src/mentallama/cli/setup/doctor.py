"""The command `doctor`: print the facts of this installation, and what is broken."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mentallama.cli.catalogue import DEFAULT_DATA_FOLDER
from mentallama.cli.console import echo_json, echo_wrapped
from mentallama.cli.options import TasksFolder
from mentallama.environment import size_text
from mentallama.errors import EXIT_FAILED, UsageError, printable
from mentallama.program import command_line

if TYPE_CHECKING:
    from mentallama.doctor.report import DoctorReport
    from mentallama.doctor.workspace import DataFound, Workspace

RUNS = Path("runs")
INDENT = 15
"""Columns of the names of facts."""


def doctor(
    data: Annotated[
        Path, typer.Option(metavar="DIR", help="The data folder, with release/ and sources/.")
    ] = DEFAULT_DATA_FOLDER,
    tasks_folder: TasksFolder = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for a bug report.")] = False,
) -> None:
    """Say whether this installation is usable: versions, extras, machine, data and models.

    Reads the installed packages, the data folder and runs/; writes nothing and sends nothing. Of the environment it
    shows names of keys, never their values. Exits with 1 if something is broken.
    """
    from mentallama.doctor.report import examine
    from mentallama.tasks import load_tasks

    if not data.is_dir() and data != DEFAULT_DATA_FOLDER:
        raise UsageError(f"{data}: there is no such folder; name yours with --data")
    report = examine(data, RUNS, load_tasks(tasks_folder))
    if as_json:
        echo_json(report.as_json())
    else:
        for line in report_lines(report):
            if line.startswith(" "):  # a command stays on one line, so that it can be copied
                typer.echo(line)
            else:
                echo_wrapped(line, INDENT)
    if report.problems:
        raise typer.Exit(EXIT_FAILED)


def report_lines(report: DoctorReport) -> Iterator[str]:
    """The report as lines of text, which are not wrapped yet."""
    installation, machine = report.installation, report.machine
    yield f"mentallama {installation.version}, Python {installation.python}, {installation.platform}"
    yield ""
    yield _fact("processors", str(machine.cpus))
    if machine.memory is not None:
        free = machine.memory_available
        available = f", {size_text(free)} available" if free is not None else ""
        yield _fact("memory", size_text(machine.memory) + available)
    accelerator = machine.accelerator
    yield _fact("accelerator", "; ".join(accelerator.devices) or f"none: {accelerator.note}")
    for folder in machine.folders:
        space = "cannot be written" if folder.free is None else f"{size_text(folder.free)} free"
        yield _fact("disk", f"{folder.purpose}, {space}: {folder.path}")
    proxies = ", ".join(f"{name}={value}" for name, value in machine.proxies.items())
    yield _fact("proxy", proxies or "none")
    yield _fact("keys set", ", ".join(machine.keys) or "none")
    yield _fact("libraries", ", ".join(f"{each.name} {each.installed}" for each in installation.libraries))
    for extra in installation.extras:
        versions = ", ".join(f"{each.name} {each.installed}" for each in extra.libraries if each.installed)
        yield _fact(f"[{extra.name}]", versions if extra.is_installed else "not installed; to install it:")
        if not extra.is_installed:
            yield _fact("", extra.install)
    yield from _workspace_lines(report.workspace)
    yield ""
    yield from (f"problem: {problem}" for problem in report.problems)
    yield from (f"note: {advice}" for advice in report.advice)
    if not report.problems:
        yield f"Nothing is broken. {_next_step(report.workspace)}"


def _fact(name: str, value: str) -> str:
    return printable(f"{name:<{INDENT}}{value}")


def _workspace_lines(workspace: Workspace) -> Iterator[str]:
    if workspace.data is None:
        yield _fact(
            "data",
            f"no folder {workspace.data_folder}/ here; `{command_line('sources')}` says where to begin",
        )
    elif not workspace.data:
        yield _fact("data", f"{workspace.data_folder}: no file of a set in it")
    for found in workspace.data or ():
        yield _fact("data", f"{found.set}: {_files(found)}")
    for spec in workspace.models:
        yield _fact("model", f"--model {spec}")


def _files(found: DataFound) -> str:
    release = [f"{split} {rows:,}" for split, rows in found.release.items()]
    upstream = [f"{name} {rows:,}" for name, rows in found.upstream.items()]
    parts = (("the release", release), ("upstream files", upstream))
    return "; ".join(f"rows of {name}: {', '.join(counts)}" for name, counts in parts if counts)


def _next_step(workspace: Workspace) -> str:
    if workspace.models:
        return f"Next: {command_line('analyze --help')}"
    recipe = Path("recipes/sample-linear.yaml")
    return f"Next: {command_line(f'run {recipe}' if recipe.is_file() else 'init study')}"
