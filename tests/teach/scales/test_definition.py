"""The scale of a question: the task's own items, or a criterion pack."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from mentallama.config import Teach
from mentallama.config.teach import ScaleSettings
from mentallama.errors import UsageError
from mentallama.tasks import find_task
from mentallama.teach.scales.definition import chosen_pack, question_scales
from tests.factories.answer_kinds import task_of_kind

OWN_PACK = """
name: rest
title: a made-up scale of rest
kind: scale
about: how often, this week
source: made up
terms: MIT
wording: own
levels: {not at all: 0, several days: 1, nearly every day: 2}
items: {sleep: {text: trouble sleeping}, energy: {text: little energy}}
scores: {total: {}}
"""


def test_a_task_of_kind_scale_has_its_own_items() -> None:
    task = task_of_kind("scale")
    (found,) = question_scales({task.set: task}, ScaleSettings()).values()
    assert found.scale.items == {"sleep": "trouble sleeping", "energy": "little energy"}
    assert found.scale.levels == {"not at all": 0, "several days": 1, "nearly every day": 2}
    assert "Judge from the words of the post. What does the post show?" in found.scale.description
    assert found.pack is None


def test_a_pack_sums_a_task_of_the_same_items_and_levels(tmp_path: Path) -> None:
    (tmp_path / "rest.yaml").write_text(OWN_PACK, encoding="utf-8")
    settings = ScaleSettings(pack="rest", packs=tmp_path)
    task = task_of_kind("scale")
    assert question_scales({task.set: task}, settings)[task.set, "about"].pack is not None
    other = task_of_kind("scale", items={"sleep": "trouble sleeping", "appetite": "no appetite"})
    with pytest.raises(UsageError, match="a scale of its own, with other items or levels than rest"):
        question_scales({other.set: other}, settings)
    both = question_scales({other.set: other, "DR": find_task("DR")}, settings)
    assert [found.pack is None for found in both.values()] == [True, False]


def test_a_question_of_another_kind_takes_the_pack() -> None:
    found = question_scales({"DR": find_task("DR")}, ScaleSettings(pack="phq-9"))["DR", "depression"]
    assert (found.scale.name, len(found.scale.items), list(found.scale.levels.values())) == (
        "PHQ-9",
        9,
        [0, 1, 2, 3],
    )


@pytest.mark.parametrize(
    ("pack", "part"),
    [
        ("PHQ9", "did you mean PHQ-9"),
        ("DSM-5-MDD", "is a list of criteria, without levels to fill"),
        ("INQ-15", "is a layout without the wording of its items"),
    ],
)
def test_packs_that_cannot_be_filled(pack: str, part: str) -> None:
    with pytest.raises(UsageError, match=part):
        chosen_pack(ScaleSettings(pack=pack))


REMOTE = "remote:m@http://127.0.0.1:8000/v1"


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ({"teacher": REMOTE, "scale": {"pack": "PHQ-9"}}, "a scale is filled with method: item-by-item"),
        ({"teacher": REMOTE, "method": "item-by-item"}, "use prompt: zero-shot"),
        ({"teacher": "embedded", "method": "item-by-item", "prompt": "zero-shot"}, "embedded is none"),
        (
            {"teacher": REMOTE, "method": "item-by-item", "prompt": "zero-shot", "use_batch_api": True},
            "which batch files do not allow",
        ),
        (
            {
                "teacher": REMOTE,
                "method": "item-by-item",
                "prompt": "zero-shot",
                "scale": {"checker": "embedded"},
            },
            "embedded checks nothing",
        ),
        (
            {
                "teacher": REMOTE,
                "method": "item-by-item",
                "prompt": "zero-shot",
                "scale": {"checker": REMOTE},
            },
            "the checker is a teacher too; leave it out",
        ),
        (
            {
                "teacher": {"spec": REMOTE, "input_price": 1, "output_price": 1},
                "method": "item-by-item",
                "prompt": "zero-shot",
                "budget": 3,
                "scale": {"checker": "remote:other@http://127.0.0.1:8000/v1"},
            },
            "a budget needs input_price and output_price of remote:other",
        ),
        ({"teacher": "scripted:"}, "'scripted:' is not a teacher"),
    ],
)
def test_settings_that_do_not_go_together(settings: dict[str, Any], part: str) -> None:
    with pytest.raises(ValidationError, match=part):
        Teach.model_validate(settings)
