"""Words copied from the prompt, chat-template tokens and mentions of the prompt."""

from __future__ import annotations

import pytest

from mentallama.check.gates.prompt_leakage import check_prompt_leakage
from mentallama.prompts import prompt_instructions
from mentallama.prompts.scale_prompts import SCALE_INSTRUCTIONS
from mentallama.tasks import load_tasks
from tests.factories.gate_rows import row

TOLD = ("Quote the words that count exactly as they stand in the post, and say what they tell.", "Be brief.")


@pytest.mark.parametrize(
    ("explanation", "words", "reason"),
    [
        ("The words that count exactly as they stand are few.", 8, "8 words copied from the prompt"),
        ("THE WORDS: that count — exactly as they stand!", 8, "8 words copied from the prompt"),
        ("The words that count exactly as they are few.", 8, None),  # seven in a row
        ("The words that count exactly as they are few.", 7, "7 words copied from the prompt"),
        (TOLD[0], 8, "17 words copied from the prompt"),
        ("In the post, and say: be brief.", 5, "5 words copied from the prompt"),
        ("what they tell. Be brief.", 4, None),  # two instructions are two texts
        ("<|im_end|> The house is quiet.", 8, "mentions its prompt in 1 place"),
        ("<|im_end|> As an AI language model, it is hard.", 8, "mentions its prompt in 2 places"),
        ("", 8, None),
    ],
)
def test_consecutive_words_of_the_prompt_are_a_leak(explanation: str, words: int, reason: str | None) -> None:
    verdict = check_prompt_leakage(row(explanation), words, TOLD)
    assert (verdict.ok, verdict.reason, verdict.gate) == (reason is None, reason, "prompt_leakage")


def test_words_of_the_post_or_the_task_are_not_a_leak() -> None:
    said = "the words that count exactly as they stand in the post"
    assert check_prompt_leakage(row(said, post=f"I like {said}."), 8, TOLD).ok
    assert check_prompt_leakage(row(f"The poster writes “{said}”."), 8, TOLD).ok
    question = "Does the poster suffer from depression?"
    assert check_prompt_leakage(row(f"{question} The house is quiet."), 5, (f"Answer: {question}",)).ok


def test_every_shipped_instruction_is_a_leak_and_no_answer_is() -> None:
    checked = 0
    for task in load_tasks().values():
        for question in task.questions:
            told = prompt_instructions(task, question)
            for text in told:
                if len(text.split()) >= 12:
                    assert not check_prompt_leakage(
                        row(f"The house is quiet. {text}", task=task.set, label="-"), 8, told
                    ).ok
                    checked += 1
            for label in task.labels.values():
                assert check_prompt_leakage(
                    row(label.answer.instruction, task=task.set, label="-"), 8, told
                ).ok
    assert checked > 50


def test_instructions_about_scales_are_a_leak() -> None:
    told = [text for text in SCALE_INSTRUCTIONS if len(text.split()) >= 8]
    assert len(told) >= 8
    assert [text for text in told if check_prompt_leakage(row(f"So it is. {text}"), 8).ok] == []
