"""Sums, bands and flags, against tables worked out by hand from the publications."""

from __future__ import annotations

from pathlib import Path

import pytest

from mentallama.errors import UsageError
from mentallama.safety import SYMPTOM_NOTICE
from mentallama.symptoms import CriterionPack, find_pack, load_packs, score_scale


def fill(pack: CriterionPack, total: int) -> dict[str, int]:
    """Levels 0 to 3 of all items with the given sum: as many items at 3 as it takes, then the rest."""
    filled = {}
    for item in pack.items:
        filled[item] = min(3, total)
        total -= filled[item]
    assert total == 0
    return filled


BANDS = {
    "PHQ-9": [
        (0, "minimal"), (4, "minimal"), (5, "mild"), (9, "mild"), (10, "moderate"), (14, "moderate"),
        (15, "moderately severe"), (19, "moderately severe"), (20, "severe"), (27, "severe"),
    ],
    "PHQ-2": [
        (0, "below the cut-off"), (2, "below the cut-off"), (3, "at or above the cut-off"),
        (6, "at or above the cut-off"),
    ],
    "GAD-7": [
        (0, "minimal"), (4, "minimal"), (5, "mild"), (9, "mild"), (10, "moderate"), (14, "moderate"), (15, "severe"),
        (21, "severe"),
    ],
    "BDI-II": [
        (0, "minimal"), (13, "minimal"), (14, "mild"), (19, "mild"), (20, "moderate"), (28, "moderate"),
        (29, "severe"), (63, "severe"),
    ],
}  # fmt: skip
"""Lowest and highest sum of every band."""


@pytest.mark.parametrize(
    ("name", "total", "band"), [(name, *row) for name, rows in BANDS.items() for row in rows]
)
def test_bands(name: str, total: int, band: str) -> None:
    pack = find_pack(name)
    score = score_scale(pack, fill(pack, total)).scores["total"]
    assert (score.value, score.band, score.minimum, score.maximum) == (total, band, 0, 3 * len(pack.items))


def test_the_table_has_both_ends_of_every_band_of_every_scale_with_levels_from_0_to_3() -> None:
    for name, pack in load_packs().items():
        if set(pack.levels.values()) == {0, 1, 2, 3}:
            minima = [band.minimum for band in pack.scores["total"].bands]
            ends = [minimum - 1 for minimum in minima[1:]] + [3 * len(pack.items)]
            assert sorted([*minima, *ends]) == [total for total, _ in BANDS[name]]
    assert len(BANDS) == 4


INQ_REVERSED = (7, 8, 10, 13, 14, 15)
"""Items of the INQ-15 that are reversed, of 7 to 15, which sum to thwarted belongingness."""


@pytest.mark.parametrize(
    ("level", "burdensomeness", "belongingness"),
    [
        (1, 6, 3 * 1 + 6 * 7),  # six reversed items count 8 - 1
        (4, 24, 3 * 4 + 6 * 4),
        (7, 42, 3 * 7 + 6 * 1),
    ],
)
def test_reversed_items_of_the_inq_15(level: int, burdensomeness: int, belongingness: int) -> None:
    pack = find_pack("INQ-15")
    scores = score_scale(pack, dict.fromkeys(pack.items, level)).scores
    assert scores["perceived burdensomeness"].value == burdensomeness
    assert scores["thwarted belongingness"].value == belongingness
    assert (scores["perceived burdensomeness"].minimum, scores["perceived burdensomeness"].maximum) == (6, 42)
    assert (scores["thwarted belongingness"].minimum, scores["thwarted belongingness"].maximum) == (9, 63)


@pytest.mark.parametrize(
    ("raised", "value", "band"), [(26, 35, "below the cut-off"), (27, 36, "at or above the cut-off")]
)
def test_cut_off_of_thwarted_belongingness(raised: int, value: int, band: str) -> None:
    pack = find_pack("INQ-15")
    filled = {}
    for number in range(7, 16):  # each item adds 0 to 6 to the lowest sum, 9
        points = min(6, raised)
        raised -= points
        filled[f"item {number}"] = 7 - points if number in INQ_REVERSED else 1 + points
    score = score_scale(pack, filled).scores["thwarted belongingness"]
    assert (score.value, score.band) == (value, band)


@pytest.mark.parametrize(
    ("filled", "band"),
    [
        ((1, 1, 1, 1, 1, 6), "below the cut-off"),  # 11
        ((2, 2, 2, 2, 2, 2), "at or above the cut-off"),  # 12
    ],
)
def test_cut_off_of_perceived_burdensomeness(filled: tuple[int, ...], band: str) -> None:
    levels = {f"item {number}": level for number, level in enumerate(filled, 1)}
    assert score_scale(find_pack("INQ-15"), levels).scores["perceived burdensomeness"].band == band


def test_an_item_that_was_not_filled_leaves_the_sum_open() -> None:
    pack = find_pack("PHQ-9")
    result = score_scale(pack, {name: 3 for name in pack.items if name not in {"sleep", "self-harm"}})
    score = result.scores["total"]
    assert (score.value, score.band, score.missing) == (None, None, ("sleep", "self-harm"))
    assert score.reason == "not filled: sleep, self-harm"
    assert result.flags == {"self-harm": None}
    assert result.notice == SYMPTOM_NOTICE


@pytest.mark.parametrize(("level", "raised"), [(0, False), (1, True), (3, True)])
def test_flag_of_the_ninth_item(level: int, raised: bool) -> None:
    assert score_scale(find_pack("PHQ-9"), {"self-harm": level}).flags == {"self-harm": raised}


def test_a_source_may_allow_missing_items() -> None:
    shipped = find_pack("PHQ-9")
    rule = shipped.scores["total"].model_copy(update={"max_missing": 2})
    pack = shipped.model_copy(update={"scores": {"total": rule}})
    filled = dict(zip(pack.items, (1, 1, 1, 1, 1, 1, 2), strict=False))
    # seven items with the sum 8 and two that count as their mean: 8 * 9 / 7 = 10.29
    score = score_scale(pack, filled).scores["total"]
    assert score.value == pytest.approx(72 / 7)
    assert (score.band, score.missing) == ("moderate", ("movement", "self-harm"))
    assert score_scale(pack, dict(list(filled.items())[:6])).scores["total"].value is None


@pytest.mark.parametrize(
    ("pack", "filled", "sentence"),
    [
        ("PHQ-9", {"sleeping": 1}, "PHQ-9 has no item 'sleeping'; did you mean sleep?"),
        ("PHQ-9", {"sleep": 4}, "PHQ-9, sleep: there is no level 4; the levels are 0, 1, 2, 3"),
        ("PHQ-9", {"sleep": True}, "PHQ-9, sleep: there is no level True; the levels are 0, 1, 2, 3"),
        ("INQ-15", {"item 1": 0}, "INQ-15, item 1: there is no level 0; the levels are 1, 2, 3, 4, 5, 6, 7"),
        ("DSM-5-MDD", {}, "DSM-5-MDD is a list of criteria, and nothing is summed for it"),
    ],
)
def test_what_cannot_be_summed(pack: str, filled: dict[str, int], sentence: str) -> None:
    with pytest.raises(UsageError) as error:
        score_scale(find_pack(pack), filled)
    assert str(error.value) == sentence


def test_a_folder_of_packs_overrides_and_extends(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(
        "name: MOOD-1\ntitle: One item\nkind: scale\nabout: today\nsource: ours\nterms: free\nwording: own\n"
        "levels: {no: 0, yes: 1}\nitems: {mood: {text: low mood, symptoms: [depressed-mood]}}\nscores: {total: {}}\n"
    )
    packs = load_packs(tmp_path)
    assert set(packs) == {*load_packs(), "MOOD-1"}
    score = score_scale(find_pack("mood-1", packs), {"mood": 1}).scores["total"]
    assert (score.value, score.band, score.maximum) == (1, None, 1)
