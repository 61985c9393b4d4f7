"""Options that several commands share, and the form of their help."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from mentallama.cli.setup.completion import complete_recipes
from mentallama.errors import UsageError
from mentallama.program import PROGRAM, command_line
from mentallama.records import FORMS, Form

CONTEXT_SETTINGS = {"help_option_names": ["-h", "--help"]}
"""Of the application; every command inherits them."""

RecipePath = Annotated[
    Path,
    typer.Argument(
        metavar="RECIPE",
        help="A recipe, such as recipes/sample-linear.yaml.",
        autocompletion=complete_recipes,
    ),
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


_NO_BRACES = str.maketrans("", "", "{}")
"""Some versions of typer put required arguments into braces."""


class HelpCommand(TyperCommand):
    """A command whose help names arguments by their metavars alone and ends with examples, one a line of its epilog.

    Examples begin with the name of the program; the help shows it as it was called, so that they can be typed as they
    stand.
    """

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        pieces = (piece.translate(_NO_BRACES) for piece in super().collect_usage_pieces(ctx))
        return [piece.replace("......", "...") for piece in pieces]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        records: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
        for param in self.get_params(ctx):
            if (record := help_record(param, ctx)) is not None:
                records["Arguments" if param.param_type_name == "argument" else "Options"].append(record)
        write_groups(records, formatter)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - click's signature
        write_examples(self.epilog, formatter)


def help_record(param: Any, ctx: Any) -> tuple[str, str] | None:
    """Name and help of a parameter; an argument is named by its metavar alone. None if it is hidden."""
    record = param.get_help_record(ctx)
    if record is None:
        return None
    return (param.metavar or record[0] if param.param_type_name == "argument" else record[0]), record[1]


def write_groups(groups: Mapping[str, list[tuple[str, str]]], formatter: Any) -> None:
    """Write parameters under their headings; a group without any is left out."""
    for title, rows in groups.items():
        if rows:
            with formatter.section(title):
                formatter.write_dl(rows)


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

    def format_epilog(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - click's signature
        write_examples(self.epilog, formatter)


class CommandLine(typer.Typer):
    """A typer application whose commands are `HelpCommand`s, and whose groups are `CommandGroup`s."""

    def __init__(self, **settings: Any) -> None:
        defaults = {"cls": CommandGroup, "rich_markup_mode": None}
        super().__init__(**(defaults | settings))

    def command(self, name: str | None = None, **settings: Any) -> Callable[..., Any]:
        return super().command(name, **({"cls": HelpCommand} | settings))


def write_examples(epilog: str | None, formatter: Any) -> None:
    """Write the commands of an epilog, one on each line, as they can be typed. Long ones are not wrapped."""
    lines = (epilog or "").splitlines()
    commands = [line for line in lines if line.startswith(PROGRAM)]
    if commands:
        with formatter.section("Example" if len(commands) == 1 else "Examples"):
            for line in lines:
                typed = command_line(line.removeprefix(PROGRAM).lstrip()) if line in commands else line
                formatter.write(f"{' ' * formatter.current_indent}{typed}\n")


def _first_sentence(text: str) -> str:
    sentence, _, _ = " ".join(text.split()).partition(". ")
    return sentence.removesuffix(".")
