"""The schema of criterion packs, and the packs of the package."""

from __future__ import annotations

from pathlib import Path

import pytest

from mentallama.errors import DataError, UsageError
from mentallama.symptoms import find_pack, load_packs
from mentallama.tasks.answer_kinds import name_problems

PACK = """\
name: MINI
title: Two items
kind: scale
about: today
source: ours
terms: free
wording: own
levels: {none: 0, some: 1, much: 2}
items:
  sleep: {text: sleeping badly, symptoms: [insomnia]}
  mood: {text: low mood, symptoms: [depressed-mood]}
scores:
  total: {bands: [{minimum: 0, name: low}, {minimum: 3, name: high}]}
flags: {sleep: {item: sleep, minimum: 2, meaning: sleeps badly}}
"""


def test_sizes_of_the_packs() -> None:
    sizes = {name: len(pack.items) for name, pack in load_packs().items()}
    assert sizes == {
        "BDI-II": 21, "DSM-5-MDD": 9, "DSM-5-PTSD": 21, "GAD-7": 7, "INQ-15": 15, "PHQ-2": 2, "PHQ-9": 9,
    }  # fmt: skip


def test_every_pack_names_its_source_and_terms_and_layouts_have_no_wording() -> None:
    for pack in load_packs().values():
        assert len(pack.source) > 40
        assert len(pack.terms) > 40
        assert pack.is_layout == (pack.wording == "user")
        assert {item.text is None for item in pack.items.values()} == {pack.is_layout}
    assert {name for name, pack in load_packs().items() if pack.is_layout} == {"BDI-II", "INQ-15"}


def test_items_and_levels_can_stand_in_the_answer_of_a_task() -> None:
    for pack in load_packs().values():
        assert name_problems({"items": pack.items, "levels": pack.levels}) is None


def test_the_wording_of_a_layout_is_asked_for() -> None:
    with pytest.raises(UsageError, match=r"INQ-15 is a layout .* give each item a `text`"):
        find_pack("INQ-15").item_texts()
    assert find_pack("PHQ-2").item_texts() == {
        name: find_pack("PHQ-9").item_texts()[name] for name in ("interest", "mood")
    }


def test_items_that_a_symptom_speaks_for() -> None:
    assert find_pack("PHQ-9").items_of("insomnia") == ("sleep",)
    assert find_pack("DSM-5-PTSD").items_of("guilt") == ("D4",)
    assert find_pack("PHQ-9").items_of("startle") == ()


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("kind: scale", "kind: criteria", "a scale has both, and a list of criteria has neither"),
        ("{none: 0, some: 1, much: 2}", "{none: 0, some: 2, much: 1}", "from the lowest number to the highest"),
        ("{text: low mood, ", "{", "'mood' has no text"),
        ("{minimum: 0, name: low}", "{minimum: 1, name: low}", "bands begin at the lowest sum, 0"),
        ("{minimum: 3, name: high}", "{minimum: 5, name: high}", "none above the highest, 4"),
        ("{minimum: 3, name: high}", "{minimum: 0, name: high}", "bands are listed from the lowest to the highest"),
        ("total: {", "total: {items: [appetite], ", "there is no item 'appetite'"),
        ("total: {", "total: {max_missing: 2, ", "max_missing leaves no item that must be filled"),
        ("item: sleep,", "item: appetite,", "there is no item 'appetite'"),
        ("minimum: 2, meaning", "minimum: 3, meaning", "no level 3"),
        ("[insomnia]", "[Insomnia]", "items.sleep.symptoms"),
        ("terms: free", "term: free", "did you mean terms?"),
    ],
)  # fmt: skip
def test_faults_of_a_pack(tmp_path: Path, old: str, new: str, problem: str) -> None:
    assert PACK.count(old) == 1
    path = tmp_path / "mini.yaml"
    path.write_text(PACK.replace(old, new))
    with pytest.raises(DataError) as error:
        load_packs(tmp_path)
    assert str(error.value).startswith(f"{path}: not a criterion pack: ")
    assert problem in str(error.value)


def test_faults_of_a_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no such folder of criterion packs"):
        load_packs(tmp_path / "none")
    with pytest.raises(UsageError, match="there is no criterion pack"):
        load_packs(tmp_path)
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text(PACK)
    with pytest.raises(DataError, match=r"b\.yaml: the pack MINI is in a\.yaml already"):
        load_packs(tmp_path)


def test_an_unknown_pack() -> None:
    with pytest.raises(UsageError, match=r"named 'PHQ9'; did you mean PHQ-9\?"):
        find_pack("PHQ9")
