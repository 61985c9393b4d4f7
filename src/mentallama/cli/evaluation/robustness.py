"""The command `robustness`: how often a model's labels change where they should not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mentallama.cli.console import echo_wrapped
from mentallama.cli.options import TasksFolder
from mentallama.cli.predict import (
    POSTS,
    PostSets,
    PostSplits,
    QueryForm,
    predict_overrides,
    settings_group,
)
from mentallama.cli.settings_options import GroupedCommand, with_settings_options
from mentallama.cli.setup.completion import complete_models
from mentallama.config import Predict
from mentallama.errors import UsageError

if TYPE_CHECKING:
    from mentallama.robustness.report import RobustnessReport

CHANGES = "Perturbations"

EXAMPLES = """\
mentallama robustness --model linear:runs/imhi-linear/train --data runs/imhi-linear --out robustness
mentallama robustness --model causal:runs/a/train --model causal:runs/b/train --data posts.jsonl.zst --out seeds"""

_NO_OPTION = frozenset(
    {"model", "splits", "extra_body", "system_role", "labels_only", "evidence", "seed", "max_rows_per_set"}
)
"""Keys of predict with an option of their own, or none: no explanation and no evidence is asked for,
since none is compared."""


def add_robustness_command(app: typer.Typer, log: Callable[[str], None]) -> None:
    """Add the command to the application."""

    @app.command(cls=GroupedCommand, epilog=EXAMPLES)
    @with_settings_options(Predict, _NO_OPTION, settings_group)
    def robustness(  # noqa: PLR0913, PLR0917 - one parameter per option
        model: Annotated[
            list[str] | None,
            typer.Option(
                metavar="SPEC",
                autocompletion=complete_models,
                help="The model: linear:DIR, encoder:DIR, causal:DIR_OR_ID, remote:MODEL@URL, …; several are compared "
                "with the first, as models of different training seeds.",
            ),
        ] = None,
        data: Annotated[
            Path | None,
            typer.Option(
                metavar="PATH", help="A file of posts as collect writes it, a run's folder, or the release."
            ),
        ] = None,
        out: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of the results.")] = None,
        split: PostSplits = None,
        sets: PostSets = None,
        limit: Annotated[
            int | None,
            typer.Option(
                metavar="COUNT", min=1, help="Only the first posts of each set.", rich_help_panel=POSTS
            ),
        ] = None,
        perturbation: Annotated[
            list[str] | None,
            typer.Option(
                metavar="NAME",
                help="Only this one: typos, upper, lower, wording-1, wording-2, form, order, negation or seed; may be "
                "repeated; default: all.",
                rich_help_panel=CHANGES,
            ),
        ] = None,
        typo_rate: Annotated[
            float,
            typer.Option(
                metavar="NUMBER",
                min=0.0,
                max=1.0,
                help="Share of the words of four or more letters that get a typing error.",
                rich_help_panel=CHANGES,
            ),
        ] = 0.1,
        seed: Annotated[
            int,
            typer.Option(
                metavar="NUMBER", min=0, help="Seed of typing errors and intervals.", rich_help_panel=CHANGES
            ),
        ] = 7,
        form: QueryForm = None,
        tasks_folder: TasksFolder = None,
        overrides: Annotated[
            list[str] | None,
            typer.Option("--set", metavar="KEY=VALUE", help="Set a key of predict, such as temperature=1."),
        ] = None,
        **options: object,
    ) -> None:
        """Measure how often labels change when the post or the question is changed in a way that should not matter.

        Typing errors, letter case, other words for the question, the order of the answers, the training seed; and
        negated statements, which should change the label. Reads posts as predict does and writes rates with intervals.
        The same command resumes what was interrupted.
        """
        if not model or data is None or out is None:
            raise UsageError("robustness needs --model SPEC, --data PATH and --out DIR")
        from mentallama.predict.ad_hoc import parse_options
        from mentallama.robustness.run import RobustnessCommand, measure_robustness
        from mentallama.tasks import load_tasks

        given = {key: value for key, value in options.items() if value not in (None, [])}
        settings = parse_options({**predict_overrides(overrides), **given, "splits": split or None})
        command = RobustnessCommand(
            tuple(model), settings, data, load_tasks(tasks_folder), tuple(sets or ()), form,
            tuple(perturbation or ()), seed, typo_rate, limit,
        )  # fmt: skip
        print_robustness(measure_robustness(command, out, log))
        typer.echo(str(out))


def print_robustness(report: RobustnessReport) -> None:
    """Print the flip rates and the answers to minimal pairs of every model, and the notice."""
    from mentallama.cli.tables import WideTable, print_table
    from mentallama.robustness.report import (
        FLIP_HEADER,
        NEGATION_GUIDE,
        NEGATION_HEADER,
        READING_GUIDE,
        flip_cells,
        negation_cells,
        obstacles,
    )

    for model in report.models:
        flips = tuple(flip_cells(score) for score in report.flips if score.model == model)
        negation = tuple(negation_cells(score) for score in report.negation if score.model == model)
        if flips:
            print_table(WideTable(model, FLIP_HEADER, flips, n_keys=2))
            echo_wrapped(READING_GUIDE)
        if negation:
            print_table(WideTable(f"{model}: minimal pairs", NEGATION_HEADER, negation, n_keys=2))
            echo_wrapped(NEGATION_GUIDE)
    for line in obstacles(report):
        echo_wrapped(line)
    echo_wrapped(report.notice)
