"""The command `analyze`: one post from an argument or from standard input."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from mentallama.cli.console import echo_json
from mentallama.cli.options import HelpCommand, TasksFolder
from mentallama.cli.setup.completion import complete_models, complete_tasks
from mentallama.errors import MentallamaError, UsageError
from mentallama.safety import NOTICE

RUNS = Path("runs")
"""Where the newest model is looked for."""


class AnalyzeCommand(HelpCommand):
    """Takes a post that begins with a dash, and quotes no part of a post in an error.

    An argument with white space before any `=` is never an option, so it is the post.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        words = [arg for arg in args[: _end_of_options(args)] if _is_dashed_post(arg)]
        if len(words) == 1 and "--" not in args:
            args = [arg for arg in args if arg != words[0]] + ["--", *words]
        remaining: list[str] = []
        try:
            remaining = super().parse_args(ctx, args)
        except Exception as error:
            if getattr(error, "option_name", None) and str(error).startswith("No such option"):
                known = getattr(error, "possibilities", None) or ()
                hint = f" (did you mean {', '.join(sorted(known))}?)" if known else ""
                raise UsageError(
                    f"there is no such option{hint}; a post that begins with a dash goes behind --, "
                    "or through standard input with -"
                ) from None
            if "unexpected extra argument" in str(error):
                raise UsageError("the post is more than one argument; put it in quotation marks") from None
            raise
        return remaining


def _end_of_options(args: list[str]) -> int:
    return args.index("--") if "--" in args else len(args)


def _is_dashed_post(arg: str) -> bool:
    return arg.startswith("-") and any(character.isspace() for character in arg.partition("=")[0])


def add_analyze_command(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(
        cls=AnalyzeCommand,
        epilog='mentallama analyze --task dreaddit "The rent is due and I have not slept in days."\n'
        "mentallama analyze --model linear:runs/sample-linear/train --all --json - < post.txt",
    )(analyze)


def analyze(  # noqa: PLR0913, PLR0917 - one parameter per option
    text: Annotated[str, typer.Argument(metavar="TEXT", help="The post; - reads it from standard input.")],
    task: Annotated[
        str | None,
        typer.Option(
            metavar="TASK",
            help="Ask the questions of this task, such as dreaddit, or one of them, such as MultiWD:social.",
            autocompletion=complete_tasks,
        ),
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Ask every question that the model can answer.")
    ] = False,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="SPEC",
            help="The model, such as linear:runs/NAME/train; default: that of the newest run.",
            autocompletion=complete_models,
        ),
    ] = None,
    evidence: Annotated[
        str | None,
        typer.Option(
            metavar="[none|fast|full]",
            help="Mark what the answer rests on: not at all, by a fast method, or by the most faithful one. "
            "Default: fast where it costs nothing, which is for linear models; otherwise none.",
        ),
    ] = None,
    criteria: Annotated[
        str | None,
        typer.Option(
            metavar="PACK",
            help="Name the criteria that the evidence mentions, such as the items of PHQ-9.",
        ),
    ] = None,
    tasks_folder: TasksFolder = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="A key of predict in a recipe, such as temperature=1."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Analyze one post: label, probability, the post with its evidence marked, and the reason.

    Reads the post and the model; prints the answers and writes nothing. A remote model is sent the post.
    """
    from mentallama.analysts.registry import newest_model
    from mentallama.attribution.opening import open_with_evidence
    from mentallama.cli.predict import predict_overrides
    from mentallama.cli.terminal import named_evidence, print_answers
    from mentallama.predict.ad_hoc import parse_options
    from mentallama.predict.stage import PredictJob, inference_options
    from mentallama.progress import log_to_stderr
    from mentallama.symptoms import find_pack
    from mentallama.tasks import load_tasks

    if task is not None and every:
        raise UsageError("give --task SET or --all, not both")
    pack = None if criteria is None else find_pack(criteria).name
    tasks = load_tasks(tasks_folder)
    if model is None:
        model = newest_model(RUNS)
        typer.echo(f"model: {model}, the newest in {RUNS}/; name another with --model", err=True)
    chosen = {} if evidence is None else {"evidence": evidence}
    settings = parse_options({**predict_overrides(overrides), **chosen})
    job, _ = PredictJob(model, settings, tasks).with_examples((), log_to_stderr)
    options = inference_options(job)
    answers = open_with_evidence(model, options).analyze(read_post(text), task)
    if (
        problem := next((answer.reason for answer in answers if answer.status == "skipped"), None)
    ) is not None:
        raise UsageError(f"{problem}; pass a post, or - to read it from standard input")
    if failed := ", ".join(dict.fromkeys(str(each.reason) for each in answers if each.status == "failed")):
        raise MentallamaError(
            f"the model gave no answer ({failed}); check the model and the options of the request"
        )
    if as_json:
        fields = [answer.model_dump(mode="json", exclude={"post", "model"}) for answer in answers]
        if pack is not None:
            for answer, shown in zip(answers, fields, strict=True):
                shown["criteria"] = [asdict(named) for named in named_evidence(answer, pack)]
        echo_json({"text": answers[0].post, "model": model, "answers": fields, "notice": NOTICE})
    else:
        print_answers(answers, tasks, pack)


def read_post(text: str) -> str:
    """The post of an argument or, for `-`, of standard input. Bytes that are not UTF-8 are replaced."""
    if text != "-":
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    if sys.stdin is None:
        raise UsageError("standard input is closed; pass the post as an argument")
    return sys.stdin.buffer.read().decode("utf-8", "replace").removesuffix("\n")
