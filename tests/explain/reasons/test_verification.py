"""A bound reason uses nothing of the post but its passages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mentallama.answers.format import write_answer
from mentallama.explain.reasons.verification import BoundAnswer, foreign_words, verify_reason
from mentallama.tasks import find_task
from tests.factories.answer_kinds import task_of_kind

POST = "I cannot get out of bed, and I cry all day long. My sister cooks for me and nobody else calls."
PASSAGES = ("I cannot get out of bed", "I cry all day long")
YES = "Yes, the poster suffers from depression. Reasoning: "
BOTH = "The writer says “I cannot get out of bed” and “I cry all day long”, which goes with it."


def answer(label: str = "yes", passages: tuple[str, ...] = PASSAGES) -> BoundAnswer:
    return BoundAnswer(find_task("DR"), label, POST, passages)


def test_a_reason_of_the_passages_alone_is_accepted() -> None:
    found = verify_reason(answer(), YES + BOTH, "instruction", "stop")
    assert found.faults == ()
    assert found.used == frozenset(PASSAGES)


def test_passages_that_are_not_quoted_are_counted_as_unused() -> None:
    found = verify_reason(answer(), f"{YES}The writer says “cry all day”.", "instruction", "stop")
    assert (found.faults, found.used) == ((), frozenset({"I cry all day long"}))


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        (f"{YES}The writer says “I cry all day long” and “nobody else calls”.", ("foreign quotation",)),
        (
            f"{YES}The writer says “I cry all day long”, and that my sister cooks for me.",
            ("other words of the post",),
        ),
        (f"{YES}The words are sad.", ("no quotation",)),
        (YES.strip(), ("no reason", "no quotation")),
        (f"No, the poster does not suffer from depression. Reasoning: {BOTH}", ("another label",)),
        (f"{YES}{BOTH} So the poster does not suffer from depression.", ("another label",)),
        ("I cannot say.", ("unparsed",)),
        ("", ("unparsed",)),
        ("I'm sorry, but I can't help with this.", ("refused",)),
    ],
)
def test_other_reasons_have_faults(text: str, kinds: tuple[str, ...]) -> None:
    found = verify_reason(answer(), text, "instruction", "stop")
    assert found.kinds == kinds
    assert len(found.faults) == len(kinds)


def test_a_reason_that_breaks_off_is_not_accepted() -> None:
    assert verify_reason(answer(), YES + BOTH, "instruction", "length").kinds == ("truncated",)


def test_another_label_of_many_is_found_in_the_reason_s_own_words_only() -> None:
    post = "My rent is due and my boss shouts."
    bound = BoundAnswer(find_task("SAD"), "financial problem", post, ("My rent is due",))
    reason = "The writer says “My rent is due”."
    good = write_answer("SAD", None, "financial problem", reason)
    assert verify_reason(bound, good, "instruction", "stop").faults == ()
    other = write_answer("SAD", None, "financial problem", f"{reason} The cause of the stress is work.")
    assert verify_reason(bound, other, "instruction", "stop").kinds == ("another label",)
    quoted = BoundAnswer(
        find_task("SAD"),
        "financial problem",
        "The cause of my stress is work, they say, not my rent.",
        ("The cause of my stress is work",),
    )
    inside = write_answer(
        "SAD", None, "financial problem", "The writer says “The cause of my stress is work”."
    )
    assert verify_reason(quoted, inside, "instruction", "stop").faults == ()


def test_answers_of_several_parts_are_compared_as_a_whole() -> None:
    bound = BoundAnswer(task_of_kind("multi"), "sleep; appetite", POST, PASSAGES)
    right = f"The post shows: sleep; appetite. Reasoning: {BOTH}"
    assert verify_reason(bound, right, "instruction", "stop").faults == ()
    assert verify_reason(bound, right.replace("; appetite", ""), "instruction", "stop").kinds == (
        "another label",
    )


def test_words_count_from_four_on_and_characters_from_eight() -> None:
    assert foreign_words(answer(), "It says nobody else calls.") == ()
    assert foreign_words(answer(), "It says my sister COOKS, for…") == ("my", "sister", "cooks", "for")
    chinese = BoundAnswer(find_task("DR"), "yes", "我每天晚上都睡不着觉很难受", ("很难受",))
    assert foreign_words(chinese, "作者说每天晚上都睡") == ()
    assert foreign_words(chinese, "作者说每天晚上都睡不着") == tuple("每天晚上都睡不着")


@given(start=st.integers(0, 18), length=st.integers(4, 8))
def test_every_run_of_four_words_outside_the_passages_is_found(start: int, length: int) -> None:
    words = POST.split()
    run = words[start : start + length]
    found = foreign_words(answer(passages=()), " ".join(run))
    assert bool(found) == (len(run) >= 4)
