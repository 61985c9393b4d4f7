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

from mentallama.errors import WrongUse
from mentallama.records import Example, Form
from mentallama.tasks import Task, write_query

Template = Literal["auto", "chat", "plain"]

_ANCHOR = 12
"""Last characters of a prompt that may decide how an answer's first token is cut."""

_PROBE = "Answer"
"""Stands for an answer where a chat template is asked what it writes around one."""


@dataclass(frozen=True)
class Prompt:
    """Tokens of a prompt; `cut` counts the characters that were left out at the post's end."""

    ids: list[int]
    cut: int = 0


class Prompter:
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
            raise WrongUse(
                "template: chat is asked for, but the model's tokenizer has no chat template; use plain"
            )
        self.tokenizer, self.form, self.longest = tokenizer, form, longest
        self.chat = template != "plain" and bool(tokenizer.chat_template)
        self._marks = [token for token in tokenizer.all_special_tokens if len(token) > 1]

    def prompt(self, example: Example, task: Task, room: int) -> Prompt:
        """The tokens of an example's prompt, with `room` tokens left for the answer.

        A post that is too long loses its end; the question is never cut.

        Raises
        ------
        WrongUse
            The model's context does not even hold the question.
        """
        text, allowed = self._harmless(example.text), self.longest - room
        kept = len(text)
        while True:
            ids, starts = self._encode(self.write(task, example.question, text[:kept]))
            if len(ids) <= allowed:
                return Prompt(ids, len(text) - kept)
            if kept == 0:
                raise WrongUse(
                    f"the model holds {self.longest} tokens, and the question of {task.set} with an answer of {room} "
                    "takes more; ask for shorter answers or take another model"
                )
            # The excess is cut where the post's own last tokens begin; once more where cutting made other tokens.
            inside = self._shown(task, example.question, text[:kept], starts)
            excess = len(ids) - allowed
            kept = inside[-excess] if excess <= len(inside) else 0

    def write(self, task: Task, question: str, text: str) -> str:
        """The prompt as text."""
        query = write_query(task, question, self.form, text).rstrip()
        return self._turn(query) if self.chat else query

    def answer(self, text: str, ended: bool = True) -> list[int]:
        """The tokens of an answer behind a prompt; `ended`: with the token that ends it."""
        lead, tail = self._around
        written, anchor = lead + text + (tail if ended else ""), self._tail_of_prompt
        before, after = self._plain(anchor), self._plain(anchor + written)
        # Where the anchor's last token has grown, the answer stands by itself.
        ids = after[len(before) :] if after[: len(before)] == before else self._plain(written.lstrip())
        return [*ids, self.ends[0]] if ended and ids[-1:] != [self.ends[0]] else ids

    def read(self, ids: Sequence[int]) -> str:
        """The text of an answer's tokens, without its end."""
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True)).strip()

    @cached_property
    def ends(self) -> tuple[int, ...]:
        """Tokens that end an answer, the one that training writes first.

        Raises
        ------
        WrongUse
            The tokenizer has no end-of-sequence token.
        """
        eos = self.tokenizer.eos_token_id
        if eos is None:
            raise WrongUse("the model's tokenizer has no end-of-sequence token, so that an answer has no end")
        turn = self._plain(self._around[1].lstrip())[:1]
        return tuple(dict.fromkeys([*turn, eos]))

    @cached_property
    def _around(self) -> tuple[str, str]:
        """What stands between prompt and answer, and behind the answer."""
        if not self.chat:
            return " ", ""
        prompt = self._turn("?")
        turns = [{"role": "user", "content": "?"}, {"role": "assistant", "content": _PROBE}]
        whole = self.tokenizer.apply_chat_template(turns, tokenize=False)
        if not whole.startswith(prompt) or whole.count(_PROBE) != 1:
            return "", self.tokenizer.eos_token or ""
        lead, _, tail = whole[len(prompt) :].partition(_PROBE)
        return lead, tail.rstrip()

    @cached_property
    def _tail_of_prompt(self) -> str:
        return (self._turn("?") if self.chat else "?")[-_ANCHOR:]

    def _turn(self, query: str) -> str:
        turns = [{"role": "user", "content": query}]
        return str(self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))

    def _plain(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def _encode(self, prompt: str) -> tuple[list[int], list[int]]:
        """Tokens, and the character at which each begins; a chat template has written its own first token."""
        found = self.tokenizer(prompt, add_special_tokens=not self.chat, return_offsets_mapping=True)
        ids, starts = list(found["input_ids"]), [start for start, _ in found["offset_mapping"]]
        if (
            not self.chat and ids and ids[-1] == self.tokenizer.eos_token_id
        ):  # some tokenizers close what they read
            ids, starts = ids[:-1], starts[:-1]
        return ids, starts

    def _shown(self, task: Task, question: str, text: str, starts: Sequence[int]) -> list[int]:
        """Where tokens begin inside the post, in its own characters."""
        begin = self.write(task, question, text).rindex(text) if text else 0
        return sorted({start - begin for start in starts if begin <= start < begin + len(text)})

    def _harmless(self, text: str) -> str:
        """A post that spells a control token is text, not control."""
        for mark in self._marks:
            if mark in text:
                text = text.replace(mark, f"{mark[0]} {mark[1:]}")
        return text
