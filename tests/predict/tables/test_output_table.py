"""Columns of answers in a table."""

from __future__ import annotations

import pytest

from mentallama.predict.tables.answer_store import StoredAnswer
from mentallama.predict.tables.output_table import AnswerColumns
from tests.factories.answer_kinds import task_of_kind

QUESTION = ("DR", "depression")


@pytest.mark.parametrize("prefix", ["", "p_", "run.", "run.1_"])
@pytest.mark.parametrize("wide", [False, True])
def test_only_probabilities_are_numbers_whatever_the_prefix(prefix: str, wide: bool) -> None:
    kinds = AnswerColumns((QUESTION,), "linear:x", wide, prefix).kinds
    assert {name for name, kind in kinds.items() if kind == "number"} == {f"{prefix}probability"}


def test_the_columns_of_a_wide_table_are_those_of_its_rows() -> None:
    questions = (QUESTION, ("MultiWD", "social"))
    kinds = AnswerColumns(questions, "linear:x", wide=True, prefix="p.").kinds
    assert [name for name, kind in kinds.items() if kind == "number"] == [
        "p.DR.depression.probability",
        "p.MultiWD.social.probability",
    ]
    assert list(kinds)[-1] == "p.model"


def stored(name: str, label: str | None) -> StoredAnswer:
    status = "parsed" if label else "refused"
    return StoredAnswer(b"", name, "about", label, None, "{}", status, None, "", "[]")


@pytest.mark.parametrize(
    ("kind", "label", "levels"),
    [
        ("multi", "sleep; low mood", {"sleep": "present", "appetite": "absent", "low mood": "present"}),
        ("scale", "energy: several days", {"sleep": None, "energy": "several days"}),
        ("spans", 'sleep: "up at 4"', {"sleep": "present", "low mood": "absent"}),
        ("multi", None, {"sleep": None, "appetite": None, "low mood": None}),
        ("ordinal", "mild", {}),
    ],
)
def test_answers_of_several_parts_have_a_column_for_each(
    kind: str, label: str | None, levels: dict[str, str | None]
) -> None:
    task = task_of_kind(kind)
    key = (task.set, "about")
    for wide in (False, True):
        columns = AnswerColumns((key,), "linear:x", wide, "p_", tasks={task.set: task})
        (row,) = columns.rows({key: stored(task.set, label)})
        assert row.keys() == columns.kinds.keys()
        assert {name: value for name, value in row.items() if name.startswith("p_label.")} == {
            f"p_label.{part}": level for part, level in levels.items()
        }


@pytest.mark.parametrize(
    ("label", "total", "band"),
    [
        ("sleep: several days; energy: nearly every day", 3, "high"),
        ("energy: nearly every day", None, None),
        (None, None, None),
    ],
)
def test_a_scale_has_a_sum_and_a_band(label: str | None, total: int | None, band: str | None) -> None:
    task = task_of_kind("scale", bands={"low": 0, "high": 3})
    key = (task.set, "about")
    columns = AnswerColumns((key,), "linear:x", wide=True, tasks={task.set: task})
    (row,) = columns.rows({key: stored(task.set, label)})
    assert (row["total"], row["band"], columns.kinds["total"]) == (total, band, "number")


def test_tasks_with_different_parts_share_a_long_table_without_columns_of_parts() -> None:
    tasks = {task.set: task for task in map(task_of_kind, ("multi", "scale"))}
    keys = tuple((name, "about") for name in tasks)
    assert not any("label." in name for name in AnswerColumns(keys, "m", tasks=tasks).kinds)
    wide = AnswerColumns(keys, "m", wide=True, tasks=tasks)
    assert "synthetic-scale.about.label.energy" in wide.kinds
    answers = {keys[0]: stored("synthetic-multi", "none"), keys[1]: stored("synthetic-scale", "none")}
    (row,) = wide.rows(answers)
    assert row.keys() == wide.kinds.keys()
