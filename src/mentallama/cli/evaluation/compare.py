"""The command `compare`: any number of systems side by side, from runs, scores and folders of outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mentallama.cli.options import ReleaseForm, TasksFolder, parse_form
from mentallama.errors import UsageError
from mentallama.records import Form
from mentallama.tasks import Task

if TYPE_CHECKING:
    from mentallama.cli.tables import WideTable
    from mentallama.report.comparison.comparison import Comparison
    from mentallama.report.comparison.systems import ScoredSystem

SCORES_FOLDER = "scores"
"""Subfolder of the page with the scores of outputs, by system."""


def add_compare_command(app: typer.Typer) -> None:
    """Add the command to the application."""

    @app.command(
        epilog="mentallama compare runs/imhi-linear runs/imhi-encoder --out comparison\n"
        "mentallama compare runs/imhi-linear my-outputs --benchmark data/release --baseline imhi-linear"
    )
    def compare(  # noqa: PLR0913, PLR0917 - one parameter per option
        systems: Annotated[
            list[Path],
            typer.Argument(
                metavar="SYSTEM",
                help="Folders: runs, scores that evaluate --out wrote, or a model's outputs (SET.csv).",
            ),
        ],
        benchmark: Annotated[
            Path | None,
            typer.Option(metavar="DIR", help="The published release, which folders of outputs answer."),
        ] = None,
        form: ReleaseForm = "instruction",
        baseline: Annotated[
            str | None,
            typer.Option(
                metavar="NAME", help="The system that the others are compared with; default: the first."
            ),
        ] = None,
        shared_rows: Annotated[
            bool,
            typer.Option(
                "--shared-rows", help="Score every set on the rows that all systems with the set share."
            ),
        ] = False,
        tasks_folder: TasksFolder = None,
        out: Annotated[
            Path, typer.Option("--out", metavar="DIR", help="The page's folder; default: runs/compare.")
        ] = Path("runs/compare"),
    ) -> None:
        """Compare any number of systems: labels, explanations, intervals, tests, and answers without a label.

        Reads runs, scores and folders of outputs, which are scored into a subfolder; writes index.html and report.md,
        without posts, every table and figure in files/, and comparison.json, and prints the scores. Systems are
        compared only on the same rows. Outputs are scored by the metrics of explanations that need no model; for others
        give the folder that evaluate --explanation-metric wrote.
        """
        from mentallama.cli.tables import print_table
        from mentallama.report.comparison.comparison import read_comparison
        from mentallama.report.comparison.systems import distinct_names
        from mentallama.report.run import write_comparison
        from mentallama.tasks import load_tasks

        tasks = load_tasks(tasks_folder)
        names = distinct_names(systems)
        comparison = read_comparison(
            _scored_folders(systems, names, benchmark, parse_form(form), tasks, baseline, out),
            tasks,
            names=names,
            baseline=baseline,
            shared_only=shared_rows,
        )
        page = write_comparison(comparison, out)
        print_table(score_table(comparison))
        print_table(right_reason_table(comparison))
        typer.echo(str(page))


def _scored_folders(  # noqa: PLR0913, PLR0917
    systems: Sequence[Path],
    names: Sequence[str],
    benchmark: Path | None,
    form: Form,
    tasks: Mapping[str, Task],
    baseline: str | None,
    out: Path,
) -> list[Path]:
    """The folders with the scores of the systems; outputs are scored, once all folders were looked at."""
    from mentallama.evaluate.run import evaluate_responses
    from mentallama.report.comparison.comparison import check_names
    from mentallama.report.comparison.systems import system_kind

    check_names(names, baseline)
    kinds = [system_kind(folder, tasks) for folder in systems]
    unscored = [folder for folder, kind in zip(systems, kinds, strict=True) if kind == "outputs"]
    if unscored and benchmark is None:
        raise UsageError(
            f"{unscored[0]}: this folder holds a model's outputs, which are scored against the published release; name "
            "it with --benchmark DIR"
        )
    folders = []
    for folder, name in zip(systems, names, strict=True):
        if benchmark is None or folder not in unscored:
            folders.append(folder)
        else:
            folders.append(out / SCORES_FOLDER / name)
            evaluate_responses(benchmark, form, folder, folders[-1], tasks=tasks)
    return folders


def score_table(comparison: Comparison) -> WideTable:
    """Weighted F1: a line for every set and selection of rows, a column for every system."""
    return _system_table(
        comparison,
        "Weighted F1; systems in one line were scored on the same rows",
        lambda system, name: system.scores.sets[name].weighted_f1,
    )


def right_reason_table(comparison: Comparison) -> WideTable:
    """The share of all answers with the right label for a right reason, in the lines of the labels."""

    def share(system: ScoredSystem, name: str) -> float | None:
        explained = (system.scores.explanation_metrics or {}).get(name)
        return None if explained is None or explained.right_reason is None else explained.right_reason.share

    return _system_table(comparison, "Right label for a right reason, percent of all answers", share)


def _system_table(
    comparison: Comparison, title: str, value: Callable[[ScoredSystem, str], float | None]
) -> WideTable:
    """`value` is of a system and the name of a set that it was scored on."""
    from mentallama.cli.tables import WideTable
    from mentallama.evaluate.published.paper_results import format_percent

    rows = tuple(
        (
            comparison.set_name(group.set),
            f"{group.n:,}",
            *(
                format_percent(value(system, group.set) if system in group else None)
                for system in comparison.systems
            ),
        )
        for groups in comparison.groups.values()
        for group in groups
    )
    header = ("set", "rows", *(system.name for system in comparison.systems))
    return WideTable(title, header, rows, n_keys=2)
