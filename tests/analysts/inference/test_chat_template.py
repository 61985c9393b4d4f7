"""Chat templates: a hostile one is one sentence, and the one written here makes the plain prompts of training."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from mentallama.analysts.inference.chat_template import plain_chat_template, render_chat
from mentallama.analysts.inference.prompt_encoding import PromptEncoder
from mentallama.errors import UsageError
from mentallama.records import FORMS, Example, Form
from mentallama.tasks import load_tasks, write_query
from tests.factories.tiny_models import Layout, tiny_tokenizer

TASKS = load_tasks()
POSTS = (
    "I can't sleep.\n\nNot at all…",
    "  spaces first, and <b>marks</b> {{ of }} {% templates %}",
    "ends here </s> or <|endoftext|> and goes on <s>[INST]",
    "다시 잠을 못 잤어요 😢",
    "'quoted' \"twice\" \\n",
)


def turn(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


@pytest.mark.parametrize(
    ("template", "fault"),
    [
        ("{% for i in range(9999) %}{% for j in range(9999) %}{% set x = i %}{% endfor %}{% endfor %}", "runs more"),
        ("{% for i in range(99999) %}{{ messages[0]['content'] }}{% endfor %}", "adds more than 100,000 characters"),
        ("{{ 'a' * 300000 }}{{ messages[0]['content'] }}", "adds more than 100,000 characters"),
        ("{{ ''.__class__.__mro__[1].__subclasses__() }}", "fails with SecurityError"),
        ("{{ messages.append(1) }}", "fails with SecurityError"),
        ("{{ raise_exception('no system role') }}", "fails with TemplateError"),
        ("{% for m in messages %}", "fails with TemplateSyntaxError"),
        ("{{ messages[0]['content'] + 1 }}", "fails with TypeError"),
        ("{{ nothing.at.all }}", "fails with UndefinedError"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "fails with RecursionError"),
        ("Hello!", "does not hold the user's message"),
        ("{{ messages[0]['content'] | upper }}", "does not hold the user's message"),
    ],
)  # fmt: skip
def test_a_hostile_template_is_one_sentence(template: str, fault: str) -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = template
    with pytest.raises(UsageError, match=f"the chat template of the model's tokenizer .*{fault}") as error:
        render_chat(tokenizer, [turn("a secret post")], add_generation_prompt=True)
    assert "secret" not in str(error.value)
    assert "\n" not in str(error.value)


def test_rendering_leaves_a_debugger_in_place() -> None:
    before = sys.gettrace()
    assert render_chat(tiny_tokenizer(chat=True), [turn("Tea.")], add_generation_prompt=True)
    assert sys.gettrace() is before


def metaspace_tokenizer() -> Any:
    """A tokenizer that marks the first word of a text, but not the word after a special token."""
    words = ["▁Consider", "Consider", "▁", *"▁abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"]
    vocabulary = {word: index for index, word in enumerate(dict.fromkeys(["<s>", "</s>", "<unk>", *words]))}
    tokenizer = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )


def with_bos(tokenizer: Any) -> Any:
    """A byte-level tokenizer that puts its beginning-of-sequence token in front, as Llama 3's does."""
    tokenizer.bos_token = "<|endoftext|>"
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<|endoftext|> $A", special_tokens=[("<|endoftext|>", tokenizer.bos_token_id)]
    )
    return tokenizer


def tokenizers() -> dict[str, Any]:
    layouts: tuple[Layout, ...] = ("bytes", "llama")
    return {
        **{layout: tiny_tokenizer(layout=layout) for layout in layouts},
        "bytes with bos": with_bos(tiny_tokenizer()),
        "metaspace": metaspace_tokenizer(),
    }


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["bytes", "llama", "bytes with bos", "metaspace"])
def test_a_served_chat_is_the_prompt_of_training_token_for_token(name: str, form: Form) -> None:
    tokenizer = tokenizers()[name]
    prompter = PromptEncoder(tokenizer, form, "plain", 4096)
    template = prompter.served_template()
    assert template is not None
    tokenizer.chat_template = template
    for task in TASKS.values():
        for question in task.questions:
            for text in POSTS:
                example = Example(id="e", post_id="p", task=task.set, question=question, form=form, text=text)
                query = write_query(task, question, form, text).rstrip()  # as the remote analyst sends it
                served = tokenizer.apply_chat_template(
                    [turn(query)], tokenize=True, add_generation_prompt=True, return_dict=False
                )
                assert served == prompter.encode_prompt(example, task, 0).ids
    bos = tokenizer.bos_token_id
    assert served.count(bos) == (bos is not None)


@pytest.mark.parametrize("layout", ["bytes", "llama"])
def test_a_served_conversation_holds_answers_as_in_training(layout: Layout) -> None:
    tokenizer = tiny_tokenizer(layout=layout)
    prompter = PromptEncoder(tokenizer, "instruction", "plain", 4096)
    tokenizer.chat_template = prompter.served_template()
    example = Example(
        id="e", post_id="p", task="dreaddit", question="stress", form="instruction", text="Tea."
    )
    task, answer = TASKS["dreaddit"], "No, not at all. Reasoning: It is tea."
    query = write_query(task, "stress", "instruction", "Tea.").rstrip()
    turns = [turn(query), {"role": "assistant", "content": answer}]
    served = tokenizer.apply_chat_template(turns, tokenize=True, return_dict=False)
    assert served == [*prompter.encode_prompt(example, task, 64).ids, *prompter.encode_answer(answer)]


def test_system_text_stands_in_front_of_the_query() -> None:
    tokenizer = tiny_tokenizer(layout="llama")
    tokenizer.chat_template = plain_chat_template(tokenizer, ())
    turns = [{"role": "system", "content": "Be brief.\n"}, turn("Tea.")]
    assert tokenizer.apply_chat_template(turns, tokenize=False) == "<s>Be brief.\n\nTea."
