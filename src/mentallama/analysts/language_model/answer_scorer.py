"""Scoring the written answers of a question on a server: the interface, and the likelihood of given texts.

`EchoScorer` needs a server that repeats a text with the log-probabilities of its tokens (`/completions` with `echo` and
`logprobs`, as vLLM offers it); `chat_scoring` has the ways for servers of chats.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import fsum
from typing import Any

from mentallama.analysts.inference.token_trie import common_prefix_length
from mentallama.analysts.language_model.generative import label_probabilities
from mentallama.answers.format import REASONING_MARKER
from mentallama.llm_api.endpoint import CHAT_PATH, COMPLETIONS_PATH
from mentallama.llm_api.types import Completion, TokenLogprobs
from mentallama.prompts import ChatMessage
from mentallama.prompts.question_prompts import plain_text

Fields = dict[str, Any]
"""Fields of a request's body."""


@dataclass(frozen=True)
class WrittenQuestion:
    """A question as a model reads it: the messages with the post, and the written answer of each label.

    There are no answers where they have several parts.
    """

    messages: Sequence[ChatMessage]
    answers: Mapping[str, str]

    @property
    def text(self) -> str:
        """The messages as plain text."""
        return plain_text(self.messages)

    @property
    def labels(self) -> list[str]:
        return list(self.answers)


class AnswerScorer(ABC):
    """A way to get the probabilities of a question's labels from a server.

    Attributes
    ----------
    path
        The path that its requests are posted to.
    notice
        Where the probabilities come from, said to the user once; empty for the usual way.
    """

    path: str = CHAT_PATH
    notice: str = ""

    @abstractmethod
    def prompts(self, question: WrittenQuestion) -> list[Fields]:
        """The requests that score a question; empty if it cannot be scored in this way."""

    @abstractmethod
    def probabilities(
        self, question: WrittenQuestion, completions: Sequence[Completion]
    ) -> dict[str, float] | None:
        """Probabilities of all labels, which sum to 1, from the completions of `prompts`, in their order.

        None if the completions do not determine them.
        """

    @abstractmethod
    def explanation_prompt(self, question: WrittenQuestion, label: str) -> Fields:
        """The request that explains an answer."""


class EchoScorer(AnswerScorer):
    """The likelihood of each answer, from a server that repeats texts with their log-probabilities."""

    path = COMPLETIONS_PATH

    def __init__(self, name: str) -> None:
        self._name = name

    def prompts(self, question: WrittenQuestion) -> list[Fields]:
        return [scoring_fields([f"{question.text} {answer}" for answer in question.answers.values()])]

    def probabilities(
        self, question: WrittenQuestion, completions: Sequence[Completion]
    ) -> dict[str, float] | None:
        scores = answer_logprobs(completions[0], len(question.answers))
        return None if scores is None else label_probabilities(question.labels, scores, self._name)

    def explanation_prompt(self, question: WrittenQuestion, label: str) -> Fields:
        return {"prompt": f"{question.text} {question.answers[label]} {REASONING_MARKER}"}


def scoring_fields(texts: Sequence[str]) -> dict[str, Any]:
    """Fields that ask for the log-probabilities of texts; some servers generate at least one token."""
    return {"prompt": list(texts), "max_tokens": 1, "echo": True, "logprobs": 1}


def answer_logprobs(completion: Completion | None, count: int) -> list[float] | None:
    """Log-likelihoods in nats of `count` texts from the log-probabilities of their tokens, without the shared prefix.

    The prefix that all texts share (the query) does not tell which is more likely. None if log-probabilities are
    missing.
    """
    if completion is None or len(completion.token_logprobs) != count:
        return None
    # A server generates one token after each text or none; the token count tells which.
    n_generated, rest = divmod(completion.usage.get("output", count), count)
    if rest or n_generated > 1:
        return None
    texts = [_drop_last_tokens(logprobs, n_generated) for logprobs in completion.token_logprobs]
    n_shared = min(common_prefix_length(texts[0].tokens, text.tokens) for text in texts)
    if not n_shared:  # The first token has no log-probability.
        return None
    scored = [text.logprobs[n_shared:] for text in texts]
    if any(None in logprobs for logprobs in scored):
        return None
    return [fsum(logprob for logprob in logprobs if logprob is not None) for logprobs in scored]


def _drop_last_tokens(logprobs: TokenLogprobs, count: int) -> TokenLogprobs:
    end = len(logprobs.tokens) - count
    return TokenLogprobs(tokens=logprobs.tokens[:end], logprobs=logprobs.logprobs[:end])
