"""The command `export`: the data of a run in the formats of other tools, one subcommand a format."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mentallama.cli.options import CommandLine, TasksFolder, parse_form
from mentallama.errors import counted, printable
from mentallama.export import EXPORTERS, Exporter


def add_export_command(app: typer.Typer) -> None:
    """Add the command to the application, with a subcommand for each format."""
    formats = CommandLine(
        help="Export data or predictions to another tool. Reads a run, or what it built or trained; writes a "
        "new folder. Splits stay as they are; a README says which terms hold.",
        no_args_is_help=True,
        epilog="mentallama export trl runs/sample-build --out exported",
    )
    for name, exporter in EXPORTERS.items():
        _add_format(formats, name, exporter)
    app.add_typer(formats, name="export")


def _add_format(formats: typer.Typer, name: str, exporter: Exporter) -> None:
    @formats.command(
        name=name,
        help=f"{exporter.description}. Reads FROM, {exporter.reads}; writes a new folder with a README.",
        epilog=f"mentallama export {name} {exporter.example} --out exported",
    )
    def command(
        source: Annotated[Path, typer.Argument(metavar="FROM", help="What to export.")],
        out: Annotated[
            Path,
            typer.Option(
                "--out", metavar="DIR", help="A new folder; an unchanged earlier export is replaced."
            ),
        ],
        form: Annotated[
            str,
            typer.Option(
                "--form", metavar="FORM", help="Form of queries and answers: instruction or completion."
            ),
        ] = "instruction",
        posts: Annotated[
            Path | None,
            typer.Option(
                "--posts",
                metavar="PATH",
                help="For predictions made without a recipe: what --data of predict named.",
            ),
        ] = None,
        text_column: Annotated[
            str | None,
            typer.Option("--text", metavar="COLUMN", help="For a table of predict: the column of the posts."),
        ] = None,
        tasks_folder: TasksFolder = None,
    ) -> None:
        from mentallama.export import export
        from mentallama.export.source import ExportSource
        from mentallama.tasks import load_tasks

        summary = export(
            name, ExportSource(source, load_tasks(tasks_folder), parse_form(form), posts, text_column), out
        )
        for file, _, rows in summary.files:
            typer.echo(printable(f"{out / file}: {counted(rows, 'row')}"))
        typer.echo(printable(f"terms and use: {out / 'README.md'}"))
