"""Turn an example into the tokens that a decoder reads, in the same way for training and for prediction.

A prompt is the published query, alone or as the user's turn of the tokenizer's chat template. The answer is tokenized
as the continuation of the prompt's last characters. For both families of tokenizers, sentencepiece and byte-level BPE,
the result is that of tokenizing prompt and answer together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from mentallama.analysts.base import Template
from mentallama.analysts.inference.chat_template import plain_chat_template, render_chat
from mentallama.errors import UsageError
from mentallama.records import Example, Form
from mentallama.tasks import Task, write_query

_SUFFIX_CHARS = 12
"""Number of characters at the end of a prompt that may influence how an answer is tokenized."""

_PLACEHOLDER_ANSWER = "Answer"
"""An answer passed to a chat template to find out which text the template puts around it."""


@dataclass(frozen=True)
class EncodedPrompt:
    """Tokens of a prompt; `truncated_chars` is the number of characters cut off the end of the post."""

    ids: list[int]
    truncated_chars: int = 0


class PromptEncoder:
    """Tokenizes prompts and answers for a decoder.

    Parameters
    ----------
    tokenizer
        A fast tokenizer of transformers.
    form
        The published form of queries.
    template
        `auto`: the chat template if the tokenizer has one.
    context
        Tokens that the model can process, prompt and answer together.

    Raises
    ------
    UsageError
        `chat` is requested and the tokenizer has no template; or, in any method, its template fails.
    """

    def __init__(self, tokenizer: Any, form: Form, template: Template, context: int) -> None:
        if template == "chat" and not tokenizer.chat_template:
            raise UsageError(
                "template: chat is requested, but the model's tokenizer has no chat template; use plain"
            )
        self.tokenizer, self.form, self.context = tokenizer, form, context
        self.uses_chat_template = template != "plain" and bool(tokenizer.chat_template)
        self._special_tokens = [token for token in tokenizer.all_special_tokens if len(token) > 1]

    def encode_prompt(self, example: Example, task: Task, reserved_tokens: int) -> EncodedPrompt:
        """Tokenize an example's prompt, leaving `reserved_tokens` of the context for the answer.

        A post that is too long is truncated at its end; the question never is.

        Raises
        ------
        UsageError
            The question alone exceeds the model's context.
        """
        text, allowed = (
            escape_special_tokens(example.text, self._special_tokens),
            self.context - reserved_tokens,
        )
        n_kept = len(text)
        while True:
            prompt = self.render_prompt(task, example.question, text[:n_kept])
            ids, starts = self._tokenize_with_offsets(prompt)
            if len(ids) <= allowed:
                return EncodedPrompt(ids, len(text) - n_kept)
            if n_kept == 0:
                raise UsageError(
                    f"the model has a context of {self.context} tokens, too few for the question of {task.set} with an "
                    f"answer of {reserved_tokens}; ask for shorter answers or use another model"
                )
            # Cut where the excess tokens of the post begin; again if the shorter text tokenizes differently.
            post_starts = self._post_token_starts(task, example.question, text[:n_kept], starts)
            excess = len(ids) - allowed
            n_kept = post_starts[-excess] if excess <= len(post_starts) else 0

    def render_prompt(self, task: Task, question: str, text: str) -> str:
        """The prompt as text."""
        query = write_query(task, question, self.form, text).rstrip()
        return self._apply_chat_template(query) if self.uses_chat_template else query

    def encode_answer(self, text: str, add_stop_token: bool = True) -> list[int]:
        """Tokenize an answer as the continuation of a prompt."""
        before_answer, after_answer = self._answer_delimiters
        continuation = before_answer + text + (after_answer if add_stop_token else "")
        suffix = self._tokenize(self._prompt_suffix)
        joint = self._tokenize(self._prompt_suffix + continuation)
        # If the last token of the prompt would absorb part of the answer, the answer is tokenized separately.
        extends = joint[: len(suffix)] == suffix
        ids = joint[len(suffix) :] if extends else self._tokenize(continuation.lstrip())
        if add_stop_token and ids[-1:] != [self.stop_token_ids[0]]:
            ids = [*ids, self.stop_token_ids[0]]
        return ids

    def decode_answer(self, ids: Sequence[int]) -> str:
        """The text of an answer's tokens, without special tokens."""
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True)).strip()

    @property
    def template(self) -> Literal["chat", "plain"]:
        """The template of the prompts, with `auto` decided."""
        return "chat" if self.uses_chat_template else "plain"

    def served_template(self) -> str | None:
        """The chat template with which a server makes these prompts from a user's message; None if there is none."""
        if self.uses_chat_template:
            return str(self.tokenizer.chat_template)
        return plain_chat_template(self.tokenizer, self._special_tokens)

    @cached_property
    def stop_token_ids(self) -> tuple[int, ...]:
        """Tokens that end an answer; the first is the one that training appends.

        Raises
        ------
        UsageError
            The tokenizer has no end-of-sequence token.
        """
        eos = self.tokenizer.eos_token_id
        if eos is None:
            raise UsageError(
                "the model's tokenizer has no end-of-sequence token, so the end of an answer cannot be recognised"
            )
        end_of_turn = self._tokenize(self._answer_delimiters[1].lstrip())[:1]
        return tuple(dict.fromkeys([*end_of_turn, eos]))

    @cached_property
    def _answer_delimiters(self) -> tuple[str, str]:
        """The text between prompt and answer, and the text after the answer."""
        if not self.uses_chat_template:
            return " ", ""
        prompt = self._apply_chat_template("?")
        turns = [{"role": "user", "content": "?"}, {"role": "assistant", "content": _PLACEHOLDER_ANSWER}]
        conversation = render_chat(self.tokenizer, turns, add_generation_prompt=False)
        if not conversation.startswith(prompt) or conversation.count(_PLACEHOLDER_ANSWER) != 1:
            return "", self.tokenizer.eos_token or ""
        before_answer, _, after_answer = conversation[len(prompt) :].partition(_PLACEHOLDER_ANSWER)
        return before_answer, after_answer.rstrip()

    @cached_property
    def _prompt_suffix(self) -> str:
        return (self._apply_chat_template("?") if self.uses_chat_template else "?")[-_SUFFIX_CHARS:]

    def _apply_chat_template(self, query: str) -> str:
        return render_chat(self.tokenizer, [{"role": "user", "content": query}], add_generation_prompt=True)

    def _tokenize(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def _tokenize_with_offsets(self, prompt: str) -> tuple[list[int], list[int]]:
        """Tokens and the character offset of each. A chat template has already written the first special token."""
        encoding = self.tokenizer(
            prompt, add_special_tokens=not self.uses_chat_template, return_offsets_mapping=True
        )
        ids, starts = list(encoding["input_ids"]), [start for start, _ in encoding["offset_mapping"]]
        # Some tokenizers append an end-of-sequence token.
        if not self.uses_chat_template and ids and ids[-1] == self.tokenizer.eos_token_id:
            ids, starts = ids[:-1], starts[:-1]
        return ids, starts

    def _post_token_starts(self, task: Task, question: str, text: str, starts: Sequence[int]) -> list[int]:
        """Character offsets within the post at which its tokens begin."""
        begin = self.render_prompt(task, question, text).rindex(text) if text else 0
        return sorted({start - begin for start in starts if begin <= start < begin + len(text)})


def escape_special_tokens(text: str, special_tokens: Sequence[str]) -> str:
    """Break up special tokens that a text spells out, so that they are tokenized as plain text."""
    for token in special_tokens:
        if len(token) > 1 and token in text:
            text = text.replace(token, f"{token[0]} {token[1:]}")
    return text
