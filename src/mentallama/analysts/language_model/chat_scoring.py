"""Probabilities of labels from the log-probabilities that a chat gives for its own reply.

A server of chats does not score a given text, but it tells how likely the tokens of its replies were. Two readings:

- `GrammarScorer`: a grammar of token ids makes the model write each answer, and the log-probabilities before it is
  applied are those of the answer. This is the likelihood of the written answers, as `causal` computes it. llama.cpp
  takes such grammars.
- `ChatScorer`: the likeliest first tokens of a reply. They are compared with the beginnings of the answers where these
  differ from the first character on, such as yes and no; otherwise the answers are offered as letters, in several
  orders. It is no likelihood of a whole answer; docs/benchmarks.md says how often the labels agree.

No number is made up: tokens that a server does not list are bounded by those that it lists, and where the bound is not
small, or the answer begins in another way, or depends on the order of the letters, there are no probabilities.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from math import exp, factorial, fsum, log
from random import Random
from string import ascii_uppercase

from mentallama.analysts.language_model.answer_scorer import AnswerScorer, Fields, WrittenQuestion
from mentallama.analysts.language_model.generative import label_probabilities
from mentallama.answers.format import REASONING_MARKER
from mentallama.llm_api.types import Completion, ReplyToken
from mentallama.prompts import ChatMessage

MAX_UNLISTED = 0.01
"""Largest share of the probability that tokens which the server does not list may have; it bounds the error of every
probability. A label whose token is not listed gets 0."""

MIN_MASS = 0.01
"""Smallest probability that the reply begins with one of the answers at all; below it, the model does something else
first, such as thinking."""

TOP_LOGPROBS = (20, 5)
"""Numbers of alternatives to ask for, from the most that OpenAI gives to the most that some servers give."""

SPELLING_ALTERNATIVES = 200
"""Number of alternatives among which another way to split an answer is looked for."""

IMPROBABLE_TEXT = "Green seven walks."
"""A text that no model is inclined to write; log-probabilities before a grammar is applied show that."""

MAX_IMPROBABLE_LOGPROB = -5.0
"""Far above the log-likelihood of that text, and far below the 0 of a text that is the only one possible."""

CHOICE_REQUEST = "Choose one of these answers:"
LETTER_REQUEST = "Reply with the letter of the answer and nothing else."
EXPLANATION_REQUEST = "Explain this answer from the post's own words, in the language of the post."

Ask = Callable[[Fields], Completion | None]
"""Sends one chat request; None if the server rejects it."""


# Answers written by grammar


class GrammarScorer(AnswerScorer):
    """The likelihood of each answer, which a grammar makes the model write.

    The grammar consists of token ids, since a grammar of characters lets the model split a word that it does not expect
    into pieces. The ids of an answer are learned once, by letting the model repeat the answer.
    """

    notice = "a grammar makes the model write each answer, whose log-probabilities are used"

    def __init__(self, ask: Ask, name: str) -> None:
        self._ask, self._name = ask, name
        self._token_ids: dict[str, tuple[int, ...] | None] = {}

    def prompts(self, question: WrittenQuestion) -> list[Fields]:
        spelled = [self._spell(answer) for answer in question.answers.values()]
        if None in spelled:
            return []
        return [_forced_fields(question.messages, ids) for ids in spelled if ids is not None]

    def probabilities(
        self, question: WrittenQuestion, completions: Sequence[Completion]
    ) -> dict[str, float] | None:
        answers = question.answers.values()
        scores = [
            _forced_logprob(completion, self._spell(answer))
            for answer, completion in zip(answers, completions, strict=True)
        ]
        known = [score for score in scores if score is not None]
        return label_probabilities(question.labels, known, self._name) if len(known) == len(scores) else None

    def explanation_prompt(self, question: WrittenQuestion, label: str) -> Fields:
        """The answer and the word that introduces the explanation are the beginning of the model's own turn."""
        beginning = f"{question.answers[label]} {REASONING_MARKER}"
        return {"messages": [*question.messages, {"role": "assistant", "content": beginning}]}

    def supported(self) -> bool:
        """Whether the server obeys grammars of token ids, and gives log-probabilities from before they are applied."""
        ids = self._spell(IMPROBABLE_TEXT)
        if ids is None:
            return False
        completion = self._ask(_forced_fields(_user("What is the colour of the sky?"), ids))
        logprob = None if completion is None else _forced_logprob(completion, ids)
        return logprob is not None and logprob < MAX_IMPROBABLE_LOGPROB

    def _spell(self, answer: str) -> tuple[int, ...] | None:
        """The ids of an answer's tokens; None if the model does not repeat it in its usual tokens."""
        if answer not in self._token_ids:
            completion = self._ask(_spelling_fields(answer))
            self._token_ids[answer] = None if completion is None else spelled_ids(answer, completion)
        return self._token_ids[answer]


def _spelling_fields(answer: str) -> Fields:
    turns = [("user", answer), ("assistant", answer), ("user", answer)]
    return {
        "messages": [{"role": role, "content": content} for role, content in turns],
        # Some chat templates put a space before the model's turn, which is then part of its first token.
        "grammar": f'root ::= " "? {json.dumps(answer, ensure_ascii=False)}',
        "logprobs": True,
        "top_logprobs": SPELLING_ALTERNATIVES,
        "max_tokens": len(answer.encode()) + 2,
        "temperature": 0,
    }


def _forced_fields(messages: Sequence[ChatMessage], ids: Sequence[int]) -> Fields:
    return {
        "messages": list(messages),
        "grammar": f"root ::= {' '.join(f'<[{number}]>' for number in ids)}",
        "logprobs": True,
        "top_logprobs": 1,
        "max_tokens": len(ids) + 1,  # and the end of the turn
    }


def spelled_ids(answer: str, completion: Completion) -> tuple[int, ...] | None:
    """Ids of the tokens of a repeated answer, with a space before it or without, and without the end of the turn.

    None if the reply is another text, an id is missing, or the model may have split a word that is one token: it was
    not certain of a piece, and a longer one would have fitted.
    """
    ids, rest = list[int](), answer.encode()
    if completion.reply_tokens and completion.reply_tokens[0].piece.startswith(b" "):
        rest = b" " + rest
    for token in completion.reply_tokens:
        if not rest:
            break
        longer = any(
            len(piece) > len(token.piece) and rest.startswith(piece) for piece, _ in token.alternatives
        )
        if token.id is None or not token.piece or not rest.startswith(token.piece):
            return None
        if longer and token.logprob < log(0.5):
            return None
        ids.append(token.id)
        rest = rest.removeprefix(token.piece)
    return tuple(ids) if ids and not rest else None


def _forced_logprob(completion: Completion, ids: Sequence[int] | None) -> float | None:
    """Log-likelihood in nats of an answer that a grammar forced; None if the reply consists of other tokens."""
    tokens = completion.reply_tokens[: len(ids or ())]
    if not ids or [token.id for token in tokens] != list(ids):
        return None
    return fsum(token.logprob for token in tokens)


# The first token of a reply


class ChatScorer(AnswerScorer):
    """Probabilities from the first token of a reply: the beginning of an answer, or its letter.

    Parameters
    ----------
    top
        Number of alternatives to ask for.
    orders
        Orders in which the answers are offered as letters.
    """

    notice = (
        "probabilities come from the first token of a reply, which is another question than how likely a whole answer "
        "is (see docs/predict.md)"
    )

    def __init__(self, top: int, orders: int) -> None:
        self._top, self._orders = top, orders

    def prompts(self, question: WrittenQuestion) -> list[Fields]:
        if begin_differently(question.answers):
            return [first_token_fields(question.messages, self._top)]
        if len(question.answers) > len(ascii_uppercase):
            return []
        return [
            first_token_fields(letter_messages(question, order), self._top)
            for order in self._orders_of(question)
        ]

    def probabilities(
        self, question: WrittenQuestion, completions: Sequence[Completion]
    ) -> dict[str, float] | None:
        if begin_differently(question.answers):
            beginnings = {label: answer.casefold() for label, answer in question.answers.items()}
            return first_token_probabilities(completions[0], beginnings, _begins)
        orders = self._orders_of(question)
        by_order = [letter_probabilities(*each) for each in zip(completions, orders, strict=True)]
        known = [probabilities for probabilities in by_order if probabilities is not None]
        return average_orders(question.labels, known) if len(known) == len(by_order) else None

    def explanation_prompt(self, question: WrittenQuestion, label: str) -> Fields:
        """A turn of its own: not every server continues the model's turn."""
        answered = {"role": "assistant", "content": question.answers[label]}
        return {"messages": [*question.messages, answered, *_user(EXPLANATION_REQUEST)]}

    def _orders_of(self, question: WrittenQuestion) -> list[list[str]]:
        return label_orders(question.labels, self._orders, question.text)


def first_token_fields(messages: Sequence[ChatMessage], top: int) -> Fields:
    """A request for the log-probabilities of a reply's first token.

    The temperature is 1, since some servers report probabilities after it was applied.
    """
    return {
        "messages": list(messages),
        "logprobs": True,
        "top_logprobs": top,
        "max_tokens": 1,
        "temperature": 1,
    }


def lists_alternatives(completion: Completion | None) -> bool:
    """Whether the first token of a reply has log-probabilities of several possible tokens."""
    if completion is None or not completion.reply_tokens:
        return False
    return sum(exp(logprob) > 0 for _, logprob in completion.reply_tokens[0].alternatives) > 1


def begin_differently(answers: Mapping[str, str]) -> bool:
    """Whether the first character tells all answers apart, whatever its case."""
    return len({answer[:1].casefold() for answer in answers.values()}) == len(answers)


def letter_messages(question: WrittenQuestion, order: Sequence[str]) -> list[ChatMessage]:
    """The messages; the last is followed by the answers as letters."""
    options = [
        f"{letter}. {question.answers[label]}" for letter, label in zip(ascii_uppercase, order, strict=False)
    ]
    *earlier, last = question.messages
    content = "\n".join([last["content"], "", CHOICE_REQUEST, *options, "", LETTER_REQUEST])
    return [*earlier, last | {"content": content}]


def label_orders(labels: Sequence[str], count: int, seed: str) -> list[list[str]]:
    """Different orders of the labels, fewer than `count` if there are no more.

    They are rotations of a random order, so that as many orders as labels put each label in each place once.
    """
    random, orders = Random(seed), dict[tuple[str, ...], None]()
    while len(orders) < min(count, factorial(len(labels))):
        shuffled = random.sample(labels, len(labels))
        orders.update((tuple(shuffled[shift:] + shuffled[:shift]), None) for shift in range(len(labels)))
    return [list(order) for order in orders][:count]


def average_orders(labels: Sequence[str], by_order: Sequence[Mapping[str, float]]) -> dict[str, float] | None:
    """Mean probabilities over orders; None unless one label is the likeliest in more than half of them.

    Where it is not, the letters' places decide more than the post does.
    """
    wins = Counter(max(probabilities, key=probabilities.__getitem__) for probabilities in by_order)
    winner, count = wins.most_common(1)[0]
    means = {
        label: fsum(probabilities[label] for probabilities in by_order) / len(by_order) for label in labels
    }
    decided = count > len(by_order) / 2 and means[winner] == max(means.values())
    return means if decided else None


def first_token_probabilities(
    completion: Completion, texts: Mapping[str, str], matches: Callable[[str, str], bool]
) -> dict[str, float] | None:
    """Probabilities of labels from the alternatives to a reply's first token.

    `texts` are the answers or letters by label, in lower case; `matches(token, text)` tells which tokens stand for one.
    None if the reply begins with something else, or tokens that are not listed could change a probability by more than
    `MAX_UNLISTED`.
    """
    listed = _listed(completion.reply_tokens)
    masses = {
        label: fsum(mass for token, mass in listed if matches(token, text)) for label, text in texts.items()
    }
    mass = fsum(masses.values())
    if mass < MIN_MASS:
        return None
    n_missing = sum(value == 0 for value in masses.values())
    rest = max(0.0, 1 - fsum(value for _, value in listed))
    unlisted = min(rest, n_missing * min(value for _, value in listed))
    if unlisted / (mass + unlisted) > MAX_UNLISTED:
        return None
    return {label: value / mass for label, value in masses.items()}


def letter_probabilities(completion: Completion, order: Sequence[str]) -> dict[str, float] | None:
    """Probabilities of labels that were offered as letters, in an order of theirs; None as above."""
    letters = dict(zip(order, ascii_uppercase.casefold(), strict=False))
    return first_token_probabilities(completion, letters, _is_letter)


def _listed(tokens: Sequence[ReplyToken]) -> list[tuple[str, float]]:
    """The possible first tokens, in lower case without space around them, with their probabilities."""
    if not tokens:
        return []
    first = tokens[0]
    own = (
        [] if any(piece == first.piece for piece, _ in first.alternatives) else [(first.piece, first.logprob)]
    )
    return [
        (piece.decode("utf-8", "ignore").strip().casefold(), exp(logprob))
        for piece, logprob in (*own, *first.alternatives)
    ]


def _begins(token: str, answer: str) -> bool:
    return bool(token) and answer.startswith(token)


def _is_letter(token: str, letter: str) -> bool:
    return token.strip("().:*[]\"'`") == letter


def _user(content: str) -> list[ChatMessage]:
    return [{"role": "user", "content": content}]
