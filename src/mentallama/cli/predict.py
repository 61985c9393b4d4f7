"""The command `predict`: the stage of a recipe, or any model on any posts without one."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from mentallama.cli.options import RunRecipe, TasksFolder
from mentallama.errors import UsageError


def predict_overrides(overrides: Sequence[str] | None) -> dict[str, Any]:
    """Settings of predict from `--set KEY=VALUE` without a recipe, such as `temperature=1`; not validated."""
    from mentallama.config import Predict
    from mentallama.config.overrides import apply_override

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

    @app.command(
        epilog="mentallama predict --model linear:runs/sample-linear/train --data runs/sample-linear --out answers"
    )
    def predict(  # noqa: PLR0913, PLR0917 - one parameter per option
        recipe: Annotated[
            Path | None,
            typer.Argument(metavar="RECIPE", help="A recipe; without one, use --model, --data and --out."),
        ] = None,
        model: Annotated[
            str | None,
            typer.Option(
                metavar="SPEC", help="The analyst: causal:DIR_OR_ID, encoder:DIR, remote:MODEL@URL, …"
            ),
        ] = None,
        data: Annotated[
            Path | None,
            typer.Option(
                metavar="PATH", help="A file of posts, a run's folder, or a folder with the release."
            ),
        ] = None,
        split: Annotated[
            list[str] | None, typer.Option(metavar="SPLIT", help="train, validation or test; default: test.")
        ] = None,
        sets: Annotated[list[str] | None, typer.Option(metavar="SET", help="Only posts of this set.")] = None,
        every: Annotated[
            bool,
            typer.Option("--all", help="Ask all questions about every post, not only the labelled ones."),
        ] = False,
        form: Annotated[
            str | None,
            typer.Option(
                metavar="FORM", help="instruction or completion; default: the form the model was trained on."
            ),
        ] = None,
        mode: Annotated[
            str | None,
            typer.Option(
                metavar="MODE",
                help="answer-first (the most likely written answer; default) or free (parse the text).",
            ),
        ] = None,
        labels_only: Annotated[bool, typer.Option("--labels-only", help="Generate no explanations.")] = False,
        template: Annotated[str | None, typer.Option(metavar="TEMPLATE", help="auto, chat or plain.")] = None,
        max_new_tokens: Annotated[
            int | None, typer.Option(metavar="COUNT", help="Longest answer, in tokens.")
        ] = None,
        max_batch_tokens: Annotated[
            int | None, typer.Option(metavar="COUNT", help="Tokens in one batch, padding counted.")
        ] = None,
        device: Annotated[str | None, typer.Option(metavar="DEVICE", help="auto, cpu or cuda.")] = None,
        dtype: Annotated[str | None, typer.Option(metavar="DTYPE", help="auto, float32 or bfloat16.")] = None,
        allow_remote: Annotated[
            list[str] | None,
            typer.Option(
                metavar="SET", help="Send posts of this set to a remote model despite its data agreement."
            ),
        ] = None,
        max_failed_share: Annotated[
            float | None,
            typer.Option(metavar="SHARE", help="Largest share of calls that may fail without exit code 3."),
        ] = None,
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
        out: Annotated[
            Path | None,
            typer.Option(metavar="DIR", help="Folder of the run (default: runs/NAME) or of the predictions."),
        ] = None,
    ) -> None:
        """Predict: run a recipe up to this stage, or apply any model to any posts. Reads posts; writes predictions."""
        settings = {
            "mode": mode,
            "labels_only": labels_only or None,
            "template": template,
            "max_new_tokens": max_new_tokens,
            "max_batch_tokens": max_batch_tokens,
            "device": device,
            "dtype": dtype,
            "allow_remote": allow_remote or None,
            "max_failed_share": max_failed_share,
        }
        settings = {key: value for key, value in settings.items() if value is not None}
        if recipe is not None:
            _refuse_without_recipe(
                {
                    "--model": model,
                    "--data": data,
                    "--split": split,
                    "--sets": sets,
                    "--all": every,
                    "--form": form,
                    "--tasks": tasks_folder,
                }
            )
            options = [f"predict.{key}={json.dumps(value)}" for key, value in settings.items()]
            options += [f"ray={ray}"] if ray else []
            run_folder = run(recipe, [*(overrides or ()), *options], out, "predict", retry_failed)
            typer.echo(str(run_folder / "predict"))
            return
        if model is None or data is None or out is None:
            raise UsageError("predict needs a recipe, or all of --model SPEC, --data PATH and --out DIR")
        from mentallama.predict.ad_hoc import PredictCommand, parse_options, predict_ad_hoc
        from mentallama.predict.stage import PredictJob
        from mentallama.tasks import load_tasks

        selection = {**predict_overrides(overrides), **settings, "model": model, "splits": split or None}
        job = PredictJob(model, parse_options(selection), load_tasks(tasks_folder), ray)
        predict_ad_hoc(PredictCommand(job, data, tuple(sets or ()), form, every, retry_failed), out, log)
        typer.echo(str(out))


def _refuse_without_recipe(options: Mapping[str, object]) -> None:
    """Raise `UsageError` if an option is given that only predicting without a recipe takes."""
    given = [name for name, value in options.items() if value]
    if given:
        raise UsageError(f"{given[0]} is for predicting without a recipe; in a recipe, use --set KEY=VALUE")
