"""Columns of answers in a table."""

from __future__ import annotations

import pytest

from mentallama.predict.tables.output_table import AnswerColumns

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
