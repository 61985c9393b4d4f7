"""The paper's results (Table 2: weighted F1 of every set) beside the results of a run."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.resources import files

import yaml

from mentallama.files.markdown import EMPTY_CELL
from mentallama.records import Record


class ModelScores(Record):
    """One model's weighted F1, in percent, by set; sets without a number are left out."""

    name: str
    weighted_f1: dict[str, float]


class PaperResults(Record):
    """The paper's numbers, from `paper_results.yaml`."""

    source: str
    sets: tuple[str, ...]
    """In the paper's order, as the task catalogue spells them."""
    highlighted_model: str
    test: tuple[ModelScores, ...]
    held_out: tuple[ModelScores, ...]

    def highlighted(self, held_out: bool = False) -> ModelScores:
        """The scores that plots show beside those of the run."""
        return next(
            line for line in (self.held_out if held_out else self.test) if line.name == self.highlighted_model
        )


@cache
def load_paper_results() -> PaperResults:
    """Read the paper's numbers."""
    text = (files("mentallama.evaluate") / "paper_results.yaml").read_text(encoding="utf-8")
    return PaperResults.model_validate(yaml.safe_load(text))


def comparison_rows(ours: Sequence[ModelScores], held_out: bool = False) -> tuple[list[str], list[list[str]]]:
    """Table 2 as text: the header, and one row per model, the published ones first and `ours` last.

    `held_out`: results of models that were not trained on the set. Sets that are not in the paper come last.
    """
    paper = load_paper_results()
    models = [*(paper.held_out if held_out else paper.test), *ours]
    sets = list(dict.fromkeys([*paper.sets, *(name for model in ours for name in model.weighted_f1)]))
    if held_out:
        sets = [name for name in sets if any(name in model.weighted_f1 for model in models)]
    return ["", *sets], [
        [model.name, *(format_percent(model.weighted_f1.get(name)) for name in sets)] for model in models
    ]


def format_percent(value: float | None) -> str:
    """A percentage with two decimals, as in the paper.

    >>> format_percent(85.679), format_percent(None)
    ('85.68', '–')
    """
    return EMPTY_CELL if value is None else f"{value:.2f}"
