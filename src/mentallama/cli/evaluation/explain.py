"""The command `explain`: the stage of a recipe, and the tests of its evidence in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from mentallama.cli.options import Overrides, RecipePath, RunFolder, RunRecipe
from mentallama.files.markdown import EMPTY_CELL
from mentallama.run_files import FAITHFULNESS_PATH

if TYPE_CHECKING:
    from mentallama.cli.tables import WideTable
    from mentallama.explain.results import FaithfulnessFile, MethodFaithfulness

HEADER = ("set", "method", "answers", "compreh.", "random", "p", "suff.", "random", "p", "token F1")
NOTE = (
    "Comprehensiveness: what the probability of the label loses without the words of the largest weights, higher is "
    "better. Sufficiency: what it loses with these words alone, lower is better. Random: the same for random passages "
    "of these lengths, with the p-value of the difference. Token F1, in percent: against passages that annotators "
    "marked."
)


def add_explain_command(app: typer.Typer, run: RunRecipe, stage_help: str) -> None:
    """Add the command to the application."""

    @app.command(
        name="explain",
        help=f"{stage_help} Runs the recipe up to this stage.",
        epilog="mentallama explain recipes/sample-explain.yaml",
    )
    def command(recipe: RecipePath, overrides: Overrides = None, out: RunFolder = None) -> None:
        from mentallama.cli.console import echo_wrapped
        from mentallama.cli.tables import print_table
        from mentallama.explain.results import FaithfulnessFile
        from mentallama.files.record_files import read_record

        folder = run(recipe, overrides, out, "explain", False)
        found = read_record(folder / FAITHFULNESS_PATH, FaithfulnessFile)
        print_table(faithfulness_table(found))
        echo_wrapped(NOTE)
        typer.echo(str(folder / "explain"))


def faithfulness_table(found: FaithfulnessFile) -> WideTable:
    """A row for each set and method."""
    from mentallama.cli.tables import WideTable

    rows = tuple(
        (name, method, f"{part.rows:,}", *_scores(part.methods[method]))
        for name, part in found.sets.items()
        for method in found.methods
    )
    return WideTable("Faithfulness of evidence", HEADER, rows, n_keys=2)


def _scores(method: MethodFaithfulness) -> tuple[str, ...]:
    against = method.against_matched
    marked = method.plausibility
    return (
        _number(method.comprehensiveness.value),
        _number(method.matched_comprehensiveness.value),
        _p_value(against.comprehensiveness.p_value),
        _number(method.sufficiency.value),
        _number(method.matched_sufficiency.value),
        _p_value(against.sufficiency.p_value),
        EMPTY_CELL if marked is None else f"{100 * marked.token_f1.value:.1f}",
    )


def _number(value: float) -> str:
    return f"{round(value, 3) + 0.0:.3f}"  # the sum makes -0 positive


def _p_value(value: float) -> str:
    return "<0.001" if value < 0.0005 else f"{value:.3f}"
