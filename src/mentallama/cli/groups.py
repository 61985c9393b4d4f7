"""The groups of commands: help on one line for each, in full, and no summary cut short."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup

CONTEXT_SETTINGS = {"help_option_names": ["-h", "--help"]}
"""Of the application; every command inherits them."""


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
