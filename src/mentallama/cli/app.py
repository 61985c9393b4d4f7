"""The command line: `main`, its exit codes, and the commands that do not run a recipe.

The commands of the stages are in `stages.py`. Heavy libraries are imported inside the commands that need them.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from mentallama.cli.stages import add_stage_commands
from mentallama.errors import EXIT_FAILED, MentallamaError, UsageError

app = typer.Typer(
    help="Interpretable mental-health analysis of social-media posts: a label and the reason for it.\n\n"
    "For research, never for diagnosis. Start with: mentallama run recipes/sample-linear.yaml",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
add_stage_commands(app)
tasks_app = typer.Typer(
    help="List the tasks, or show one.", invoke_without_command=True, rich_markup_mode=None
)
app.add_typer(tasks_app, name="tasks")

EXIT_INTERRUPTED = 130
"""Exit code after Ctrl-C, the same as a shell's."""


def main() -> None:
    """Run the command line; every expected error becomes one sentence on stderr and an exit code."""
    try:
        app()
    except MentallamaError as error:
        typer.echo(f"mentallama: {error}", err=True)
        sys.exit(error.exit_code)
    except BrokenPipeError:  # whatever read our output, such as `head`, has exited
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_FAILED)
    except SystemExit as end:
        if end.code == EXIT_INTERRUPTED:  # Typer turned the KeyboardInterrupt into this
            typer.echo(
                "mentallama: interrupted; the same command resumes after the last finished stage", err=True
            )
        raise
    except OSError as error:  # a full disk, a folder that may not be written
        typer.echo(f"mentallama: {error.filename or 'the system'}: {error.strerror or error}", err=True)
        sys.exit(EXIT_FAILED)


@tasks_app.callback()
def tasks(context: typer.Context) -> None:
    """List the tasks."""
    if context.invoked_subcommand:
        return
    from mentallama.tasks import load_tasks

    width = max(len(name) for name in load_tasks())
    for name, task in load_tasks().items():
        typer.echo(f"{name:<{width}}  {task.title} ({task.platform}): {', '.join(task.labels)}")


@tasks_app.command("show")
def show_task(
    name: Annotated[str, typer.Argument(metavar="SET", help="A set's name, such as CAMS.")],
) -> None:
    """Show one task: its questions, labels, answer sentences and where to obtain its data."""
    from mentallama.tasks import find_task
    from mentallama.tasks.task_page import task_page

    typer.echo(task_page(find_task(name)))


@app.command()
def sources(
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


@app.command()
def merge(
    adapter: Annotated[
        Path, typer.Argument(metavar="DIR", help="The adapter's folder, such as runs/NAME/train.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The new model's folder.")],
) -> None:
    """Merge an adapter into its base model and write the result as a new model."""
    from mentallama.analysts.checkpoints.optional_deps import require_torch

    require_torch()
    from mentallama.train.loop.lora import merge_lora

    merge_lora(adapter, out)
    typer.echo(str(out))


@app.command()
def analyze(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="The post; - reads it from standard input.")],
    task: Annotated[str | None, typer.Option(metavar="SET", help="Ask the questions of this set.")] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Ask every question that the model can answer.")
    ] = False,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="SPEC",
            help="An analyst, such as linear:runs/NAME/train; default: the model of the newest run.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Analyse one post: label, probability, the post with its evidence marked, and the reason."""
    from mentallama.analysis import analyse_post, newest_model
    from mentallama.cli.terminal import print_analysis

    if task is not None and every:
        raise UsageError("give --task SET or --all, not both")
    spec = model or newest_model(Path("runs"))
    # bytes that are not UTF-8 are replaced, as in an argument
    post = sys.stdin.buffer.read().decode("utf-8", "replace") if text == "-" else text
    analysis = analyse_post(post, spec, task)
    if as_json:
        typer.echo(json.dumps(analysis.as_json(), ensure_ascii=False, indent=2))
    else:
        print_analysis(analysis)


@app.command()
def forget(
    person: Annotated[
        str, typer.Argument(metavar="ID", help="The id of a post, or of an author as it stands in the posts.")
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="One run's folder; default: all runs below runs/."),
    ] = None,
    ledger: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="A ledger outside the runs' folders; may be repeated."),
    ] = None,
) -> None:
    """Erase a person from every file of a run: their posts and everything written about them."""
    from mentallama.erasure.erase import erase_from_runs, erasure_report_lines

    folders = [out] if out else sorted(path.parent for path in Path("runs").glob("*/collect"))
    for folder, report in erase_from_runs(folders, person, tuple(ledger or ())):
        typer.echo("\n".join(erasure_report_lines(folder, report)))
