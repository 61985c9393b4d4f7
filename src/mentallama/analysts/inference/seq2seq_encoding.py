"""Turn an example into the tokens of an encoder-decoder, in the same way for training and for prediction.

The encoder reads the published query, followed by the token with which its tokenizer ends a text, if there is one. The
decoder's target is the answer, preceded by the decoder's start token and by the tokens that the tokenizer puts in front
of every target: BART has one of each, T5 only the start token.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mentallama.analysts.base import Template
from mentallama.analysts.inference.prompt_encoding import EncodedPrompt, PromptEncoder
from mentallama.errors import UsageError
from mentallama.prompts.question_prompts import PUBLISHED_QUERY, QuestionPrompts
from mentallama.records import Example, Form
from mentallama.tasks import Task


class Seq2seqPromptEncoder:
    """Tokenizes both sides of an encoder-decoder.

    Parameters
    ----------
    model
        The model, for its configuration.
    tokenizer
        A fast tokenizer of transformers; it needs no padding token.
    context
        Tokens that the model can process, on each side.
    prompts
        How questions are put to the model.

    Raises
    ------
    UsageError
        A chat template is requested, or the model's configuration names no decoder start token.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        form: Form,
        template: Template,
        context: int,
        prompts: QuestionPrompts = PUBLISHED_QUERY,
    ) -> None:
        if template == "chat":
            raise UsageError("template: chat is for decoders; a seq2seq model reads the query as plain text")
        self.form, self.context, self.prompts = form, context, prompts
        self._source_suffix = _source_suffix(tokenizer)
        self._prompt_encoder = PromptEncoder(
            tokenizer, form, "plain", context - len(self._source_suffix), prompts
        )
        self._tokenizer = tokenizer
        start = _configured_token_id(model, "decoder_start_token_id")
        if start is None:
            raise UsageError(
                "the model's configuration has no decoder_start_token_id, so decoding cannot start"
            )
        self.decoder_start_id = start
        """The first token of every decoder input."""
        forced = _configured_token_id(model, "forced_bos_token_id")
        self.target_prefix = _target_prefix(tokenizer) if forced is None else [forced]
        """The tokens in front of every target."""

    @property
    def decoder_prefix(self) -> list[int]:
        """Decoder input in front of an answer."""
        return [self.decoder_start_id, *self.target_prefix]

    @property
    def stop_token_ids(self) -> tuple[int, ...]:
        """Tokens that end an answer; the first is the one that training appends."""
        return self._prompt_encoder.stop_token_ids

    def encode_prompt(self, example: Example, task: Task) -> EncodedPrompt:
        """Tokenize the encoder's input. A post that is too long is truncated at its end; the question never is.

        Raises
        ------
        UsageError
            The question alone exceeds the model's context.
        """
        prompt = self._prompt_encoder.encode_prompt(example, task, 0)
        return EncodedPrompt([*prompt.ids, *self._source_suffix], prompt.truncated_chars)

    def encode_answer(self, text: str, add_stop_token: bool = True) -> list[int]:
        """Tokenize an answer, without the tokens in front of it."""
        ids = list(self._tokenizer(text, add_special_tokens=False)["input_ids"])
        return [*ids, self.stop_token_ids[0]] if add_stop_token else ids

    def encode_target(self, text: str) -> list[int]:
        """Everything that the decoder is trained to produce for an answer.

        Raises
        ------
        UsageError
            It exceeds the model's context.
        """
        target = [*self.target_prefix, *self.encode_answer(text)]
        if len(target) > self.context:
            raise UsageError(
                f"a response takes {len(target)} tokens, but the context is {self.context} tokens on each side; raise "
                "max_tokens if the base allows it, or leave such rows out"
            )
        return target

    def decode_answer(self, ids: Sequence[int]) -> str:
        """The text of an answer's tokens."""
        return self._prompt_encoder.decode_answer(ids)


def _configured_token_id(model: Any, key: str) -> int | None:
    """A token id of the generation configuration, or of the model configuration where older models have it."""
    token_id = getattr(model.generation_config, key, None)
    return getattr(model.config, key, None) if token_id is None else token_id


def _source_suffix(tokenizer: Any) -> list[int]:
    """The token that the tokenizer puts after every source text, if it does."""
    ids = list(tokenizer("?")["input_ids"])
    return ids[-1:] if ids[-1] == tokenizer.eos_token_id else []


def _target_prefix(tokenizer: Any) -> list[int]:
    """The tokens that the tokenizer puts in front of every target."""
    encoding = tokenizer(text_target="?", return_special_tokens_mask=True)
    is_special = list(encoding["special_tokens_mask"])
    return list(encoding["input_ids"])[: is_special.index(0)]
