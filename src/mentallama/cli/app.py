"""The command line: one thin command a stage, in the order of the way through.

Everything heavy is imported inside the command that needs it.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from mentallama.cli.predict import add_predict_command
from mentallama.errors import EXIT_FAILED, MentallamaError, UsageError

app = typer.Typer(
    help="Interpretable mental-health analysis of social-media posts: a label and the reason for it.\n\n"
    "For research, never for diagnosis. Start with: mentallama run recipes/sample-linear.yaml",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
tasks_app = typer.Typer(
    help="List the tasks, or show one.", invoke_without_command=True, rich_markup_mode=None
)
app.add_typer(tasks_app, name="tasks")

RecipePath = Annotated[
    Path, typer.Argument(metavar="RECIPE", help="A recipe, as recipes/sample-linear.yaml.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a key of the recipe, as data=DIR or jobs=1."),
]
RunFolder = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", help="The run's folder; default runs/NAME.")
]


EXIT_INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""


def main() -> None:
    """Run the command line; every expected error is one sentence on the error stream and an exit code."""
    try:
        app()
    except MentallamaError as error:
        typer.echo(f"mentallama: {error}", err=True)
        sys.exit(error.exit_code)
    except BrokenPipeError:  # the reader of our output, as `head`, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_FAILED)
    except SystemExit as end:
        if end.code == EXIT_INTERRUPTED:  # Typer has taken the KeyboardInterrupt
            typer.echo("mentallama: stopped; the same command goes on from the last finished stage", err=True)
        raise
    except OSError as error:  # a full disk, a folder that may not be written
        typer.echo(f"mentallama: {error.filename or 'the system'}: {error.strerror or error}", err=True)
        sys.exit(EXIT_FAILED)


def _log(line: str) -> None:
    typer.echo(line, err=True)


def _run_recipe(
    recipe_path: Path,
    overrides: list[str] | None,
    out: Path | None,
    until: str | None,
    retry_failed: bool = False,
) -> Path:
    from mentallama.config import read_recipe
    from mentallama.pipeline.runner import run_recipe
    from mentallama.train.stage import is_torchrun, release_workers, run_worker

    recipe = read_recipe(recipe_path, tuple(overrides or ()))
    folder = out or Path("runs") / recipe.name
    if not is_torchrun():
        return run_recipe(recipe, folder, _log, until, retry_failed)
    if os.environ.get("RANK") != "0":  # torchrun's other processes take part in training alone
        run_worker(recipe, folder)
        raise typer.Exit
    run_recipe(recipe, folder, _log, until, retry_failed)
    release_workers()
    return folder


@app.command()
def run(recipe: RecipePath, changes: Overrides = None, out: RunFolder = None) -> None:
    """Run all stages of a recipe; what is up to date is skipped, what was killed is resumed."""
    folder = _run_recipe(recipe, changes, out, None)
    _print_teach_summary(folder / "teach" / "summary.json")
    _print_scores(folder / "evaluate" / "scores.json")
    page = folder / "report" / "index.html"
    if page.is_file():
        typer.echo(f"report: {page}")


def _add_stage_command(stage: str, what: str) -> None:
    @app.command(name=stage, help=f"{what} Runs the recipe up to this stage.")
    def command(recipe: RecipePath, changes: Overrides = None, out: RunFolder = None) -> None:
        folder = _run_recipe(recipe, changes, out, stage)
        typer.echo(str(folder / stage))


_add_stage_command("collect", "Gather posts: repair, scrub, split, take out what leaks.")


@app.command()
def teach(  # noqa: PLR0913, PLR0917 - one parameter an option
    recipe: RecipePath,
    budget: Annotated[
        float | None,
        typer.Option(metavar="MONEY", help="The most that all calls in the ledger may cost."),
    ] = None,
    allow_remote: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SET", help="Send posts of this set to remote teachers, its agreement notwithstanding."
        ),
    ] = None,
    ray: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Work on a Ray cluster, as auto.")
    ] = None,
    retry: Annotated[bool, typer.Option("--retry", help="Ask again what was set aside.")] = False,
    changes: Overrides = None,
    out: RunFolder = None,
) -> None:
    """Have a teacher explain every labelled post. Runs the recipe up to this stage."""
    given = {
        "teach.budget": budget,
        "teach.allow_remote": f"[{', '.join(map(json.dumps, allow_remote))}]" if allow_remote else None,
        "ray": ray,
    }
    said = [f"{key}={value}" for key, value in given.items() if value is not None]
    folder = _run_recipe(recipe, [*(changes or ()), *said], out, "teach", retry)
    _print_teach_summary(folder / "teach" / "summary.json")
    typer.echo(str(folder / "teach"))


_add_stage_command("check", "Judge the responses: keep what is fit to train on, and say why the rest is not.")
_add_stage_command("train", "Fit an analyst to the posts.")


@app.command()
def merge(
    adapter: Annotated[Path, typer.Argument(metavar="DIR", help="The adapter's folder, as runs/NAME/train.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The new model's folder.")],
) -> None:
    """Add an adapter to its base, as a model of its own."""
    from mentallama.analysts.checkpoints.optional_deps import require_torch

    require_torch()
    from mentallama.train.loop.lora import merge_lora as merge_adapter

    merge_adapter(adapter, out)
    typer.echo(str(out))


add_predict_command(app, _run_recipe, _log)


@app.command()
def evaluate(  # noqa: PLR0913, PLR0917 - one parameter an option
    recipe: Annotated[
        Path | None, typer.Argument(metavar="RECIPE", help="A recipe; or use --benchmark.")
    ] = None,
    benchmark: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The published release with the test files.")
    ] = None,
    form: Annotated[str, typer.Option(help="instruction or completion")] = "instruction",
    responses: Annotated[
        str | None,
        typer.Option(metavar="DIR|golden|empty", help="A folder of SET.csv (goldens, generated_text)."),
    ] = None,
    as_published: Annotated[
        bool, typer.Option(help="Score with the published rule reader too, side by side.")
    ] = False,
    reader: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Score the labels too that a trained reader tells from explanations."
        ),
    ] = None,
    changes: Overrides = None,
    out: RunFolder = None,
) -> None:
    """Score predictions: of a recipe's run, or a folder of any model's outputs against the benchmark."""
    if recipe is not None:
        if benchmark is not None or responses is not None:
            raise UsageError("give a recipe, or --benchmark with --responses, not both")
        if reader is not None:
            changes = [*(changes or ()), f"evaluate.reader={reader}"]
        _print_scores(_run_recipe(recipe, changes, out, "evaluate") / "evaluate" / "scores.json")
        return
    if benchmark is None or responses is None or out is None:
        raise UsageError(
            "evaluate needs a recipe, or all of --benchmark DIR, --responses DIR|golden|empty and --out DIR"
        )
    from mentallama.analysts.registry import open_label_reader
    from mentallama.evaluate.run import evaluate_responses
    from mentallama.records import FORMS

    if form not in FORMS:
        raise UsageError(f"--form {form}: there are {' and '.join(FORMS)}")
    given: Path | str = responses if responses in {"golden", "empty"} else Path(responses)
    opened = None if reader is None else open_label_reader(reader)
    evaluate_responses(benchmark, form, given, out, as_published=as_published, reader=opened)
    _print_scores(out / "scores.json")


_add_stage_command("report", "Write the page of a run.")


def _print_scores(path: Path) -> None:
    if not path.is_file():
        return
    from rich.console import Console

    from mentallama.cli.tables import score_table
    from mentallama.evaluate.score_file import read_scores

    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(score_table(read_scores(path)))


def _print_teach_summary(path: Path) -> None:
    if not path.is_file():
        return
    from rich.console import Console

    from mentallama.cli.teach_tables import cost_table, refusal_lines
    from mentallama.files.record_files import read_json
    from mentallama.teach.summary import TeachSummary

    summary = TeachSummary.model_validate(read_json(path))
    Console(width=None if sys.stdout.isatty() else 160).print(cost_table(summary))
    for line in refusal_lines(summary):
        typer.echo(line)


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
def tasks_show(name: Annotated[str, typer.Argument(metavar="SET", help="A set's name, as CAMS.")]) -> None:
    """Show one task: its questions, labels, answer sentences and where its data is to be had."""
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
    """Say of each set: licence, where to get it, what is expected, what was found."""
    from mentallama.collect.inputs import format_survey, survey
    from mentallama.records import FORMS
    from mentallama.tasks import load_tasks

    if form not in FORMS:
        raise UsageError(f"--form {form}: there are {' and '.join(FORMS)}")
    if not data.is_dir():
        raise UsageError(f"{data}: there is no such folder; name yours with --data")
    for each in survey(data, load_tasks(), form):
        typer.echo("\n".join(format_survey(each)))


@app.command()
def analyze(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="The post; - reads it from standard input.")],
    task: Annotated[str | None, typer.Option(metavar="SET", help="Ask the questions of this set.")] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Ask all questions that the model can answer.")
    ] = False,
    model: Annotated[
        str | None,
        typer.Option(metavar="SPEC", help="As linear:runs/NAME/train; default: the newest run's model."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Analyse one post: label, probability, the post with its evidence marked, and the reason."""
    from mentallama.analysis import analyse_post, newest_model
    from mentallama.cli.terminal import print_analysis

    if task is not None and every:
        raise UsageError("give --task SET or --all, not both")
    spec = model or newest_model(Path("runs"))
    # as with an argument, what is not UTF-8 becomes a mark
    post = sys.stdin.buffer.read().decode("utf-8", "replace") if text == "-" else text
    answers = analyse_post(post, spec, task)
    if as_json:
        typer.echo(json.dumps(answers.as_json(), ensure_ascii=False, indent=2))
    else:
        print_analysis(answers)


@app.command()
def forget(
    wanted: Annotated[
        str, typer.Argument(metavar="ID", help="The id of a post, or of an author as posts carry it.")
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="One run's folder; default: all runs below runs/."),
    ] = None,
    ledger: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="A ledger outside the runs' folders.")
    ] = None,
) -> None:
    """Take a person out of every file of a run: their posts, and all that was written about them."""
    from mentallama.erasure.erase import erase_from_runs, erasure_report_lines

    folders = [out] if out else sorted(path.parent for path in Path("runs").glob("*/collect"))
    for folder, removed in erase_from_runs(folders, wanted, tuple(ledger or ())):
        typer.echo("\n".join(erasure_report_lines(folder, removed)))


if __name__ == "__main__":
    main()
