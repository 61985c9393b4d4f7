"""Prompts by which an analyst asks a question: the published query alone, or instructions and examples before it.

The instructions and examples are those of a teacher who is not told the label (`teacher_prompts`). They are the same
for all posts of a question, so that a model computes this common beginning once and a server can cache it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from mentallama.prompts.few_shot import FewShotRow, ShotSampler, build_shot_sampler
from mentallama.prompts.teacher_prompts import (
    POST_END,
    POST_START,
    ChatMessage,
    FewShotExample,
    teacher_prompt,
)
from mentallama.records import Form
from mentallama.tasks import QuestionKey, Task, write_query
from mentallama.text.fingerprint import text_key

QuestionPrompt = Literal["question", "zero-shot", "few-shot"]

ANSWER_CUE = "Answer:"
"""Stands before each answer where a prompt with instructions is plain text."""

DEFAULT_SHOTS = 4
DEFAULT_SEED = 7


@dataclass(frozen=True)
class QuestionPrompts:
    """How questions are put to a model.

    Parameters
    ----------
    mode
        `question`: the published query. `zero-shot`: instructions with the answers to choose from, then the post and
        the question. `few-shot`: examples of the same question before it.
    rows
        Examples of any questions.
    shots
        Examples in a prompt.
    seed
        Seed of the choice of examples.
    """

    mode: QuestionPrompt = "question"
    rows: Sequence[FewShotRow] = ()
    shots: int = DEFAULT_SHOTS
    seed: int = DEFAULT_SEED
    _samplers: dict[QuestionKey, ShotSampler] = field(default_factory=dict, init=False, compare=False)

    @property
    def instructs(self) -> bool:
        """Whether there is more in a prompt than the published query."""
        return self.mode != "question"

    def answer_form(self, form: Form) -> Form:
        """The form of the answers: instructions ask for the sentences of the instruction form."""
        return "instruction" if self.instructs else form

    def shots_for(self, task: Task, question: str, text: str) -> tuple[FewShotExample, ...]:
        """The examples of a question: the same for all posts, except for one that is itself an example.

        Raises
        ------
        UsageError
            A label of the question has no example, or there are fewer examples than shots.
        """
        if self.mode != "few-shot":
            return ()
        key = (task.set, question)
        if key not in self._samplers:
            self._samplers[key] = build_shot_sampler(self.rows, task, question, self.shots, self.seed)
        return self._samplers[key](text_key(text))

    def messages(
        self, task: Task, question: str, form: Form, text: str, shots: Sequence[FewShotExample] = ()
    ) -> list[ChatMessage]:
        """The messages about a post; `shots` are those of `shots_for`, which sees the post before it is shortened."""
        if self.mode == "question":
            return [{"role": "user", "content": write_query(task, question, form, text).rstrip()}]
        return teacher_prompt(task, question, text, self.mode, shots=shots)

    def post_span(self, prompt: str, text: str) -> tuple[int, int]:
        """Where the post stands in a prompt, as character offsets."""
        if self.mode == "question":
            start = prompt.rindex(text) if text else 0
            return start, start + len(text)
        return prompt.rindex(POST_START) + len(POST_START), prompt.rindex(POST_END)


PUBLISHED_QUERY = QuestionPrompts()
"""The prompt that models are trained on."""


def plain_text(messages: Sequence[ChatMessage]) -> str:
    """A prompt for a model without a chat template: the query alone, or all messages and a cue for the answer."""
    if len(messages) == 1:
        return messages[0]["content"]
    parts = [
        f"{ANSWER_CUE} {message['content']}" if message["role"] == "assistant" else message["content"]
        for message in messages
    ]
    return "\n\n".join([*parts, ANSWER_CUE])


def before_next_post(text: str) -> tuple[str, bool]:
    """The text that a model wrote before it went on with a post of its own, and whether it did.

    Plain text has no end of a turn: after an answer, a model continues the pattern of the prompt.
    """
    answer, mark, _ = text.partition(POST_START.rstrip())
    return answer.rstrip(), bool(mark)
