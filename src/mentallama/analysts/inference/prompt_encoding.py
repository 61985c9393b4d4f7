"""From an example to the tokens that a decoder language model reads, the same in training and in prediction.

A prompt is the published query, alone or as the user's turn of the tokenizer's chat template. The answer follows it as
it would in one text: its tokens are those that stand behind the prompt's last characters, so that tokenizers of both
families (sentencepiece with its marks of spaces, byte-level BPE) give what joint tokenization gives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from mentallama.errors import UsageError
from mentallama.records import Example, Form
from mentallama.tasks import Task, write_query

Template = Literal["auto", "chat", "plain"]

_SUFFIX_CHARS = 12
"""Last characters of a prompt that may decide how an answer's first token is cut."""

_PLACEHOLDER_ANSWER = "Answer"
"""Stands for an answer where a chat template is asked what it writes around one."""


@dataclass(frozen=True)
class EncodedPrompt:
    """Tokens of a prompt; `cut` counts the characters that were left out at the post's end."""

    ids: list[int]
    truncated_chars: int = 0


class PromptEncoder:
    """Write prompts and answers as tokens.

    Parameters
    ----------
    tokenizer
        A fast tokenizer of transformers.
    form
        The published form of queries.
    template
        `auto`: the chat template where the tokenizer has one.
    longest
        Tokens that the model can hold, prompt and answer together.

    Raises
    ------
    WrongUse
        `chat` is asked for and the tokenizer has no template.
    """

    def __init__(self, tokenizer: Any, form: Form, template: Template, longest: int) -> None:
        if template == "chat" and not tokenizer.chat_template:
            raise UsageError(
                "template: chat is asked for, but the model's tokenizer has no chat template; use plain"
            )
        self.tokenizer, self.form, self.context = tokenizer, form, longest
        self.uses_chat_template = template != "plain" and bool(tokenizer.chat_template)
        self._special_tokens = [token for token in tokenizer.all_special_tokens if len(token) > 1]

    def encode_prompt(self, example: Example, task: Task, reserved_tokens: int) -> EncodedPrompt:
        """The tokens of an example's prompt, with `room` tokens left for the answer.

        A post that is too long loses its end; the question is never cut.

        Raises
        ------
        WrongUse
            The model's context does not even hold the question.
        """
        text, allowed = self._escape_special_tokens(example.text), self.context - reserved_tokens
        kept = len(text)
        while True:
            ids, starts = self._tokenize_with_offsets(self.render_prompt(task, example.question, text[:kept]))
            if len(ids) <= allowed:
                return EncodedPrompt(ids, len(text) - kept)
            if kept == 0:
                raise UsageError(
                    f"the model holds {self.context} tokens, and the question of {task.set} with an answer of {reserved_tokens} "
                    "takes more; ask for shorter answers or take another model"
                )
            # The excess is cut where the post's own last tokens begin; once more where cutting made other tokens.
            inside = self._post_token_starts(task, example.question, text[:kept], starts)
            excess = len(ids) - allowed
            kept = inside[-excess] if excess <= len(inside) else 0

    def render_prompt(self, task: Task, question: str, text: str) -> str:
        """The prompt as text."""
        query = write_query(task, question, self.form, text).rstrip()
        return self._apply_chat_template(query) if self.uses_chat_template else query

    def encode_answer(self, text: str, add_stop_token: bool = True) -> list[int]:
        """The tokens of an answer behind a prompt; `ended`: with the token that ends it."""
        lead, tail = self._answer_delimiters
        written, anchor = lead + text + (tail if add_stop_token else ""), self._prompt_suffix
        before, after = self._tokenize(anchor), self._tokenize(anchor + written)
        # Where the anchor's last token has grown, the answer stands by itself.
        ids = after[len(before) :] if after[: len(before)] == before else self._tokenize(written.lstrip())
        return (
            [*ids, self.stop_token_ids[0]] if add_stop_token and ids[-1:] != [self.stop_token_ids[0]] else ids
        )

    def decode_answer(self, ids: Sequence[int]) -> str:
        """The text of an answer's tokens, without its end."""
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True)).strip()

    @cached_property
    def stop_token_ids(self) -> tuple[int, ...]:
        """Tokens that end an answer, the one that training writes first.

        Raises
        ------
        WrongUse
            The tokenizer has no end-of-sequence token.
        """
        eos = self.tokenizer.eos_token_id
        if eos is None:
            raise UsageError(
                "the model's tokenizer has no end-of-sequence token, so that an answer has no end"
            )
        turn = self._tokenize(self._answer_delimiters[1].lstrip())[:1]
        return tuple(dict.fromkeys([*turn, eos]))

    @cached_property
    def _answer_delimiters(self) -> tuple[str, str]:
        """What stands between prompt and answer, and behind the answer."""
        if not self.uses_chat_template:
            return " ", ""
        prompt = self._apply_chat_template("?")
        turns = [{"role": "user", "content": "?"}, {"role": "assistant", "content": _PLACEHOLDER_ANSWER}]
        whole = self.tokenizer.apply_chat_template(turns, tokenize=False)
        if not whole.startswith(prompt) or whole.count(_PLACEHOLDER_ANSWER) != 1:
            return "", self.tokenizer.eos_token or ""
        lead, _, tail = whole[len(prompt) :].partition(_PLACEHOLDER_ANSWER)
        return lead, tail.rstrip()

    @cached_property
    def _prompt_suffix(self) -> str:
        return (self._apply_chat_template("?") if self.uses_chat_template else "?")[-_SUFFIX_CHARS:]

    def _apply_chat_template(self, query: str) -> str:
        turns = [{"role": "user", "content": query}]
        return str(self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))

    def _tokenize(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def _tokenize_with_offsets(self, prompt: str) -> tuple[list[int], list[int]]:
        """Tokens, and the character at which each begins; a chat template has written its own first token."""
        found = self.tokenizer(
            prompt, add_special_tokens=not self.uses_chat_template, return_offsets_mapping=True
        )
        ids, starts = list(found["input_ids"]), [start for start, _ in found["offset_mapping"]]
        if (
            not self.uses_chat_template and ids and ids[-1] == self.tokenizer.eos_token_id
        ):  # some tokenizers close what they read
            ids, starts = ids[:-1], starts[:-1]
        return ids, starts

    def _post_token_starts(self, task: Task, question: str, text: str, starts: Sequence[int]) -> list[int]:
        """Where tokens begin inside the post, in its own characters."""
        begin = self.render_prompt(task, question, text).rindex(text) if text else 0
        return sorted({start - begin for start in starts if begin <= start < begin + len(text)})

    def _escape_special_tokens(self, text: str) -> str:
        """A post that spells a control token is text, not control."""
        for mark in self._special_tokens:
            if mark in text:
                text = text.replace(mark, f"{mark[0]} {mark[1:]}")
        return text
