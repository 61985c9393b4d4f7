"""Prepare a trained decoder for servers (vLLM, llama.cpp, `transformers serve`), which know only its files."""

from __future__ import annotations

from typing import Any

from mentallama.analysts.checkpoints.loading import published_eos_ids
from mentallama.analysts.inference.prompt_encoding import PromptEncoder
from mentallama.errors import UsageError


def prepare_for_serving(model: Any, prompter: PromptEncoder) -> None:
    """Give the tokenizer the chat template of the prompts, and the model the tokens that end an answer.

    A server turns a user's message into a prompt with the tokenizer's chat template, and stops at the end-of-sequence
    tokens of the generation configuration. Where no template makes the same tokens, the tokenizer keeps none, so that
    a chat is refused rather than answered from another prompt.

    Raises
    ------
    UsageError
        The token that ends an answer has no embedding in the model.
    """
    rows, last = model.get_input_embeddings().weight.shape[0], max(prompter.stop_token_ids)
    if last >= rows:
        raise UsageError(
            f"the token that ends an answer ({last}) has no embedding among the model's {rows}; use another template, "
            "or the tokenizer that belongs to the model"
        )
    template = prompter.served_template()
    first, *others = dict.fromkeys((*prompter.stop_token_ids, *published_eos_ids(model)))
    prompter.tokenizer.chat_template = template
    model.generation_config.eos_token_id = [first, *others] if others else first
