"""Prompts of analysts: the published query, or a teacher's instructions and examples, the same for all posts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mentallama.errors import UsageError
from mentallama.prompts import teacher_prompt
from mentallama.prompts.few_shot import FewShotRow, examples_digest
from mentallama.prompts.question_prompts import QuestionPrompts, before_next_post, plain_text
from mentallama.records import FORMS
from mentallama.tasks import load_tasks, write_query

TASKS = load_tasks()
DR = TASKS["DR"]


def row(label: str, text: str, source: int = 0) -> FewShotRow:
    return FewShotRow(
        set="DR",
        question="depression",
        text=text,
        label=label,
        explanation=f'It says "{text}".',
        file="e.csv",
        row=2,
        source=source,
    )


ROWS = [row(label, f"{label} number {number}") for label in ("yes", "no") for number in range(3)]


@pytest.mark.parametrize("form", FORMS)
def test_without_instructions_the_prompt_is_the_published_query(form) -> None:  # type: ignore[no-untyped-def]
    prompts = QuestionPrompts()
    assert prompts.messages(DR, "depression", form, "Tea.") == [
        {"role": "user", "content": write_query(DR, "depression", form, "Tea.").rstrip()}
    ]
    assert prompts.answer_form(form) == form
    assert not prompts.instructs


def test_instructions_and_examples_are_those_of_a_teacher() -> None:
    zero, few = QuestionPrompts("zero-shot"), QuestionPrompts("few-shot", ROWS, 2)
    assert zero.shots_for(DR, "depression", "Tea.") == ()
    expected = teacher_prompt(DR, "depression", "Tea.", "zero-shot")
    assert zero.messages(DR, "depression", "completion", "Tea.") == expected
    assert zero.answer_form("completion") == "instruction"
    shots = few.shots_for(DR, "depression", "Tea.")
    assert {shot.label for shot in shots} == {"yes", "no"}
    assert few.messages(DR, "depression", "instruction", "Tea.", shots) == teacher_prompt(
        DR, "depression", "Tea.", "few-shot", shots=shots
    )


@given(text=st.text(), seed=st.integers(0, 50))
def test_all_posts_of_a_question_have_the_same_examples(text: str, seed: int) -> None:
    few = QuestionPrompts("few-shot", ROWS, 4, seed)
    shots = few.shots_for(DR, "depression", text)
    assert shots == few.shots_for(DR, "depression", "Another post.")
    shown = few.shots_for(DR, "depression", shots[0].text)
    assert shots[0].text not in {shot.text for shot in shown}  # a post is never shown with its own answer
    assert len(shown) == 4


def test_examples_of_a_later_source_only_fill_in() -> None:
    rows = [row("yes", "made up yes", 1), row("no", "made up no", 1), row("yes", "an expert's")]
    for seed in range(10):
        shots = QuestionPrompts("few-shot", rows, 2, seed).shots_for(DR, "depression", "x")
        assert {shot.text for shot in shots} == {"an expert's", "made up no"}


def test_a_question_without_examples_is_refused() -> None:
    with pytest.raises(UsageError, match="none for CAMS with the label none, "):
        QuestionPrompts("few-shot", ROWS).shots_for(TASKS["CAMS"], "cause", "x")


def test_the_digest_depends_on_what_prompts_take() -> None:
    assert examples_digest(ROWS) == examples_digest([each.model_copy(update={"file": "f"}) for each in ROWS])
    for change in ({"text": "x"}, {"label": "no"}, {"explanation": "x"}, {"source": 1}):
        assert examples_digest(ROWS) != examples_digest([ROWS[0].model_copy(update=change), *ROWS[1:]])


# --- as plain text -------------------------------------------------------------------------------


def test_plain_text_has_a_cue_before_every_answer() -> None:
    few = QuestionPrompts("few-shot", ROWS, 2)
    shots = few.shots_for(DR, "depression", "Tea.")
    messages = few.messages(DR, "depression", "instruction", "Tea.", shots)
    text = plain_text(messages)
    assert text.count("\n\nAnswer: ") == 2
    assert text.endswith("and the explanation.\n\nAnswer:")
    assert text.startswith(messages[0]["content"])
    assert all(message["content"] in text for message in messages)
    assert plain_text(messages[-1:]) == messages[-1]["content"]


@given(text=st.text(), mode=st.sampled_from(["question", "zero-shot"]))
def test_the_post_is_found_in_its_prompt(text: str, mode) -> None:  # type: ignore[no-untyped-def]
    prompts = QuestionPrompts(mode)
    prompt = plain_text(prompts.messages(DR, "depression", "instruction", text))
    start, end = prompts.post_span(prompt, text)
    found = prompt[start:end]
    assert found == text if mode == "question" else found.replace(" ", "") == text.replace(" ", "")


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("It is calm.\n\n<post>\nAnother", ("It is calm.", True)),
        ("It is calm. <posture>", ("It is calm. <posture>", False)),
        ("It is calm.", ("It is calm.", False)),
        ("<post>", ("", True)),
    ],
)
def test_a_model_that_goes_on_with_a_post_of_its_own_had_ended(
    written: str, expected: tuple[str, bool]
) -> None:
    assert before_next_post(written) == expected
