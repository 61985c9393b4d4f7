"""The commands `tasks` and `sources`: what can be asked, and where its data comes from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mentallama.cli.console import echo_wrapped
from mentallama.cli.options import CommandLine, ReleaseForm, TasksFolder, parse_form
from mentallama.errors import UsageError, printable

DEFAULT_DATA_FOLDER = Path("data")

NO_DATA_NOTE = (
    "There is no folder {folder}/ here. Obtain the sets as said above and put them there, the published release in "
    "{folder}/release/ and upstream files in {folder}/sources/SET/; or name another folder with --data DIR."
)

tasks_app = CommandLine(
    help="List the tasks, or show one.",
    invoke_without_command=True,
    epilog="mentallama tasks\nmentallama tasks show dreaddit",
)


def add_catalogue_commands(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command(epilog="mentallama sources\nmentallama sources --data sample")(sources)
    app.add_typer(tasks_app, name="tasks")


@tasks_app.callback()
def tasks(context: typer.Context, tasks_folder: TasksFolder = None) -> None:
    """List the tasks, or show one.

    Reads the task files of the package and, with --tasks, those of a folder of yours; writes nothing.
    """
    context.obj = tasks_folder
    if context.invoked_subcommand is None:
        _print_tasks(tasks_folder)


@tasks_app.command("list", epilog="mentallama tasks list --tasks tasks")
def list_tasks(context: typer.Context, tasks_folder: TasksFolder = None) -> None:
    """List the tasks with their labels.

    Reads the task files of the package and those of --tasks; writes nothing.
    """
    _print_tasks(tasks_folder or context.obj)


@tasks_app.command("show", epilog="mentallama tasks show dreaddit\nmentallama tasks show sleep --tasks tasks")
def show_task(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="SET", help="A set's name, such as CAMS.")],
    tasks_folder: TasksFolder = None,
) -> None:
    """Show one task: its questions, labels, answer sentences and where to obtain its data.

    Reads the task files of the package and those of --tasks; writes Markdown if the output is a file or a pipe.
    """
    from mentallama.tasks import find_task, load_tasks
    from mentallama.tasks.task_page import task_page

    typer.echo(task_page(find_task(name, load_tasks(tasks_folder or context.obj))))


def _print_tasks(folder: Path | None) -> None:
    from mentallama.tasks import load_tasks

    known = load_tasks(folder)
    width = max(len(name) for name in known)
    for name, task in known.items():
        line = f"{name:<{width}}  {task.title} ({task.platform}): {', '.join(task.labels)}"
        echo_wrapped(printable(line), width + 2)


def sources(
    data: Annotated[
        Path, typer.Option(metavar="DIR", help="The data folder, with release/ and sources/.")
    ] = DEFAULT_DATA_FOLDER,
    form: ReleaseForm = "instruction",
    tasks_folder: TasksFolder = None,
) -> None:
    """Show for each set its licence, where to obtain it, and which files are expected and found."""
    from mentallama.collect.inputs import format_survey, survey
    from mentallama.tasks import load_tasks

    release_form = parse_form(form)
    if not data.is_dir() and data != DEFAULT_DATA_FOLDER:
        raise UsageError(f"{data}: there is no such folder; name yours with --data")
    for entry in survey(data, load_tasks(tasks_folder), release_form):
        for line in format_survey(entry):
            echo_wrapped(printable(line), 12)
    if not data.is_dir():
        echo_wrapped(NO_DATA_NOTE.format(folder=data))
