"""Prompts and answers as tokens, for tokenizers of both families, plain and with a chat template."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mentallama.analysts.inference.prompt_encoding import PromptEncoder
from mentallama.answers.format import label_sentence, write_answer
from mentallama.errors import UsageError
from mentallama.records import FORMS, Example, Form
from mentallama.tasks import load_tasks, write_query
from tests.factories.tiny_models import Layout, tiny_tokenizer

LAYOUTS: tuple[Layout, ...] = ("bytes", "llama")
KINDS = list(product(LAYOUTS, (False, True)))
TASKS = load_tasks()
TEXTS = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=60)


def ask(text: str, task: str = "dreaddit", question: str = "stress", form: Form = "instruction") -> Example:
    return Example(id="e", post_id="p", task=task, question=question, form=form, text=text)


def prompter(layout: Layout, chat: bool, form: Form = "instruction", context: int = 2048) -> PromptEncoder:
    return PromptEncoder(tiny_tokenizer(chat, layout), form, "auto", context)


def ids_of(tokenizer: Any, text: str, special: bool = False) -> list[int]:
    return list(tokenizer(text, add_special_tokens=special)["input_ids"])


@pytest.mark.parametrize(("layout", "form"), list(product(LAYOUTS, FORMS)))
def test_plain_prompts_are_the_published_query_and_answers_follow_it(layout: Layout, form: Form) -> None:
    plain = prompter(layout, False, form)
    seen = 0
    for task in TASKS.values():
        for question, label in product(task.questions, task.labels):
            query = write_query(task, question, form, "The kettle is on.").rstrip()
            answer = write_answer(task, question, label, "It says so.", form)
            prompt = plain.encode_prompt(ask("The kettle is on.", task.set, question, form), task, 64)
            joint = ids_of(plain.tokenizer, f"{query} {answer}", special=True)
            assert prompt.truncated_chars == 0
            assert prompt.ids == joint[: len(prompt.ids)]
            assert plain.encode_answer(answer, add_stop_token=False) == joint[len(prompt.ids) :]
            assert plain.encode_answer(answer) == [*joint[len(prompt.ids) :], plain.tokenizer.eos_token_id]
            seen += 1
    assert seen == 48  # questions times labels


@pytest.mark.parametrize("layout", LAYOUTS)
def test_chat_prompts_and_answers_are_the_template_s_own_text(layout: Layout) -> None:
    chat, task = prompter(layout, True), TASKS["dreaddit"]
    query, answer = write_query(task, "stress", "instruction", "Tea."), "No. Reasoning: It is tea."
    turns = [{"role": "user", "content": query}, {"role": "assistant", "content": answer}]
    whole = ids_of(chat.tokenizer, chat.tokenizer.apply_chat_template(turns, tokenize=False))
    prompt = chat.encode_prompt(ask("Tea."), task, 64).ids
    written = chat.encode_answer(answer)
    assert whole[: len(prompt) + len(written)] == prompt + written
    assert written[-1] == chat.stop_token_ids[0]


@pytest.mark.parametrize(
    ("layout", "ends"), [("bytes", ("<|im_end|>", "<|endoftext|>")), ("llama", ("</s>",))]
)
def test_chat_answers_end_where_the_template_ends_a_turn(layout: Layout, ends: tuple[str, ...]) -> None:
    chat = prompter(layout, True)
    assert tuple(chat.tokenizer.convert_ids_to_tokens(list(chat.stop_token_ids))) == ends


@pytest.mark.parametrize(("layout", "chat"), KINDS)
def test_an_answer_is_decoded_to_itself(layout: Layout, chat: bool) -> None:
    analyst = prompter(layout, chat)
    answer = write_answer("dreaddit", "stress", "yes", "Deadlines “press”; ✨ sleep is short.")
    ids = analyst.encode_answer(answer)
    assert analyst.decode_answer(ids) == answer
    assert ids.count(analyst.stop_token_ids[0]) == 1


@pytest.mark.parametrize(("layout", "chat"), KINDS)
def test_answers_with_their_reasons_begin_with_the_answers(layout: Layout, chat: bool) -> None:
    analyst = prompter(layout, chat)
    for task, form in product(TASKS.values(), FORMS):
        for label in task.labels:
            sentence = label_sentence(task, label, form)
            short, long = (
                analyst.encode_answer(sentence, add_stop_token=False),
                analyst.encode_answer(f"{sentence} Reasoning:", add_stop_token=False),
            )
            assert long[: len(short)] == short
            assert len(long) > len(short)


@pytest.mark.parametrize(("layout", "chat"), KINDS)
def test_a_long_post_loses_its_end_and_never_the_question(layout: Layout, chat: bool) -> None:
    task, text = TASKS["dreaddit"], "It rained and the exam is near. " * 40
    whole = prompter(layout, chat).encode_prompt(ask(text), task, 10)
    analyst = prompter(layout, chat, context=120)
    prompt = analyst.encode_prompt(ask(text), task, 10)
    kept = text[: len(text) - prompt.truncated_chars]
    assert 0 < prompt.truncated_chars < len(text)
    assert whole.truncated_chars == 0
    assert 110 - 8 <= len(prompt.ids) <= 110  # as much as fits, give or take the tokens around the cut
    assert prompt.ids == prompter(layout, chat).encode_prompt(ask(kept), task, 10).ids
    assert "Does the poster suffer from stress?" in analyst.decode_answer(prompt.ids)


@settings(max_examples=60, deadline=None)
@given(TEXTS, st.integers(90, 130), st.sampled_from(KINDS))
def test_no_prompt_is_longer_than_allowed(text: str, longest: int, kind: tuple[Layout, bool]) -> None:
    analyst = prompter(*kind, context=longest)
    prompt = analyst.encode_prompt(ask(text * 4), TASKS["dreaddit"], 20)
    assert len(prompt.ids) <= longest - 20
    assert (
        0 <= prompt.truncated_chars <= len(text * 4) * 2
    )  # marks of control tokens are longer once they are taken apart


@pytest.mark.parametrize(("layout", "chat"), KINDS)
def test_a_context_too_short_for_the_question_is_an_error(layout: Layout, chat: bool) -> None:
    with pytest.raises(
        UsageError,
        match="the model has a context of 20 tokens, too few for the question of dreaddit with an answer of 9",
    ):
        prompter(layout, chat, context=20).encode_prompt(ask("Rain."), TASKS["dreaddit"], 9)


@pytest.mark.parametrize(("layout", "chat"), KINDS)
def test_control_tokens_in_a_post_are_text(layout: Layout, chat: bool) -> None:
    analyst, task = prompter(layout, chat), TASKS["dreaddit"]
    control = set(analyst.tokenizer.all_special_ids)
    marks = " ".join(analyst.tokenizer.all_special_tokens)
    usual = [each for each in analyst.encode_prompt(ask("Rain."), task, 10).ids if each in control]
    attacked = [
        each for each in analyst.encode_prompt(ask(f"Rain. {marks} Rain."), task, 10).ids if each in control
    ]
    assert len(marks) > 3
    assert attacked == usual


def test_a_requested_template_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(UsageError, match="template: chat is requested"):
        PromptEncoder(tiny_tokenizer(), "instruction", "chat", 100)


def test_plain_ignores_the_chat_template() -> None:
    plain = PromptEncoder(tiny_tokenizer(chat=True), "instruction", "plain", 400)
    assert plain.encode_prompt(ask("Rain."), TASKS["dreaddit"], 5).ids == prompter("bytes", False).encode_prompt(
        ask("Rain."), TASKS["dreaddit"], 5
    ).ids  # fmt: skip


def test_a_tokenizer_without_an_end_token_is_an_error() -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.eos_token = None
    with pytest.raises(UsageError, match="has no end-of-sequence token"):
        _ = PromptEncoder(tokenizer, "instruction", "plain", 400).stop_token_ids
