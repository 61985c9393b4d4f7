"""The command line: `main`, its exit codes, and the commands that work on something other than a recipe.

Commands for the stages are in `stages.py`. Everything heavy is imported inside the command that needs it.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from mentallama.cli.catalogue import add_catalogue_commands
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
add_catalogue_commands(app)

EXIT_INTERRUPTED = 130
"""Exit code after Ctrl-C, the same as a shell's."""


def main() -> None:
    """Run the command line; every expected error is one sentence on the error stream and an exit code."""
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
    for folder, removed in erase_from_runs(folders, person, tuple(ledger or ())):
        typer.echo("\n".join(erasure_report_lines(folder, removed)))
