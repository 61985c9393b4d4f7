"""Examples of prompts are kept apart from test posts: own tables are refused, published rows left out and counted."""

from __future__ import annotations

import pytest

from mentallama.errors import DataError
from mentallama.prompts.example_overlap import left_out_examples, without_overlap
from mentallama.prompts.few_shot import FewShotRow
from mentallama.records import Post, Provenance, Split

LONG = "the bus was late again and the whole stop began to sing, badly, until the driver sang along with us"


def row(label: str, text: str, number: int = 2, published: bool = False) -> FewShotRow:
    return FewShotRow(
        set="DR",
        question="depression",
        text=text,
        label=label,
        explanation="It says so.",
        file="e.csv",
        row=number,
        published=published,
    )


def post(text: str, name: str = "SAD", split: Split = "test") -> Post:
    return Post(
        id="p", set=name, split=split, text=text, provenance=Provenance(file="f", row=2, origin="table")
    )


@pytest.mark.parametrize(
    "copy",
    [LONG, LONG.upper() + " !!", LONG.replace("driver", "drivers"), LONG.replace("late", "very late")],
    ids=["same", "case", "near", "word"],
)
def test_an_example_that_is_a_test_post_is_refused(copy: str) -> None:
    rows = [
        row("yes", "something else altogether, about a cat that does not come home at night"),
        row("no", copy),
    ]
    rows[1] = rows[1].model_copy(update={"row": 7})
    with pytest.raises(DataError) as found:
        without_overlap(rows, [post("unlike the others"), post(LONG, "Irf"), post(LONG, "SAD")])
    assert str(found.value) == "e.csv, row 7: the example's text is in the test split of Irf; remove the row"


def test_all_rows_to_remove_are_listed_at_once() -> None:
    rows = [row("yes", LONG, number=number) for number in (2, 5)] + [row("no", "so tired", number=9)]
    rows.append(rows[0].model_copy(update={"file": "folder/f.csv", "row": 3, "text": "so tired"}))
    with pytest.raises(DataError) as found:
        without_overlap(rows, [post(LONG), post("so tired", "DR")])
    assert str(found.value) == (
        "e.csv, row 2: the example's text is in the test split of SAD; remove the row, "
        "and these rows too: e.csv 5, 9; f.csv 3"
    )


def test_other_texts_are_accepted() -> None:
    rows = [row("no", LONG), row("yes", "so tired")]
    assert without_overlap(rows, [post("so tired today"), post("")]) == rows
    assert without_overlap(rows, []) == rows
    assert without_overlap([], [post(LONG)]) == []
    cloud = [row("yes", "🌧")]
    assert without_overlap(cloud, [post("🌕")]) == cloud  # without letters: alike in nothing


def test_published_examples_about_test_posts_are_left_out_and_counted() -> None:
    rows = [
        row("no", LONG.upper(), published=True),
        row("yes", "so tired"),
        row("no", "a walk", published=True),
    ]
    kept = without_overlap(rows, [post(LONG, "Irf")])
    assert kept == rows[1:]
    assert left_out_examples(rows, kept) == (
        "1 of 3 examples are about posts of the test, or nearly, and left out (DR 1)"
    )


def test_copies_among_the_examples_are_accepted() -> None:
    rows = [row("no", LONG), row("yes", LONG)]
    assert without_overlap(rows, [post("unlike")]) == rows


def test_test_posts_beyond_the_first_batch_are_compared() -> None:
    posts = (post(f"post number {number} of many") for number in range(2500))
    with pytest.raises(DataError, match="test split of dreaddit"):
        without_overlap([row("no", LONG)], [*posts, post(LONG, "dreaddit")])
