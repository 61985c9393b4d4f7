"""The command `meta-evaluate`: metrics of explanations against the ratings of people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mentallama.cli.evaluation.evaluate import parse_settings
from mentallama.cli.options import TasksFolder
from mentallama.errors import TooManyRejectsError, UsageError
from mentallama.files.markdown import EMPTY_CELL

if TYPE_CHECKING:
    from mentallama.cli.tables import WideTable
    from mentallama.config import Judge
    from mentallama.meta_evaluation.results import MetaEvaluation
    from mentallama.metrics.correlation import CorrelationScore


def parse_judge(overrides: Sequence[str] | None, metrics: Sequence[str] | None) -> Judge:
    """Settings of an LLM judge, from `--set`.

    Raises
    ------
    UsageError
        A key is none of the judge's, has no effect here, or has a value that it does not take.
    """
    for override in overrides or ():
        key = override.partition("=")[0].strip().removeprefix("evaluate.")
        if not key.startswith("judge."):
            raise UsageError(f"--set {key}: meta-evaluate has the keys of evaluate.judge only")
        if key.startswith("judge.ratings"):
            raise UsageError(f"--set {key}: the judge rates the explanations in RATINGS; leave it out")
    return parse_settings(overrides, metrics).judge


def add_meta_evaluate_command(app: typer.Typer) -> None:
    """Add the command to the application."""

    @app.command(
        "meta-evaluate",
        epilog="mentallama meta-evaluate data/release/human_evaluation/DR_annotation --out meta\n"
        "mentallama meta-evaluate ratings.csv --task dreaddit --out meta",
    )
    def meta_evaluate(  # noqa: PLR0913, PLR0917 - one parameter per option
        ratings: Annotated[
            list[Path],
            typer.Argument(
                metavar="RATINGS...",
                help="Tables of rated explanations, or folders of them: columns text, label, the answer under any "
                "name, and aspects such as overall, whose cells hold the ratings of all raters: [3, 2, 3].",
            ),
        ],
        out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of the results.")],
        task_name: Annotated[
            str,
            typer.Option("--task", metavar="SET[:QUESTION]", help="The question that the answers are about."),
        ] = "DR",
        explanation_metric: Annotated[
            list[str] | None,
            typer.Option(
                metavar="NAME:LOCATION",
                help="A metric beside those that need no model, such as bart_score:DIR; may be repeated.",
            ),
        ] = None,
        references: Annotated[
            Path | None,
            typer.Option(
                metavar="DIR",
                help="A release, whose explanations of the same posts are the references of metrics.",
            ),
        ] = None,
        fit: Annotated[
            Path | None,
            typer.Option(
                metavar="FILE",
                help="Fit the weights of explanation_quality to the ratings, and write them here.",
            ),
        ] = None,
        resamples: Annotated[
            int, typer.Option(min=100, max=1_000_000, help="Bootstrap resamples for the 95 % intervals.")
        ] = 1000,
        seed: Annotated[int, typer.Option(min=0, help="Seed of resamples and folds.")] = 0,
        tasks_folder: TasksFolder = None,
        overrides: Annotated[
            list[str] | None,
            typer.Option(
                "--set", metavar="KEY=VALUE", help="Set a key of evaluate.judge, such as judge.samples=3."
            ),
        ] = None,
    ) -> None:
        """Measure metrics of explanations against ratings of people, and the raters against each other.

        Reads tables of rated explanations, such as those of the release; writes meta_evaluation.json and a page, with
        the raters' agreement, each metric's correlation with each aspect, and the ceiling that one rater reaches;
        prints the correlations with overall.
        """
        from mentallama.cli.tables import print_table
        from mentallama.evaluate.llm_judge import judge_verdict
        from mentallama.explanation_metrics.base import MetricOptions
        from mentallama.meta_evaluation.run import meta_evaluate as run
        from mentallama.run_files import JUDGE_LEDGER_PATH, META_EVALUATION_FILE, REPORT_PAGE_FILE
        from mentallama.tasks import load_tasks, select_questions

        tasks = load_tasks(tasks_folder)
        questions = select_questions([task_name], None, tasks, "meta-evaluate")
        if len(questions) != 1:
            named = ", ".join(f"{name}:{question}" for name, question in questions)
            raise UsageError(f"--task {task_name}: it asks several questions; name one of {named}")
        (name, question) = questions[0]
        judge = parse_judge(overrides, explanation_metric)
        results = run(
            ratings,
            out,
            tasks[name],
            question,
            MetricOptions(
                tasks=tasks,
                seed=seed,
                judge=judge,
                ledger=out / JUDGE_LEDGER_PATH,
            ),
            metrics=explanation_metric or (),
            references=references,
            fit=fit,
            resamples=resamples,
        )
        print_table(correlation_table(results))
        typer.echo(str(out / REPORT_PAGE_FILE))
        if (problem := judge_verdict(results.judge, judge, out / META_EVALUATION_FILE)) is not None:
            raise TooManyRejectsError(problem)


def correlation_table(results: MetaEvaluation) -> WideTable:
    """Correlations with the mean overall rating: a line for every metric, and the ceiling behind a line."""
    from mentallama.cli.tables import WideTable
    from mentallama.explanation_metrics.human_ratings import OVERALL
    from mentallama.meta_evaluation.results import ALL_FILES, METHODS

    whole = results.groups[ALL_FILES]
    return WideTable(
        "Correlation of metrics and features with the raters' mean of overall",
        ("metric", "rows", METHODS[0], "95 %", *METHODS[1:]),
        tuple(
            (
                f"{metric.title}, fitted to these ratings" if metric.in_sample else metric.title,
                f"{metric.scored:,}",
                *_correlation_cells(metric.aspects[OVERALL]),
            )
            for metric in whole.metrics.values()
        ),
        total=(
            "ceiling: one rater with the others",
            f"{whole.rows:,}",
            *_correlation_cells(whole.agreement[OVERALL].ceiling),
        ),
    )


def _correlation_cells(scores: Mapping[str, CorrelationScore]) -> tuple[str, ...]:
    """The first correlation with its interval, then the others without."""
    first, *others = scores.values()
    return (
        _value_cell(first.value),
        EMPTY_CELL if first.interval is None else " to ".join(f"{end:.2f}" for end in first.interval),
        *(_value_cell(other.value) for other in others),
    )


def _value_cell(value: float | None) -> str:
    return EMPTY_CELL if value is None else f"{value:.2f}"
