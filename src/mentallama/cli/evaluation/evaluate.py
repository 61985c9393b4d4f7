"""The command `evaluate`: the stage of a recipe, or outputs of any model against the benchmark."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mentallama.cli.options import Overrides, ReleaseForm, RunRecipe, TasksFolder, parse_form
from mentallama.cli.setup.completion import complete_recipes
from mentallama.errors import TooManyRejectsError, UsageError
from mentallama.run_files import EXPLANATION_ROWS_FILE, SCORES_FILE, SCORES_PATH

if TYPE_CHECKING:
    from mentallama.config import Evaluate


def parse_settings(overrides: Sequence[str] | None, metrics: Sequence[str] | None) -> Evaluate:
    """Settings of evaluate without a recipe: `--set` such as `judge.samples=3`, and the metrics of explanations.

    Raises
    ------
    UsageError
        A key does not exist or has a value that it does not take.
    """
    from pydantic import ValidationError

    from mentallama.config import Evaluate
    from mentallama.config.loading.overrides import apply_override
    from mentallama.files.schema_faults import fault_sentences

    content: dict[str, Any] = {"evaluate": {"explanation_metrics": list(metrics)} if metrics else {}}
    for override in overrides or ():
        apply_override(content, f"evaluate.{override.removeprefix('evaluate.')}")
    try:
        return Evaluate.model_validate(content["evaluate"])
    except ValidationError as invalid:
        raise UsageError(
            "; ".join(fault_sentences(invalid, content["evaluate"], Evaluate, lambda _: None))
        ) from None


def add_evaluate_command(app: typer.Typer, run: RunRecipe) -> None:
    """Add the command to the application."""

    @app.command(
        epilog="mentallama evaluate recipes/sample-linear.yaml\n"
        "mentallama evaluate --benchmark data/release --responses my-outputs --out scores"
    )
    def evaluate(  # noqa: PLR0913, PLR0917 - one parameter per option
        recipe: Annotated[
            Path | None,
            typer.Argument(
                metavar="RECIPE", help="A recipe; or use --benchmark.", autocompletion=complete_recipes
            ),
        ] = None,
        benchmark: Annotated[
            Path | None, typer.Option(metavar="DIR", help="The published release, for its test files.")
        ] = None,
        form: ReleaseForm = "instruction",
        responses: Annotated[
            str | None,
            typer.Option(
                metavar="DIR|reference|empty",
                help="A folder of SET.csv (goldens, generated_text); or, as a check, reference: the references "
                "themselves, or empty: an empty text for every row.",
            ),
        ] = None,
        as_published: Annotated[
            bool, typer.Option(help="Also score with the published rule-based reader, side by side.")
        ] = False,
        explanation_metric: Annotated[
            list[str] | None,
            typer.Option(
                metavar="NAME:LOCATION",
                help="Also score explanations by this metric, such as bart_score:DIR. Can be repeated.",
            ),
        ] = None,
        tasks_folder: TasksFolder = None,
        overrides: Overrides = None,
        out: Annotated[
            Path | None,
            typer.Option(
                "--out", metavar="DIR", help="Folder of the run (default: runs/NAME) or of the scores."
            ),
        ] = None,
    ) -> None:
        """Score predictions: of a recipe's run, or a folder of any model's outputs against the benchmark.

        Reads posts and predictions of the run, or the release's test files and a folder of SET.csv; writes scores.json
        and every row and explanation with its scores, and prints the tables.
        """
        from mentallama.cli.tables import print_scores

        if recipe is not None:
            if benchmark is not None or responses is not None:
                raise UsageError("give a recipe, or --benchmark with --responses, not both")
            if tasks_folder is not None:
                raise UsageError("--tasks is for --benchmark; in a recipe, use --set tasks=DIR")
            if explanation_metric:
                named = json.dumps(explanation_metric)  # JSON is YAML
                overrides = [*(overrides or ()), f"evaluate.explanation_metrics={named}"]
            print_scores(run(recipe, overrides, out, "evaluate", False) / SCORES_PATH)
            return
        if benchmark is None or responses is None or out is None:
            raise UsageError(
                "evaluate needs a recipe, or all of --benchmark DIR, --responses DIR|reference|empty and --out DIR"
            )
        from mentallama.evaluate.llm_judge import judge_verdict
        from mentallama.evaluate.run import evaluate_responses
        from mentallama.tasks import load_tasks

        settings = parse_settings(overrides, explanation_metric)
        scores = evaluate_responses(
            benchmark,
            parse_form(form),
            responses if responses in {"reference", "empty"} else Path(responses),
            out,
            as_published=as_published,
            settings=settings,
            tasks=load_tasks(tasks_folder),
        )
        print_scores(out / SCORES_FILE)
        if (problem := judge_verdict(scores.judge, settings.judge, out / EXPLANATION_ROWS_FILE)) is not None:
            raise TooManyRejectsError(problem)
