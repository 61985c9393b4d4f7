"""The command `predict`: a table in, a table out; any model on posts of a run; or the stage of a recipe."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from mentallama.cli.options import RunRecipe, TasksFolder, parse_form
from mentallama.cli.settings_options import GroupedCommand, with_settings_options
from mentallama.cli.setup.completion import complete_models, complete_recipes, complete_tasks
from mentallama.config import Predict
from mentallama.config.endpoint import RemoteOptions
from mentallama.errors import UsageError
from mentallama.files.tables.rows import Quoting

STREAM = "-"
STREAM_FORMATS = ("csv", "tsv", "jsonl")
"""Formats of standard input and output."""

QUOTINGS: tuple[Quoting, ...] = get_args(Quoting)

TABLE, POSTS, ANSWERS, REMOTE = "A table", "Posts of a run or of the release", "Answers", "Remote models"
_REMOTE_KEYS = frozenset(RemoteOptions.model_fields) | {
    "scoring", "letter_orders", "max_concurrency", "timeout", "max_attempts", "max_failed_share", "allow_remote",
    "budget",
}  # fmt: skip
_NO_OPTION = frozenset({"model", "splits", "extra_body", "system_role"})
"""Keys with an option of their own, or none: JSON is given with --set, and so is the role of instructions."""

PostSplits = Annotated[
    list[str] | None,
    typer.Option(
        metavar="SPLIT",
        help="train, validation or test; may be repeated; default: test.",
        rich_help_panel=POSTS,
    ),
]
PostSets = Annotated[
    list[str] | None,
    typer.Option(metavar="SET", help="Only posts of this set.", rich_help_panel=POSTS),
]
QueryForm = Annotated[
    str | None,
    typer.Option(
        metavar="FORM",
        help="instruction or completion; default: the form the model was trained on.",
        rich_help_panel=ANSWERS,
    ),
]

EXAMPLES = """\
mentallama predict --model linear:runs/sample-linear/train --data posts.csv --text body --task DR --out labelled.csv
mentallama predict --model linear:runs/sample-linear/train --data runs/sample-linear --out answers
mentallama predict recipes/sample-linear.yaml"""
"""One of each of the three ways to use the command."""


def settings_group(key: str) -> str:
    """The heading of the help under which the option of a key of predict stands."""
    return REMOTE if key in _REMOTE_KEYS else ANSWERS


def predict_overrides(overrides: Sequence[str] | None) -> dict[str, Any]:
    """Settings of predict from `--set KEY=VALUE` without a recipe, such as `temperature=1`; not validated."""
    from mentallama.config.loading.overrides import apply_override

    content: dict[str, Any] = {"predict": {}}
    for override in overrides or ():
        override_in_predict = override.removeprefix("predict.")
        key = re.split(r"[.=]", override_in_predict)[0]
        if key not in set(Predict.model_fields) - {"model", "splits"}:
            raise UsageError(
                f"--set is for recipes and, without one, for keys of predict; {key!r} is none of them"
            )
        apply_override(content, f"predict.{override_in_predict}")
    return dict(content["predict"])


def add_predict_command(app: typer.Typer, run: RunRecipe, log: Callable[[str], None]) -> None:
    """Add the command to the application."""

    @app.command(cls=GroupedCommand, epilog=EXAMPLES)
    @with_settings_options(Predict, _NO_OPTION, settings_group)
    def predict(  # noqa: PLR0913, PLR0917 - one parameter per option
        recipe: Annotated[
            Path | None,
            typer.Argument(
                metavar="RECIPE",
                help="A recipe; without one, use --model, --data and --out.",
                autocompletion=complete_recipes,
            ),
        ] = None,
        model: Annotated[
            str | None,
            typer.Option(
                metavar="SPEC",
                autocompletion=complete_models,
                help="The model: linear:DIR, encoder:DIR, causal:DIR_OR_ID, remote:MODEL@URL, …",
            ),
        ] = None,
        data: Annotated[
            str | None,
            typer.Option(
                metavar="PATH",
                help="A table of your own (.csv, .tsv, .jsonl, .parquet, .xlsx; - for standard input), or a file of "
                "posts as collect writes it, a run's folder, or a folder with the release.",
            ),
        ] = None,
        out: Annotated[
            str | None,
            typer.Option(
                metavar="PATH",
                help="For a table, the table to be written (- for standard output); else a folder; with a recipe, the "
                "run's folder (default: runs/NAME).",
            ),
        ] = None,
        text: Annotated[
            list[str] | None,
            typer.Option(
                metavar="COLUMN",
                help="Column of the texts; several are joined, such as a title and a body. Default: the column called "
                "text, body, post or selftext, if there is one.",
                rich_help_panel=TABLE,
            ),
        ] = None,
        id_column: Annotated[
            str | None,
            typer.Option(
                "--id",
                metavar="COLUMN",
                help="Column that identifies the rows; you are told if it repeats a value.",
                rich_help_panel=TABLE,
            ),
        ] = None,
        task: Annotated[
            list[str] | None,
            typer.Option(
                metavar="TASK",
                autocompletion=complete_tasks,
                help="Ask the questions of this task, such as dreaddit, or one of them, such as MultiWD:social; may be "
                "repeated. Needed unless the model answers a single task.",
                rich_help_panel=TABLE,
            ),
        ] = None,
        wide: Annotated[
            bool,
            typer.Option(
                "--wide",
                help="One row per post, with columns such as dreaddit.stress.label; otherwise one row per post and "
                "question.",
                rich_help_panel=TABLE,
            ),
        ] = False,
        prefix: Annotated[
            str | None,
            typer.Option(
                metavar="TEXT",
                help="Put this before the names of the added columns, such as predicted_.",
                rich_help_panel=TABLE,
            ),
        ] = None,
        limit: Annotated[
            int | None,
            typer.Option(
                metavar="COUNT", min=1, help="Only the first rows, to try it out.", rich_help_panel=TABLE
            ),
        ] = None,
        stream_format: Annotated[
            str | None,
            typer.Option(
                "--format",
                metavar=f"[{'|'.join(STREAM_FORMATS)}]",
                help="Format of standard input and output; default: csv.",
                rich_help_panel=TABLE,
            ),
        ] = None,
        encoding: Annotated[
            str | None,
            typer.Option(
                metavar="NAME",
                help="Encoding of the table, such as cp1252; default: utf-8.",
                rich_help_panel=TABLE,
            ),
        ] = None,
        sheet: Annotated[
            str | None,
            typer.Option(
                metavar="NAME",
                help="Sheet of a workbook; default: the only one with the column of the texts.",
                rich_help_panel=TABLE,
            ),
        ] = None,
        quoting: Annotated[
            str | None,
            typer.Option(
                metavar=f"[{'|'.join(QUOTINGS)}]",
                help="Quotation marks of a delimited table: they enclose cells and are doubled within one (minimal), "
                "or stand after a backslash within one (backslash), or are text (none); default: as it is built.",
                rich_help_panel=TABLE,
            ),
        ] = None,
        split: PostSplits = None,
        sets: PostSets = None,
        every: Annotated[
            bool,
            typer.Option(
                "--all",
                help="Ask all questions that the model answers about every post: of a table, or beside the labelled "
                "ones.",
                rich_help_panel=ANSWERS,
            ),
        ] = False,
        form: QueryForm = None,
        retry_failed: Annotated[bool, typer.Option("--retry", help="Retry calls that failed.")] = False,
        ray: Annotated[
            str | None,
            typer.Option(metavar="ADDRESS", help="Predict on a Ray cluster; auto finds a running one."),
        ] = None,
        tasks_folder: TasksFolder = None,
        overrides: Annotated[
            list[str] | None,
            typer.Option(
                "--set",
                metavar="KEY=VALUE",
                help="Override a key of the recipe; without one, a key of predict, such as temperature=1.",
            ),
        ] = None,
        **options: object,
    ) -> None:
        """Answer questions about posts: a label, its probability and the reason.

        Reads a table of your own and writes it with the answers, row by row, as in the first example; or reads posts
        of a run or of the release and writes predictions into a folder, as in the second; or runs a recipe up to this
        stage. The same command resumes what was interrupted.
        """
        settings = {key: value for key, value in options.items() if value not in (None, [])}
        for_tables = {
            "--text": text, "--id": id_column, "--task": task, "--wide": wide, "--prefix": prefix, "--limit": limit,
            "--format": stream_format, "--encoding": encoding, "--sheet": sheet,
            "--quoting": quoting,
        }  # fmt: skip
        for_posts = {"--split": split, "--sets": sets}
        if recipe is not None:
            others = {
                "--model": model,
                "--data": data,
                "--all": every,
                "--form": form,
                "--tasks": tasks_folder,
            }
            _refuse(
                {**others, **for_posts, **for_tables},
                "predicting without a recipe; in a recipe, use --set KEY=VALUE",
            )
            changes = [f"predict.{key}={json.dumps(value)}" for key, value in settings.items()]
            changes += [f"ray={ray}"] if ray else []
            folder = None if out is None else Path(out)
            run_folder = run(recipe, [*(overrides or ()), *changes], folder, "predict", retry_failed)
            typer.echo(str(run_folder / "predict"))
            return
        if model is None or data is None or out is None:
            raise UsageError("predict needs a recipe, or all of --model SPEC, --data PATH and --out PATH")
        from mentallama.predict.ad_hoc import PredictCommand, parse_options, predict_ad_hoc
        from mentallama.predict.stage import PredictJob
        from mentallama.tasks import load_tasks

        selection = {**predict_overrides(overrides), **settings, "model": model, "splits": split or None}
        job = PredictJob(model, parse_options(selection), load_tasks(tasks_folder), ray)
        if is_table_command(data, for_tables):
            from mentallama.predict.tables.command import TableCommand
            from mentallama.predict.tables.run import predict_table

            _refuse(
                for_posts,
                "posts of a run or of the release; a table has neither splits nor sets, and --task names the questions",
            )
            command = TableCommand(
                job, data, out, tuple(text or ()), id_column, tuple(task or ()), every,
                None if form is None else parse_form(form), wide, prefix or "", limit,
                _parse_stream_format(stream_format), encoding or "utf-8", _parse_quoting(quoting), sheet,
            )  # fmt: skip
            predict_table(command, log)
            if out != STREAM:
                typer.echo(out)
        else:
            _refuse(for_tables, f"a table of your own, and {data} is a folder or a file of posts")
            posts = PredictCommand(job, Path(data), tuple(sets or ()), form, every, retry_failed)
            predict_ad_hoc(posts, Path(out), log)
            typer.echo(out)


def is_table_command(data: str, table_options: Mapping[str, object]) -> bool:
    """Whether `--data` is a user's own table rather than posts as `collect` writes them, a run or the release.

    A file of posts is a table too if an option for tables is given.
    """
    from mentallama.files.tables import is_table
    from mentallama.predict.post_sources import is_file_of_posts

    path = Path(data)
    if data == STREAM or path.is_dir():
        return data == STREAM
    if not path.exists():
        return is_table(path)
    return any(table_options.values()) or not is_file_of_posts(path)


def _parse_stream_format(name: str | None) -> str:
    if name not in {None, *STREAM_FORMATS}:
        raise UsageError(f"--format {name}: standard input and output are one of {', '.join(STREAM_FORMATS)}")
    return name or STREAM_FORMATS[0]


def _parse_quoting(name: str | None) -> Quoting | None:
    for quoting in QUOTINGS:
        if quoting == name:
            return quoting
    if name is None:
        return None
    raise UsageError(f"--quoting {name}: there are {', '.join(QUOTINGS)}")


def _refuse(options: Mapping[str, object], purpose: str) -> None:
    """Raise `UsageError` if one of the options is given, which are for another purpose."""
    given = [name for name, value in options.items() if value]
    if given:
        raise UsageError(f"{given[0]} is for {purpose}")
