"""Criterion packs: the items of a questionnaire or the criteria of a manual, and how filled items are summed.

A pack is one YAML file in `data/` or in a folder of the user's. Each item lists the symptoms of the lexicon
(`lexicon.yaml`) that speak for it, so that a symptom's phrases are spelled once, whatever number of packs refers to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mentallama.errors import UsageError
from mentallama.text.names import FileName

Phrases = tuple[str, ...]

SymptomName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$")]
"""Lower-case words joined by hyphens, such as `depressed-mood`."""


class PackModel(BaseModel):
    """Base of the models of a pack: frozen, unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class PackItem(PackModel):
    """One item of a questionnaire, or one criterion."""

    text: str | None = None
    """Meaning of the item; None in a layout whose wording the user supplies."""
    symptoms: tuple[SymptomName, ...] = ()
    """Symptoms of the lexicon that speak for the item."""
    reversed: bool = False
    """Whether a high level means little of what the scale measures. A reversed item counts lowest + highest - level."""


class Band(PackModel):
    """Name of all sums from `minimum` up to the next band."""

    minimum: int
    name: str


class ScoreRule(PackModel):
    """Sum of some items, and the bands that the source publishes for it."""

    items: tuple[str, ...] = ()
    """Items that are summed; none named: all."""
    bands: tuple[Band, ...] = ()
    bands_source: str | None = None
    """Publication of the bands, where it is not that of the pack."""
    max_missing: int = Field(default=0, ge=0)
    """Most items without a level for which the source still allows a sum; each then counts as the mean of the others.
    0: no sum unless every item is filled."""


class ItemFlag(PackModel):
    """An item that is reported by itself from the level `minimum` on, whatever the sum."""

    item: str
    minimum: int
    meaning: str


class OwnSymptom(PackModel):
    """A symptom that a pack adds to the lexicon, with its phrases by language."""

    meaning: str
    phrases: dict[str, Phrases] = Field(min_length=1)
    """By code of a language; `phrases.py` describes how phrases are written."""
    excluded: dict[str, Phrases] = {}
    """Phrases that contain a phrase of the symptom and do not mean it."""


class CriterionPack(PackModel):
    """A questionnaire (`scale`), or a list of criteria (`criteria`) for which nothing is summed."""

    name: FileName
    title: str
    kind: Literal["scale", "criteria"]
    about: str
    """Period and point of view, such as "over the last two weeks"."""
    source: str
    """Publication that the items and the sums are taken from."""
    terms: str
    """Terms of use of the original wording."""
    wording: Literal["own", "user"]
    """own: items are described in this project's words. user: a layout without wording, which the user supplies."""
    levels: dict[str, int] = {}
    """Levels of every item of a scale with their numbers, from lowest to highest."""
    items: dict[str, PackItem] = Field(min_length=1)
    scores: dict[str, ScoreRule] = {}
    flags: dict[str, ItemFlag] = {}
    symptoms: dict[SymptomName, OwnSymptom] = {}

    @model_validator(mode="after")
    def _is_consistent(self) -> CriterionPack:
        if problem := next(self._problems(), None):
            raise ValueError(problem)
        return self

    def _problems(self) -> Iterator[str]:
        if (self.kind == "scale") != bool(self.levels) or (self.kind == "scale") != bool(self.scores):
            yield "levels and scores: a scale has both, and a list of criteria has neither"
        numbers = list(self.levels.values())
        if self.levels and (len(numbers) < 2 or numbers != sorted(set(numbers))):
            yield "levels: there are at least two, listed from the lowest number to the highest"
        without = [name for name, item in self.items.items() if item.text is None]
        if self.wording == "own" and without:
            yield f"items: {without[0]!r} has no text; only a layout (wording: user) leaves it out"
        for key, rule in self.scores.items():
            yield from self._score_problems(f"scores: {key}", rule)
        for key, flag in self.flags.items():
            if flag.item not in self.items or flag.minimum not in numbers:
                yield f"flags: {key}: there is no item {flag.item!r}, or no level {flag.minimum}"

    def _score_problems(self, where: str, rule: ScoreRule) -> Iterator[str]:
        if unknown := [name for name in rule.items if name not in self.items]:
            yield f"{where}: there is no item {unknown[0]!r}"
        lowest, highest = self.score_range(rule)
        minima = [band.minimum for band in rule.bands]
        if minima and (minima[0] != lowest or minima[-1] > highest):
            yield f"{where}: bands begin at the lowest sum, {lowest}, and none above the highest, {highest}"
        if any(second <= first for first, second in pairwise(minima)):
            yield f"{where}: bands are listed from the lowest to the highest"
        if rule.max_missing >= len(rule.items or self.items):
            yield f"{where}: max_missing leaves no item that must be filled"

    def scored_items(self, rule: ScoreRule) -> tuple[str, ...]:
        """The items that a rule sums."""
        return rule.items or tuple(self.items)

    def score_range(self, rule: ScoreRule) -> tuple[int, int]:
        """The lowest and the highest sum of a rule."""
        count, numbers = len(self.scored_items(rule)), self.levels.values()
        return count * min(numbers, default=0), count * max(numbers, default=0)

    @property
    def is_layout(self) -> bool:
        """Whether the wording of an item is left to the user."""
        return any(item.text is None for item in self.items.values())

    def item_texts(self) -> Mapping[str, str]:
        """The meaning of each item.

        Raises
        ------
        UsageError
            The pack is a layout, and the user has not supplied its wording.
        """
        if self.is_layout:
            raise UsageError(
                f"{self.name} is a layout without the wording of its items, whose terms do not allow it here: "
                f"{self.terms} Copy its file into a folder of your own and give each item a `text`."
            )
        return {name: item.text or "" for name, item in self.items.items()}

    def items_of(self, symptom: str) -> tuple[str, ...]:
        """The items that a symptom speaks for."""
        return tuple(name for name, item in self.items.items() if symptom in item.symptoms)
