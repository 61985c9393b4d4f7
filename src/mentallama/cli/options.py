"""Options that several commands share, and the form of their help."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from mentallama.errors import UsageError
from mentallama.records import FORMS, Form

CONTEXT_SETTINGS = {"help_option_names": ["-h", "--help"]}
"""Of the application; every command inherits them."""

RecipePath = Annotated[
    Path, typer.Argument(metavar="RECIPE", help="A recipe, such as recipes/sample-linear.yaml.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Override a key of the recipe, such as data=DIR or jobs=1."
    ),
]
RunFolder = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", help="The run's folder; default: runs/NAME.")
]
TasksFolder = Annotated[
    Path | None, typer.Option("--tasks", metavar="DIR", help="A folder with additional task files.")
]
ReleaseForm = Annotated[
    str, typer.Option("--form", metavar="FORM", help="Form of the release: instruction or completion.")
]

RunRecipe = Callable[[Path, list[str] | None, Path | None, str | None, bool], Path]
"""Runs a recipe: `(recipe, overrides, folder, last stage, retry failed)`, and returns the run's folder."""


def parse_form(name: str) -> Form:
    """The form of this name; raises `UsageError` if there is none."""
    for form in FORMS:
        if form == name:
            return form
    raise UsageError(f"--form {name}: there are {' and '.join(FORMS)}")


class CommandGroup(TyperGroup):
    """A group whose help lists each command with its whole first sentence, wrapped rather than truncated."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - click's signature
        rows = [
            (name, _first_sentence(command.help or ""))
            for name, command in self.commands.items()
            if not command.hidden
        ]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def _first_sentence(text: str) -> str:
    sentence, _, _ = " ".join(text.split()).partition(". ")
    return sentence.removesuffix(".")
