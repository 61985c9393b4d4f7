"""Chat templates: rendering those that come with a model, and writing one for a model trained on plain prompts.

A template is a program of unknown origin. transformers runs it in Jinja's sandbox, which denies access to Python but
bounds neither time nor output; both are bounded here.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

from mentallama.errors import UsageError

MAX_LINES = 1_000_000
"""Lines of a template that may run for one prompt; published templates run fewer than a thousand."""

MAX_ADDED_CHARS = 100_000
"""Characters that a template may put around the messages."""

_TEMPLATE_FILE = "<template>"
"""The file name that Jinja gives to the code of a template."""

_TURNS = (
    "{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}{{ ' ' + message['content'] + eos_token }}"
    "{% else %}{{ message['content'] | trimCLEAN }}{% if message['role'] == 'system' %}{{ '\\n\\n' }}{% endif %}"
    "{% endif %}{% endfor %}"
)
"""The query as it stands, and answers as in training: after a space, ended by the end-of-sequence token. CLEAN stands
for filters that break up special tokens."""

_PROBE = 'Consider this post: "I can\'t sleep.\n\nNo <b>rest</b>, 3 days…" Question: Is this so?'


class _TooManyLines(Exception):
    """A template runs on and on."""


def render_chat(tokenizer: Any, turns: Sequence[dict[str, str]], add_generation_prompt: bool) -> str:
    """The turns as the tokenizer's chat template writes them.

    Raises
    ------
    UsageError
        The template fails, runs on and on, writes without end, or leaves out what the user says.
    """
    contents = [turn["content"] for turn in turns]
    try:
        with _bounded_template():
            text = tokenizer.apply_chat_template(
                list(turns), tokenize=False, add_generation_prompt=add_generation_prompt
            )
    except _TooManyLines:
        raise _template_error(f"it runs more than {MAX_LINES:,} lines for one prompt") from None
    except Exception as error:  # a template may fail in any way, and Jinja's message may quote the post
        raise _template_error(f"it fails with {type(error).__name__}") from None
    if not isinstance(text, str) or len(text) > MAX_ADDED_CHARS + 2 * sum(map(len, contents)):
        raise _template_error(f"it adds more than {MAX_ADDED_CHARS:,} characters to the messages")
    if contents[0] not in text:
        raise _template_error("its prompt does not hold the user's message as it stands")
    return text


def keeps_turns(tokenizer: Any, turns: Sequence[dict[str, str]]) -> bool:
    """Whether the tokenizer's chat template writes all of these turns, in their order, as they stand."""
    try:
        text = render_chat(tokenizer, turns, add_generation_prompt=True)
    except UsageError:
        return False
    for turn in turns:
        _, found, text = text.partition(turn["content"])
        if not found:
            return False
    return True


def _template_error(problem: str) -> UsageError:
    return UsageError(
        f"the chat template of the model's tokenizer cannot be used: {problem}; use template: plain, or mend the "
        "template"
    )


@contextmanager
def _bounded_template() -> Iterator[None]:
    """Raise `_TooManyLines` in a template that runs more than `MAX_LINES` lines in the block.

    Lines are counted rather than seconds, so that a slow machine renders what a fast one does.
    """
    left = MAX_LINES

    def count(frame: FrameType, event: str, _: Any) -> Callable[..., Any]:
        nonlocal left
        left -= event == "line"
        if left < 0:
            raise _TooManyLines
        return count

    def on_call(frame: FrameType, event: str, _: Any) -> Callable[..., Any] | None:
        return count if frame.f_code.co_filename == _TEMPLATE_FILE else None

    before = sys.gettrace()
    sys.settrace(on_call)
    try:
        yield
    finally:
        sys.settrace(before)


def plain_chat_template(tokenizer: Any, special_tokens: Sequence[str]) -> str | None:
    """A chat template whose prompts are, token for token, the plain prompts that `tokenizer` makes; None if none is.

    Servers render a template and then tokenize without adding special tokens, so the template writes what the tokenizer
    puts in front. Some tokenizers mark the first word differently after a special token; a space makes up for it.
    `special_tokens` are broken up, as they are in the posts of prompts.
    """
    ids = list(tokenizer(_PROBE)["input_ids"])
    if ids[-1:] == [tokenizer.eos_token_id]:
        ids = ids[:-1]
    bos = tokenizer.bos_token_id
    fronts = ("{{ bos_token }}", "{{ bos_token + ' ' }}") if bos is not None and ids[0] == bos else ("",)
    clean = "".join(
        f" | replace({_quoted(token)}, {_quoted(f'{token[0]} {token[1:]}')})" for token in special_tokens
    )
    for front in fronts:
        template = front + _TURNS.replace("CLEAN", clean)
        rendered = tokenizer.apply_chat_template(
            [{"role": "user", "content": _PROBE}],
            chat_template=template,
            tokenize=False,
            add_generation_prompt=True,
        )
        if list(tokenizer(rendered, add_special_tokens=False)["input_ids"]) == ids:
            return template
    return None


def _quoted(text: str) -> str:
    """A string literal of Jinja."""
    return json.dumps(text, ensure_ascii=False)
