"""Sums, bands and flags of a scale that somebody filled.

Only levels that were given count. An item without a level leaves the sum open, unless the pack's source allows a number
of missing items; nothing is ever guessed from what a post mentions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mentallama.errors import UsageError
from mentallama.safety import SYMPTOM_NOTICE
from mentallama.symptoms.packs import CriterionPack, ScoreRule
from mentallama.text.suggestions import did_you_mean


@dataclass(frozen=True)
class ScaleScore:
    """The sum of some items of a scale.

    `value` is None, and `reason` says why, if too many items are `missing`; `band` is None also where the source
    publishes no bands. `minimum` and `maximum` are the lowest and highest sum.
    """

    value: float | None
    minimum: int
    maximum: int
    band: str | None = None
    missing: tuple[str, ...] = ()
    reason: str | None = None


@dataclass(frozen=True)
class ScaleResult:
    """Sums and flags of a filled scale. A flag is None if its item was not filled."""

    pack: str
    scores: Mapping[str, ScaleScore]
    flags: Mapping[str, bool | None]
    notice: str = SYMPTOM_NOTICE


def score_scale(pack: CriterionPack, filled: Mapping[str, int]) -> ScaleResult:
    """Sum the filled items of a scale.

    Parameters
    ----------
    pack
        The scale, such as `load_packs()["PHQ-9"]`.
    filled
        The number of the level that was given, by item; items that were not filled are left out. Reversed items are
        given as filled: they are reversed here.

    Raises
    ------
    UsageError
        The pack is a list of criteria, there is no such item, or an item has no such level.

    Examples
    --------
    >>> from mentallama.symptoms import find_pack
    >>> result = score_scale(find_pack("PHQ-2"), {"interest": 1, "mood": 2})
    >>> result.scores["total"].value, result.scores["total"].band
    (3, 'at or above the cut-off')
    >>> score_scale(find_pack("PHQ-2"), {"interest": 1}).scores["total"].reason
    'not filled: mood'
    """
    _check_filled(pack, filled)
    flags = {
        name: filled[flag.item] >= flag.minimum if flag.item in filled else None
        for name, flag in pack.flags.items()
    }
    return ScaleResult(
        pack.name, {name: _sum(pack, rule, filled) for name, rule in pack.scores.items()}, flags
    )


def _check_filled(pack: CriterionPack, filled: Mapping[str, int]) -> None:
    if pack.kind != "scale":
        raise UsageError(f"{pack.name} is a list of criteria, and nothing is summed for it")
    numbers = tuple(pack.levels.values())
    for item, number in filled.items():
        if item not in pack.items:
            raise UsageError(f"{pack.name} has no item {item!r}; {did_you_mean(item, pack.items)}")
        if isinstance(number, bool) or number not in numbers:
            levels = ", ".join(map(str, numbers))
            raise UsageError(f"{pack.name}, {item}: there is no level {number!r}; the levels are {levels}")


def _sum(pack: CriterionPack, rule: ScoreRule, filled: Mapping[str, int]) -> ScaleScore:
    names = pack.scored_items(rule)
    lowest, highest = pack.score_range(rule)
    missing = tuple(name for name in names if name not in filled)
    if len(missing) > rule.max_missing:
        return ScaleScore(None, lowest, highest, missing=missing, reason=f"not filled: {', '.join(missing)}")
    numbers = [_points(pack, name, filled[name]) for name in names if name in filled]
    # A missing item counts as the mean of the others, which multiplies their sum.
    value = sum(numbers) * len(names) / len(numbers) if missing else sum(numbers)
    return ScaleScore(value, lowest, highest, _band(rule, value), missing)


def _points(pack: CriterionPack, item: str, number: int) -> int:
    numbers = pack.levels.values()
    return min(numbers) + max(numbers) - number if pack.items[item].reversed else number


def _band(rule: ScoreRule, value: float) -> str | None:
    names = [band.name for band in rule.bands if band.minimum <= value]
    return names[-1] if names else None
