"""Turn an example into the tokens that a decoder reads, in the same way for training and for prediction.

A prompt is the published query, alone or as the user's turn of the tokenizer's chat template; for prediction, it may be
preceded by instructions and examples (`prompts.question_prompts`). The answer is tokenized as the continuation of the
prompt's last characters. For both families of tokenizers, sentencepiece and byte-level BPE,
the result is that of tokenizing prompt and answer together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from mentallama.analysts.base import Template
from mentallama.analysts.inference.chat_template import keeps_turns, plain_chat_template, render_chat
from mentallama.errors import UsageError
from mentallama.prompts import ChatMessage, FewShotExample, with_system_role
from mentallama.prompts.question_prompts import ANSWER_CUE, PUBLISHED_QUERY, QuestionPrompts, plain_text
from mentallama.records import Example, Form
from mentallama.tasks import Task

_SUFFIX_CHARS = 12
"""Number of characters at the end of a prompt that may influence how an answer is tokenized."""

_PLACEHOLDER_ANSWER = "Answer"
"""An answer passed to a chat template to find out which text the template puts around it."""


_QUERY = ({"role": "user", "content": "?"},)
"""A query passed to a chat template to find out which text the template puts around it."""

_CONVERSATION = (
    {"role": "system", "content": "Instructions"},
    {"role": "user", "content": "First question"},
    {"role": "assistant", "content": "First answer"},
    {"role": "user", "content": "Last question"},
)
"""Turns passed to a chat template to find out whether it writes them all."""


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
    prompts
        How questions are put to the model.

    Raises
    ------
    UsageError
        `chat` is requested and the tokenizer has no template; or, in any method, its template fails.
    """

    def __init__(
        self,
        tokenizer: Any,
        form: Form,
        template: Template,
        context: int,
        prompts: QuestionPrompts = PUBLISHED_QUERY,
    ) -> None:
        if template == "chat" and not tokenizer.chat_template:
            raise UsageError(
                "template: chat is requested, but the model's tokenizer has no chat template; use plain"
            )
        self.tokenizer, self.form, self.context, self.prompts = tokenizer, form, context, prompts
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
        shots = self._shots(task, example.question, example.text)
        n_kept = len(text)
        while True:
            prompt = self.render_prompt(task, example.question, text[:n_kept], shots)
            ids, starts = self._tokenize_with_offsets(prompt)
            if len(ids) <= allowed:
                return EncodedPrompt(ids, len(text) - n_kept)
            if n_kept == 0:
                raise self._no_room_error(task, len(ids), reserved_tokens)
            # Cut where the excess tokens of the post begin; again if the shorter text tokenizes differently.
            begin, end = self.prompts.post_span(prompt, text[:n_kept])
            post_starts = sorted({start - begin for start in starts if begin <= start < end})
            excess = len(ids) - allowed
            n_kept = min(post_starts[-excess], n_kept - 1) if excess <= len(post_starts) else 0

    def render_prompt(
        self, task: Task, question: str, text: str, shots: Sequence[FewShotExample] = ()
    ) -> str:
        """The prompt as text."""
        messages = self.prompts.messages(task, question, self.form, text, shots)
        if not self.uses_chat_template:
            return plain_text(messages)
        return self._apply_chat_template(with_system_role(messages, self._system_role))

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
        prompt = self._apply_chat_template(_QUERY)
        turns = [*_QUERY, {"role": "assistant", "content": _PLACEHOLDER_ANSWER}]
        conversation = render_chat(self.tokenizer, turns, add_generation_prompt=False)
        if not conversation.startswith(prompt) or conversation.count(_PLACEHOLDER_ANSWER) != 1:
            return "", self.tokenizer.eos_token or ""
        before_answer, _, after_answer = conversation[len(prompt) :].partition(_PLACEHOLDER_ANSWER)
        return before_answer, after_answer.rstrip()

    @cached_property
    def _prompt_suffix(self) -> str:
        plain = ANSWER_CUE if self.prompts.instructs else "?"
        return (self._apply_chat_template(_QUERY) if self.uses_chat_template else plain)[-_SUFFIX_CHARS:]

    @cached_property
    def _system_role(self) -> str:
        """The role of instructions: `user`, where they precede the user's message, if the template has no other.

        Raises
        ------
        UsageError
            The template leaves out instructions or earlier turns.
        """
        for role in ("system", "user"):
            if keeps_turns(self.tokenizer, with_system_role(_CONVERSATION, role)):
                return role
        raise UsageError(
            "the chat template of the model's tokenizer leaves out instructions or earlier turns; use template: plain, "
            "or prompt: question"
        )

    def _apply_chat_template(self, messages: Sequence[ChatMessage]) -> str:
        return render_chat(self.tokenizer, messages, add_generation_prompt=True)

    def _shots(self, task: Task, question: str, text: str) -> list[FewShotExample]:
        def escape(text: str) -> str:
            return escape_special_tokens(text, self._special_tokens)

        return [
            shot.model_copy(update={"text": escape(shot.text), "explanation": escape(shot.explanation)})
            for shot in self.prompts.shots_for(task, question, text)
        ]

    def _no_room_error(self, task: Task, n_tokens: int, reserved_tokens: int) -> UsageError:
        """The error of a prompt that does not fit even without a post."""
        if not self.prompts.instructs:
            return UsageError(
                f"the model has a context of {self.context} tokens, too few for the question of {task.set} with an "
                f"answer of {reserved_tokens}; ask for shorter answers or use another model"
            )
        fewer = "fewer shots, " if self.prompts.mode == "few-shot" else ""
        return UsageError(
            f"the {self.prompts.mode} prompt of {task.set} has {n_tokens} tokens without a post; with an answer of "
            f"{reserved_tokens} it exceeds the model's context of {self.context}; use {fewer}shorter answers or "
            "another model"
        )

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


def escape_special_tokens(text: str, special_tokens: Sequence[str]) -> str:
    """Break up special tokens that a text spells out, so that they are tokenized as plain text."""
    for token in special_tokens:
        if len(token) > 1 and token in text:
            text = text.replace(token, f"{token[0]} {token[1:]}")
    return text
