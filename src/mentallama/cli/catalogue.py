"""The commands `tasks` and `sources`: what the package knows, and what of it is on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mentallama.errors import UsageError


def add_catalogue_commands(app: typer.Typer) -> None:
    tasks = typer.Typer(
        help="List the tasks, or show one.", invoke_without_command=True, rich_markup_mode=None
    )
    tasks.callback()(_tasks)
    tasks.command("show")(_show_task)
    app.add_typer(tasks, name="tasks")
    app.command("sources")(_sources)


def _tasks(context: typer.Context) -> None:
    """List the tasks."""
    if context.invoked_subcommand:
        return
    from mentallama.tasks import load_tasks

    width = max(len(name) for name in load_tasks())
    for name, task in load_tasks().items():
        typer.echo(f"{name:<{width}}  {task.title} ({task.platform}): {', '.join(task.labels)}")


def _show_task(
    name: Annotated[str, typer.Argument(metavar="SET", help="A set's name, such as CAMS.")],
) -> None:
    """Show one task: its questions, labels, answer sentences and where to obtain its data."""
    from mentallama.tasks import find_task
    from mentallama.tasks.task_page import task_page

    typer.echo(task_page(find_task(name)))


def _sources(
    data: Annotated[
        Path, typer.Option(metavar="DIR", help="The data folder, with release/ and sources/.")
    ] = Path("data"),
    form: Annotated[str, typer.Option(help="instruction or completion")] = "instruction",
) -> None:
    """Show for each set its licence, where to obtain it, and which files are expected and found."""
    from mentallama.collect.inputs import format_survey, survey
    from mentallama.records import FORMS
    from mentallama.tasks import load_tasks

    if form not in FORMS:
        raise UsageError(f"--form {form}: there are {' and '.join(FORMS)}")
    if not data.is_dir():
        raise UsageError(f"{data}: there is no such folder; name yours with --data")
    for entry in survey(data, load_tasks(), form):
        typer.echo("\n".join(format_survey(entry)))
