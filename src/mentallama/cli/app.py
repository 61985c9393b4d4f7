"""The command line: `main`, its exit codes, and the commands that do not run a recipe.

The commands of the stages are in `stages.py`. Heavy libraries are imported inside the commands that need them.
"""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

import mentallama
from mentallama.cli.analyze import add_analyze_command
from mentallama.cli.catalogue import add_catalogue_commands
from mentallama.cli.console import DEBUG_VARIABLE, discard_output, prepare_streams, unexpected_error_sentence
from mentallama.cli.evaluation.compare import add_compare_command
from mentallama.cli.evaluation.meta_evaluate import add_meta_evaluate_command
from mentallama.cli.evaluation.reproduce import add_reproduce_command
from mentallama.cli.evaluation.robustness import add_robustness_command
from mentallama.cli.export import add_export_command
from mentallama.cli.options import CONTEXT_SETTINGS, CommandLine, TasksFolder
from mentallama.cli.setup.doctor import doctor
from mentallama.cli.stages import add_stage_commands
from mentallama.cli.symptoms import add_symptoms_command
from mentallama.errors import EXIT_FAILED, MentallamaError, printable
from mentallama.files.atomic import system_error_sentence
from mentallama.program import PROGRAM, command_line
from mentallama.progress import log_to_stderr

COMPLETION_VARIABLE = "_MENTALLAMA_COMPLETE"
"""Environment variable through which a shell asks for completions; typer's scripts set it by this name."""
COMPLETION_OPTIONS = ("--install-completion", "--show-completion")

app = CommandLine(
    context_settings=CONTEXT_SETTINGS,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    epilog="mentallama init study\nmentallama doctor\nmentallama run --help",
)


def main() -> None:
    """Run the command line; every error becomes one sentence on stderr and an exit code."""
    prepare_streams()
    try:
        try:
            app(prog_name=_name_in_usage(), complete_var=COMPLETION_VARIABLE)
        finally:
            sys.stdout.flush()
    except MentallamaError as error:
        typer.echo(f"mentallama: {error}", err=True)
        sys.exit(error.exit_code)
    except BrokenPipeError:  # whatever read our output, such as `head`, has exited
        discard_output()
        sys.exit(EXIT_FAILED)
    except OSError as error:  # a full disk, a folder that may not be written
        typer.echo(f"mentallama: {printable(system_error_sentence(error))}", err=True)
        sys.exit(EXIT_FAILED)
    except Exception as error:
        if os.environ.get(DEBUG_VARIABLE):
            raise
        typer.echo(f"mentallama: {unexpected_error_sentence(error)}", err=True)
        sys.exit(EXIT_FAILED)


def _name_in_usage() -> str:
    """The program as it was called; its plain name where a shell's completion is set up for it."""
    sets_up_completion = any(word.startswith(COMPLETION_OPTIONS) for word in sys.argv[1:])
    return PROGRAM if sets_up_completion else command_line("")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mentallama {mentallama.__version__}")
        raise typer.Exit


@app.callback()
def application(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    """Interpretable mental-health analysis of social-media posts: a label and the reason for it.

    For research, never for diagnosis. Start with `mentallama init DIR`, and read the README.md that it writes. A run
    reads the recipe and its data, and writes into runs/.
    """


add_stage_commands(app)
add_compare_command(app)
add_catalogue_commands(app)
add_analyze_command(app)
add_symptoms_command(app)
add_reproduce_command(app)
add_robustness_command(app, log_to_stderr)
add_meta_evaluate_command(app)
add_export_command(app)
app.command(epilog="mentallama doctor\nmentallama doctor --data sample --json")(doctor)


@app.command(epilog="mentallama init study")
def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new folder, or one without these names.")],
) -> None:
    """Write what a new user starts with into a folder; nothing that exists is replaced.

    Reads the package's own files; writes recipes/ (experiments to run), sample/ (synthetic posts in the layouts of the
    published sets), tasks/ (a task file to copy for a question of your own), posts.csv (a table of synthetic posts),
    and README.md, which leads from there.
    """
    from mentallama.cli.setup.starter import copy_starter

    for path in copy_starter(folder):
        typer.echo(f"written: {path}")
    run = command_line("run recipes/sample-linear.yaml", elsewhere=True)
    typer.echo(f"next: cd {shlex.quote(str(folder))} && {run}")


@app.command(epilog="mentallama merge runs/llama-8b-lora/train --out models/llama-8b-stress")
def merge(
    adapter: Annotated[
        Path, typer.Argument(metavar="DIR", help="The adapter's folder, such as runs/NAME/train.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The new model's folder.")],
) -> None:
    """Merge an adapter into its base model and write the result as a new model.

    Reads the folder of an adapter that was trained with `lora:` in a recipe, and the base model that it names; writes
    a folder with all weights, which servers such as vLLM and llama.cpp take.
    """
    from mentallama.analysts.checkpoints.optional_deps import require_torch

    require_torch()
    from mentallama.train.loop.lora import merge_lora

    merge_lora(adapter, out)
    typer.echo(str(out))


@app.command(epilog="mentallama card runs/sample-linear > card.md")
def card(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run's folder, such as runs/sample-linear.")],
    tasks_folder: TasksFolder = None,
) -> None:
    """Print the card of a run's model with its test scores, for the Hugging Face hub.

    Reads the folders of train and evaluate in the run; prints Markdown, which a hub shows as README.md.
    """
    from mentallama.export.scored_card import render_scored_card
    from mentallama.tasks import load_tasks

    typer.echo(render_scored_card(run, load_tasks(tasks_folder)), nl=False)


@app.command(epilog="mentallama forget ID --dry-run\nmentallama forget ID --out runs/sample-build")
def forget(
    person: Annotated[
        str,
        typer.Argument(
            metavar="ID", help="The id of a post, of an example, or of an author as it stands in the posts."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="One run's folder; default: all runs below runs/."),
    ] = None,
    ledger: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="A ledger outside the runs' folders; may be repeated."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List what would go; change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask on a terminal.")] = False,
) -> None:
    """Erase a person from every file of a run: their posts and everything written about them.

    Reads and rewrites the files of the runs and their ledgers; `erasure_list.json` keeps the person out of later runs.
    On a terminal, shows what would go and asks first; without one, as in a script, it goes ahead.
    """
    from mentallama.erasure.erase import erase_from_runs, erasure_report_lines, plan_for_runs
    from mentallama.erasure.run_contents import is_run

    folders = [out] if out else sorted(path for path in Path("runs").glob("*") if is_run(path))
    ledgers = tuple(ledger or ())
    asks = sys.stdin.isatty() and not yes
    if dry_run or asks:
        plans = plan_for_runs(folders, person, ledgers)
        for folder, report in plans:
            typer.echo("\n".join(erasure_report_lines(folder, report, dry_run=True)))
        if dry_run or all(report.changes_nothing for _, report in plans):
            return
        if not typer.confirm("Erase this? It cannot be undone."):
            raise MentallamaError("nothing was erased")
    for folder, report in erase_from_runs(folders, person, ledgers):
        typer.echo("\n".join(erasure_report_lines(folder, report)))
