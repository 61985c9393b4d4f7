"""Commands that run a recipe: `run`, and one for each stage, derived from the table of stages."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from mentallama.cli.evaluation.evaluate import add_evaluate_command
from mentallama.cli.evaluation.explain import add_explain_command
from mentallama.cli.options import Overrides, RecipePath, RunFolder, TasksFolder
from mentallama.cli.predict import add_predict_command
from mentallama.cli.setup.starter import missing_recipe_hint
from mentallama.errors import UsageError, printable
from mentallama.pipeline.registry import STAGES
from mentallama.pipeline.stage import Stage
from mentallama.run_files import REPORT_PAGE_PATH, SCORES_PATH, TEACH_SUMMARY_PATH

EXAMPLE_RECIPE = "recipes/sample-linear.yaml"
EXAMPLE_RECIPES = {"check": "recipes/sample-build.yaml"}
"""Recipes in the examples of the commands' help, for stages that `EXAMPLE_RECIPE` does not have."""


def run_from_command(
    recipe_path: Path,
    overrides: list[str] | None,
    out: Path | None,
    until: str | None,
    retry_failed: bool = False,
    stages: Sequence[Stage] = STAGES,
) -> Path:
    """Read a recipe, run it up to a stage and return the run's folder; a worker of torchrun exits instead."""
    from mentallama.config import read_recipe
    from mentallama.pipeline.registry import recipe_model
    from mentallama.pipeline.torchrun import run_recipe_distributed

    if not recipe_path.exists():
        raise UsageError(f"{recipe_path}: there is no such recipe{missing_recipe_hint(recipe_path)}")
    recipe = read_recipe(recipe_path, tuple(overrides or ()), recipe_model(stages))
    folder = out or Path("runs") / recipe.name
    if not run_recipe_distributed(recipe, folder, _log, until, retry_failed, stages):
        raise typer.Exit
    return folder


def add_stage_commands(app: typer.Typer, stages: Sequence[Stage] = STAGES) -> None:
    """Add `run` and a command for each stage, in the order in which a run executes them."""

    @app.command(
        epilog="mentallama run recipes/sample-linear.yaml\nmentallama run recipes/imhi-linear.yaml --set data=DIR"
    )
    def run(recipe: RecipePath, overrides: Overrides = None, out: RunFolder = None) -> None:
        """Run all stages of a recipe; finished stages are skipped, a killed run is resumed.

        Reads the recipe and the data that it names; writes runs/NAME/, with a folder for each stage, and prints the
        scores and where the report is.
        """
        from mentallama.cli.tables import print_scores, print_teach_summary

        folder = run_from_command(recipe, overrides, out, None, stages=stages)
        print_teach_summary(folder / TEACH_SUMMARY_PATH)
        print_scores(folder / SCORES_PATH)
        page = folder / REPORT_PAGE_PATH
        if page.is_file():
            typer.echo(f"report: {page}")

    for stage in stages:
        if stage.name in _COMMANDS:
            _COMMANDS[stage.name](app, stage)
        else:
            _add_plain_command(app, stage, stages)


def _add_plain_command(app: typer.Typer, stage: Stage, stages: Sequence[Stage]) -> None:
    @app.command(
        name=stage.name,
        help=f"{stage.help} Runs the recipe up to this stage.",
        epilog=f"mentallama {stage.name} {EXAMPLE_RECIPES.get(stage.name, EXAMPLE_RECIPE)}",
    )
    def command(recipe: RecipePath, overrides: Overrides = None, out: RunFolder = None) -> None:
        typer.echo(str(run_from_command(recipe, overrides, out, stage.name, stages=stages) / stage.name))


def _add_teach_command(app: typer.Typer, stage: Stage) -> None:
    @app.command(
        name=stage.name,
        help=f"{stage.help} Runs the recipe up to this stage.",
        epilog="mentallama teach recipes/sample-build.yaml\n"
        "mentallama teach recipes/sample-build.yaml --set teach.teacher=remote:MODEL@URL --budget 5",
    )
    def command(  # noqa: PLR0913, PLR0917 - one parameter per option
        recipe: RecipePath,
        budget: Annotated[
            float | None,
            typer.Option(metavar="MONEY", help="Limit on the total cost of all requests in the ledger."),
        ] = None,
        allow_remote: Annotated[
            list[str] | None,
            typer.Option(
                metavar="SET", help="Send posts of this set to remote teachers despite its data agreement."
            ),
        ] = None,
        ray: Annotated[
            str | None, typer.Option(metavar="ADDRESS", help="Address of a Ray cluster, such as auto.")
        ] = None,
        retry_failed: Annotated[
            bool, typer.Option("--retry", help="Retry requests that failed permanently.")
        ] = False,
        overrides: Overrides = None,
        out: RunFolder = None,
    ) -> None:
        from mentallama.cli.tables import print_teach_summary

        given = {
            "teach.budget": budget,
            "teach.allow_remote": f"[{', '.join(map(json.dumps, allow_remote))}]" if allow_remote else None,
            "ray": ray,
        }
        options = [f"{key}={value}" for key, value in given.items() if value is not None]
        folder = run_from_command(recipe, [*(overrides or ()), *options], out, "teach", retry_failed)
        print_teach_summary(folder / TEACH_SUMMARY_PATH)
        typer.echo(str(folder / "teach"))


def _add_report_command(app: typer.Typer, stage: Stage) -> None:
    @app.command(
        name=stage.name,
        epilog=f"mentallama report {EXAMPLE_RECIPE}\nmentallama report runs/sample-linear runs/sample-tiny-llama",
    )
    def command(
        sources: Annotated[
            list[Path],
            typer.Argument(
                metavar="SOURCE", help="A recipe; or folders of runs, the first one to compare with."
            ),
        ],
        overrides: Overrides = None,
        tasks_folder: TasksFolder = None,
        out: Annotated[
            Path | None,
            typer.Option(
                metavar="DIR",
                help="The run's folder (default: runs/NAME); of runs, the page's folder (default: runs/report).",
            ),
        ] = None,
    ) -> None:
        """Write the page of a recipe's run, or of runs that are there, side by side.

        Reads what the other stages wrote into the runs' folders; writes index.html and report.md, without posts, and
        every table and figure in files/.
        """
        if len(sources) == 1 and not sources[0].exists():
            raise UsageError(
                f"{sources[0]}: there is no such recipe or folder of a run{missing_recipe_hint(sources[0])}"
            )
        if len(sources) == 1 and not sources[0].is_dir():
            if tasks_folder is not None:
                raise UsageError("--tasks is for folders of runs; in a recipe, use --set tasks=DIR")
            typer.echo(str(run_from_command(sources[0], overrides, out, stage.name) / stage.name))
            return
        for source in sources:
            if not source.is_dir():
                raise UsageError(f"{source}: this is no folder of a run; give one recipe, or folders of runs")
        if overrides:
            raise UsageError("--set is for a recipe; folders of runs are shown as they are")
        from mentallama.report.run import report_runs
        from mentallama.tasks import load_tasks

        typer.echo(str(report_runs(sources, out or Path("runs/report"), load_tasks(tasks_folder))))


def _log(line: str) -> None:
    typer.echo(printable(line), err=True)


_COMMANDS: dict[str, Callable[[typer.Typer, Stage], None]] = {
    "teach": _add_teach_command,
    "predict": lambda app, _: add_predict_command(app, run_from_command, _log),
    "explain": lambda app, stage: add_explain_command(app, run_from_command, stage.help),
    "evaluate": lambda app, _: add_evaluate_command(app, run_from_command),
    "report": _add_report_command,
}
"""Stages whose commands have further options."""
