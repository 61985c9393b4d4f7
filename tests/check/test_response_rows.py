"""Posts and responses are joined in order, and anything out of order is an error."""

from __future__ import annotations

import random
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mentallama.check.response_rows import read_response_rows
from mentallama.errors import DataError
from mentallama.records import FORMS, Form, Post, Response
from mentallama.tasks import load_tasks
from tests.factories.check_cases import answer_to, post_of, write_pair

TASKS = load_tasks()
STRESS = [
    post_of("dreaddit", f"The rent is due again, note {n}.", {"stress": "yes"}, number=n) for n in range(4)
]
FACTORS = {"thwarted belongingness": "yes", "perceived burdensomeness": "no"}
RISKS = post_of("Irf", "Nobody calls me back these days.", FACTORS)


def pairs(
    folder: Path, posts: list[Post], responses: list[Response], form: Form = "instruction"
) -> list[tuple[str, str, str]]:
    """Post, question and model of each row."""
    rows = read_response_rows(*write_pair(folder, posts, responses), TASKS, form)
    return [(row.post.id, row.example.question, row.response.model) for row in rows]


@pytest.mark.parametrize("form", FORMS)
def test_every_response_becomes_a_row_in_the_order_of_the_posts(form: Form, tmp_path: Path) -> None:
    posts = [*STRESS, RISKS]
    responses = [
        answer_to(post, question, form=form, model=model)
        for post in posts
        for question in post.labels
        for model in ("a", "b")
    ]
    expected = [
        (post.id, question, model) for post in posts for question in post.labels for model in ("a", "b")
    ]
    assert pairs(tmp_path, posts, responses, form) == expected
    assert len(expected) == 12


def test_a_row_contains_its_parsed_answer(tmp_path: Path) -> None:
    text = "Yes, the poster suffers from stress. Reasoning: “The rent is due” and it comes “again”."
    first, second = read_response_rows(
        *write_pair(
            tmp_path,
            STRESS[:2],
            [answer_to(STRESS[0], "stress", text), answer_to(STRESS[1], "stress", "I cannot say.")],
        ),
        TASKS,
        "instruction",
    )
    assert (first.reading.status, first.reading.label) == ("parsed", "yes")
    assert first.reading.explanation == "“The rent is due” and it comes “again”."
    assert first.quotes == ("The rent is due", "again")
    assert first.example.label == "yes"
    assert first.task is TASKS["dreaddit"]
    assert second.reading.status != "parsed"
    assert second.quotes == ()


def test_the_finish_reason_counts(tmp_path: Path) -> None:
    cut = answer_to(STRESS[0], "stress").model_copy(update={"finish_reason": "length"})
    (row,) = read_response_rows(*write_pair(tmp_path, STRESS, [cut]), TASKS, "instruction")
    assert row.reading.status == "truncated"


def test_posts_without_a_response_are_skipped(tmp_path: Path) -> None:
    responses = [answer_to(STRESS[1], "stress"), answer_to(RISKS, "perceived burdensomeness")]
    found = pairs(tmp_path, [*STRESS, RISKS], responses)
    assert [place[:2] for place in found] == [
        ("dreaddit-train-1", "stress"),
        ("Irf-train-1", "perceived burdensomeness"),
    ]
    assert pairs(tmp_path, STRESS, []) == []


def test_an_unlabelled_post_has_rows_without_a_label(tmp_path: Path) -> None:
    post = STRESS[0].model_copy(update={"labels": {}})
    (row,) = read_response_rows(
        *write_pair(tmp_path, [post], [answer_to(STRESS[0], "stress")]), TASKS, "instruction"
    )
    assert row.example.label is None
    assert row.reading.label == "yes"


ANSWERS = [answer_to(post, "stress") for post in STRESS]
STRANGER = ANSWERS[1].model_copy(update={"example_id": "0123456789abcdef"})
OTHER_FORM = answer_to(STRESS[0], "stress", form="completion")


@pytest.mark.parametrize(
    ("responses", "row", "fault"),
    [
        ([ANSWERS[1], ANSWERS[0]], 2, "is not in the order of posts.jsonl.zst"),
        ([ANSWERS[0], ANSWERS[0]], 2, "a second response by teacher to one example"),
        ([ANSWERS[0], STRANGER, ANSWERS[2]], 2, "to no post of posts.jsonl.zst"),
        ([OTHER_FORM], 1, "to no post of posts.jsonl.zst in instruction form"),
    ],
    ids=["out of order", "twice", "of no post", "of the other form"],
)  # fmt: skip
def test_a_misplaced_response_is_an_error(
    responses: list[Response], row: int, fault: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=fault) as told:
        pairs(tmp_path, STRESS, responses)
    assert told.value.row == row
    assert told.value.file.endswith("responses.jsonl.zst")


def test_responses_to_one_example_must_be_adjacent(tmp_path: Path) -> None:
    first, second = FACTORS
    mixed = [answer_to(RISKS, first, model="a"), answer_to(RISKS, second), answer_to(RISKS, first, model="b")]
    with pytest.raises(DataError, match="are not adjacent") as told:
        pairs(tmp_path, [RISKS], mixed)
    assert told.value.row == 3


def test_a_post_of_a_set_without_a_task_is_an_error(tmp_path: Path) -> None:
    paths = write_pair(tmp_path, STRESS, ANSWERS)
    with pytest.raises(DataError, match="set dreaddit, which is not among this recipe's sets"):
        list(read_response_rows(*paths, {"Irf": TASKS["Irf"]}, "instruction"))


@given(st.sets(st.integers(0, 7)), st.randoms(use_true_random=False))
def test_any_part_of_the_responses_is_joined_and_any_other_order_is_not(
    kept: set[int], draw: random.Random
) -> None:
    everything = [
        answer_to(p, q, model=m) for p in [*STRESS[:3], RISKS] for q in p.labels for m in ("a", "b")
    ]
    responses = [response for at, response in enumerate(everything) if at in kept]
    shuffled = draw.sample(responses, len(responses))
    with TemporaryDirectory() as folder:
        found = pairs(Path(folder), [*STRESS[:3], RISKS], responses)
        assert len(found) == len(responses)
        order = {response.example_id: at for at, response in enumerate(everything)}
        if [order[r.example_id] for r in shuffled] != sorted(order[r.example_id] for r in responses):
            with pytest.raises(DataError):
                pairs(Path(folder), [*STRESS[:3], RISKS], shuffled)


def test_responses_of_several_teachers_are_adjacent(tmp_path: Path) -> None:
    responses = [answer_to(RISKS, q, model=m) for q in FACTORS for m in ("a", "b", "c")]
    rows = list(read_response_rows(*write_pair(tmp_path, [RISKS], responses), TASKS, "instruction"))
    assert [row.response.model for row in rows] == ["a", "b", "c"] * 2
