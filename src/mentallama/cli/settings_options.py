"""Options of a command that are generated from a section of a recipe, and help that lists options in groups."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from mentallama.cli.options import HelpCommand, help_record, write_groups


class GroupedCommand(HelpCommand):
    """A command whose help lists its options under the headings that they name as `rich_help_panel`, in their order."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        groups: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
        for param in self.get_params(ctx):
            if (record := help_record(param, ctx)) is not None:
                is_argument = param.param_type_name == "argument"
                title = getattr(param, "rich_help_panel", None) or ("Arguments" if is_argument else "Options")
                groups.setdefault(title, []).append(record)
        write_groups(groups, formatter)


def with_settings_options(
    settings: type[BaseModel], exclude: Collection[str], groups: Callable[[str], str]
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorator that gives a command an option for each key of a section, instead of its `**settings`.

    The options have the names of the keys with dashes, and the docstrings of the keys as help. The command receives
    None where an option is not given, so that the section's own defaults hold.

    Parameters
    ----------
    exclude
        Keys that get no option.
    groups
        The heading under which the help lists the option of a key.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = [
            param
            for param in inspect.signature(command, eval_str=True).parameters.values()
            if param.kind is not inspect.Parameter.VAR_KEYWORD
        ]
        generated = [
            _parameter(name, field, groups(name))
            for name, field in settings.model_fields.items()
            if name not in exclude
        ]
        command.__signature__ = inspect.Signature([*own, *generated])  # type: ignore[attr-defined]
        return command

    return decorate


def _parameter(name: str, field: FieldInfo, group: str) -> inspect.Parameter:
    type_, metavar = _option_type(field.annotation)
    option = typer.Option(
        f"--{name.replace('_', '-')}",
        metavar=metavar,
        help=" ".join((field.description or "").split()),
        rich_help_panel=group,
        show_default=False,
    )
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[type_, option],
    )


def _option_type(annotation: Any) -> tuple[Any, str | None]:
    """The type of an option and its placeholder in the help; values are checked with the section as a whole."""
    origin = get_origin(annotation)
    if origin is Literal:
        return str | None, f"[{'|'.join(get_args(annotation))}]"
    if origin is tuple:
        return list[str] | None, "PATH" if Path in get_args(annotation) else "NAME"
    if origin is Annotated:
        return _option_type(get_args(annotation)[0])
    if type(None) in get_args(annotation):
        return _option_type(next(part for part in get_args(annotation) if part is not type(None)))
    types: dict[Any, tuple[Any, str | None]] = {
        bool: (bool | None, None),
        int: (int | None, "COUNT"),
        float: (float | None, "NUMBER"),
        str: (str | None, "NAME"),
    }
    return types[annotation]
