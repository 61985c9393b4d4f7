"""The stages of the way, each as a function of the run's folder: what it reads, and its work.

`stages.py` runs them. Everything heavy is imported by the work that needs it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mentallama.check.stage import check, check_human_inputs, check_inputs, check_notes
from mentallama.collect.stage import collect, collect_inputs
from mentallama.config import Recipe
from mentallama.evaluate.stage import evaluate, evaluate_inputs, report, report_inputs, report_settings
from mentallama.pipeline.stage import Stage
from mentallama.predict.stage import (
    CACHE_EXCLUDED_SETTINGS,
    analyst_spec,
    delete_journals,
    predict,
    predict_inputs,
    predict_notes,
)
from mentallama.prompts import PROMPTS_VERSION
from mentallama.teach.stage import teach, teach_inputs, teach_notes
from mentallama.train.stage import train, train_inputs

CACHE_KEY_EXCLUDES: dict[str, Any] = {
    "teach": {
        "teacher": {
            "__all__": {
                "key_env_var",
                "input_price",
                "output_price",
                "requests_per_minute",
                "tokens_per_minute",
            }
        },
        **dict.fromkeys(
            (
                "max_concurrency",
                "timeout",
                "max_attempts",
                "budget",
                "allow_remote",
                "ledger",
                "use_batch_api",
            ),
            True,
        ),
        "examples": True,  # its content is an input
    },
    "predict": dict.fromkeys((*CACHE_EXCLUDED_SETTINGS, "allow_remote"), True),
    "train": dict.fromkeys(("checkpoint_minutes", "device", "max_batch_tokens"), True),
}
"""Settings that change how a stage gets its results, not the results."""


def cache_key_settings(name: str, recipe: Recipe) -> dict[str, Any]:
    """The settings that a stage's results follow from."""
    if name == "report":
        return report_settings(recipe)
    settings = dict(getattr(recipe, name).model_dump(mode="json", exclude=CACHE_KEY_EXCLUDES.get(name)))
    return settings | {"prompts": PROMPTS_VERSION} if name == "teach" else settings


def analyst_kind(name: str, recipe: Recipe, folder: Path) -> str:
    """The kind of analyst that a stage trains or asks; of all other stages the default, which needs no torch."""
    if name == "train" and recipe.train is not None:
        return recipe.train.analyst
    return analyst_spec(recipe, folder).partition(":")[0] if name == "predict" else "linear"


STAGE_NOTES: dict[str, Callable[[Path], Iterator[str]]] = {
    "teach": teach_notes,
    "check": check_notes,
    "predict": predict_notes,
}
"""What is said of a stage's results, also when they were up to date."""

STAGE_REGISTRY: dict[str, Stage] = {
    "collect": Stage(collect_inputs, collect),
    "teach": Stage(teach_inputs, teach),
    "check": Stage(check_inputs, check, check_human_inputs),
    "train": Stage(train_inputs, train),
    "predict": Stage(predict_inputs, predict, on_done=delete_journals),
    "evaluate": Stage(evaluate_inputs, evaluate),
    "report": Stage(report_inputs, report),
}
"""The stages by name, in the order of the way."""
