"""The page of a task and its lines for a terminal, for every kind of answer."""

from __future__ import annotations

import pytest

from mentallama.cli.catalogue import task_lines
from mentallama.tasks import find_task
from mentallama.tasks.task_page import task_page
from tests.factories.answer_kinds import task_of_kind


@pytest.mark.parametrize(
    ("kind", "shown"),
    [
        (
            "ordinal",
            ["ordinal, one of several ordered levels", "| moderate | 2 | The post shows moderate. |"],
        ),
        (
            "multi",
            [
                "multi, any number of labels, also none",
                "| The post shows: {answer}. | {answer} |",
                "| sleep |",
            ],
        ),
        (
            "spans",
            [
                "spans, quotations of the post, each with a type",
                "| Type |",
                "| low mood | wording of low mood |",
            ],
        ),
        (
            "scale",
            [
                "scale, a level for each item of a scale",
                "| sleep | trouble sleeping |",
                "| nearly every day | 2 |",
                "| high | 3 |",
            ],
        ),
    ],
)
def test_a_page_shows_kind_items_levels_and_bands(kind: str, shown: list[str]) -> None:
    page = task_page(task_of_kind(kind, **({"bands": {"low": 0, "high": 3}} if kind == "scale" else {})))
    assert [text for text in shown if text not in page] == []


def test_a_choice_needs_no_word_on_its_kind() -> None:
    assert "Kind of answer" not in task_page(find_task("dreaddit"))
    assert not any(line.startswith("  kind") for line in task_lines(find_task("dreaddit")))


def test_lines_for_a_terminal_show_the_same() -> None:
    lines = [
        line.split(maxsplit=1) for line in task_lines(task_of_kind("scale", bands={"low": 0, "high": 3}))
    ]
    facts = [(name, text) for name, text in lines if name in {"kind", "answer", "levels", "item", "bands"}]
    assert facts == [
        ("kind", "scale, a level for each item of a scale"),
        ("answer", "The post shows: {answer}. (completion form: {answer})"),
        ("levels", "not at all (0), several days (1), nearly every day (2)"),
        ("item", "sleep: trouble sleeping"),
        ("item", "energy: little energy"),
        ("bands", "low from 0, high from 3"),
    ]
    (labels,) = [line for line in task_lines(task_of_kind("multi")) if line.startswith("  labels")]
    assert labels.split(maxsplit=1)[1] == "sleep, appetite, low mood"
