"""The paper's results (Table 2): weighted F1 of every set."""

from __future__ import annotations

from collections.abc import Collection
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
    text = (files("mentallama.evaluate.published") / "paper_results.yaml").read_text(encoding="utf-8")
    return PaperResults.model_validate(yaml.safe_load(text))


def in_paper_order(names: Collection[str]) -> list[str]:
    """Names of sets in the paper's order; those that are not in the paper come last."""
    paper = load_paper_results().sets
    return [*(name for name in paper if name in names), *(name for name in names if name not in paper)]


def format_percent(value: float | None) -> str:
    """A percentage with two decimals, as in the paper.

    >>> format_percent(85.679), format_percent(None)
    ('85.68', '–')
    """
    return EMPTY_CELL if value is None else f"{value:.2f}"
