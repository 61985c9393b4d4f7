"""From an example to the tokens of both sides of an encoder-decoder, the same in training and in prediction.

The encoder reads the published query, closed as its tokenizer closes a text. The decoder writes the answer as its
tokenizer writes a target: behind the token that starts every text, and those that stand in front of every target (BART
has one of each, T5 only the first).
"""

from __future__ import annotations

from typing import Any

from mentallama.analysts.inference.prompt_encoding import EncodedPrompt, PromptEncoder, Template
from mentallama.errors import UsageError
from mentallama.records import Example, Form
from mentallama.tasks import Task


class Seq2seqPromptEncoder:
    """Write both sides of an encoder-decoder as tokens.

    Parameters
    ----------
    tokenizer
        A fast tokenizer of transformers; it needs no padding token.
    longest
        Tokens that the model can hold, on each side.

    Raises
    ------
    WrongUse
        A chat template is asked for, or the model's configuration names no token to start with.
    """

    def __init__(self, model: Any, tokenizer: Any, form: Form, template: Template, longest: int) -> None:
        if template == "chat":
            raise UsageError(
                "template: chat is for decoder models; a seq2seq model reads the query as it stands"
            )
        self.form, self.context = form, longest
        self._source_suffix = _source_suffix(tokenizer)
        self._prompt_encoder = PromptEncoder(tokenizer, form, "plain", longest - len(self._source_suffix))
        self._tokenizer = tokenizer
        start = _configured_token_id(model, "decoder_start_token_id")
        if start is None:
            raise UsageError(
                "the model's configuration names no decoder_start_token_id, so that no answer can begin"
            )
        self.decoder_start_id = start
        """The token that every text of the decoder starts with."""
        forced = _configured_token_id(model, "forced_bos_token_id")
        self.target_prefix = _target_prefix(tokenizer) if forced is None else [forced]
        """What stands in front of every target."""

    @property
    def decoder_prefix(self) -> list[int]:
        """What the decoder is given before an answer."""
        return [self.decoder_start_id, *self.target_prefix]

    @property
    def stop_token_ids(self) -> tuple[int, ...]:
        """Tokens that end an answer, the one that training writes first."""
        return self._prompt_encoder.stop_token_ids

    def encode_prompt(self, example: Example, task: Task) -> EncodedPrompt:
        """The encoder's tokens. A post that is too long loses its end; the question is never cut.

        Raises
        ------
        WrongUse
            The model does not even hold the question.
        """
        prompt = self._prompt_encoder.encode_prompt(example, task, 0)
        return EncodedPrompt([*prompt.ids, *self._source_suffix], prompt.truncated_chars)

    def encode_answer(self, text: str) -> list[int]:
        """The tokens of an answer, without what opens and ends it."""
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def encode_target(self, text: str) -> list[int]:
        """All that the decoder is to write for an answer.

        Raises
        ------
        WrongUse
            It is longer than the model can hold.
        """
        target = [*self.target_prefix, *self.encode_answer(text), self.stop_token_ids[0]]
        if len(target) > self.context:
            raise UsageError(
                f"a response takes {len(target)} tokens, and the model holds {self.context} on each side; give it a "
                "larger max_tokens where its base can hold more, or leave such rows out"
            )
        return target

    def decode_answer(self, ids: list[int]) -> str:
        """The text of an answer's tokens."""
        return self._prompt_encoder.decode_answer(ids)


def _configured_token_id(model: Any, key: str) -> int | None:
    """A token that the way of generating names, or an older configuration of the model."""
    found = getattr(model.generation_config, key, None)
    return getattr(model.config, key, None) if found is None else found


def _source_suffix(tokenizer: Any) -> list[int]:
    """The token behind every text, if the tokenizer writes one."""
    ids = list(tokenizer("?")["input_ids"])
    return ids[-1:] if ids[-1] == tokenizer.eos_token_id else []


def _target_prefix(tokenizer: Any) -> list[int]:
    """The tokens in front of every target."""
    written = tokenizer(text_target="?", return_special_tokens_mask=True)
    marks = list(written["special_tokens_mask"])
    return list(written["input_ids"])[: marks.index(0)]
