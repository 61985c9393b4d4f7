"""The table of stages, from which commands, recipe keys and the order of a run follow.

To add a stage: write `<stage>/run.py`, `<stage>/stage.py` with its `STAGE`, `config/<stage>.py`, and one line here.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import create_model

from mentallama.check import stage as check
from mentallama.collect import stage as collect
from mentallama.config import Recipe
from mentallama.evaluate import stage as evaluate
from mentallama.explain import stage as explain
from mentallama.pipeline.stage import Stage
from mentallama.predict import stage as predict
from mentallama.report import stage as report
from mentallama.teach import stage as teach
from mentallama.train import stage as train

STAGES: tuple[Stage, ...] = (
    collect.STAGE,
    teach.STAGE,
    check.STAGE,
    train.STAGE,
    predict.STAGE,
    explain.STAGE,
    evaluate.STAGE,
    report.STAGE,
)
"""In the order in which a run executes them."""


def recipe_model(stages: Sequence[Stage] = STAGES) -> type[Recipe]:
    """The recipe's schema with a key for every stage, including stages that `Recipe` does not declare."""
    undeclared = {
        stage.name: (stage.settings | None, None)
        for stage in stages
        if stage.settings is not None and stage.name not in Recipe.model_fields
    }
    return create_model("Recipe", __base__=Recipe, **undeclared) if undeclared else Recipe  # type: ignore[call-overload]


def recipe_stages(recipe: Recipe, stages: Sequence[Stage] = STAGES) -> list[Stage]:
    """The stages that a recipe has a key for, in the order of a run."""
    return [stage for stage in stages if getattr(recipe, stage.name, None) is not None]
