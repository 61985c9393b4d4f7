"""Tune a decoder language model on instruction rows: the loss is that of the response alone.

What a row teaches is the prompt as prediction writes it (`models.prompting`) and the response behind it with the token
that ends it. Only the response's tokens have a target, so only they are sent through the model's head.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch.nn.functional import cross_entropy

from mentallama.analysts.inference.prompt_encoding import Prompter
from mentallama.records import Example
from mentallama.tasks import Task
from mentallama.train.loop.batching import Bin

UNLEARNT = -100
"""The target of a token that no loss is taken of; torch's own word."""


@dataclass(frozen=True)
class Row:
    """Tokens of one row, the first `prompt` of them without a target."""

    ids: Sequence[int]
    prompt: int

    @property
    def learnt(self) -> int:
        return len(self.ids) - self.prompt


class Lesson(Protocol):
    """A row as tokens: all of them, and how many have a target."""

    @property
    def ids(self) -> Sequence[int]: ...

    @property
    def learnt(self) -> int: ...


One = TypeVar("One", bound=Lesson)


@dataclass(frozen=True)
class Tokenised(Generic[One]):
    """Rows as tokens; `cut` of them lost the end of their post."""

    rows: list[One]
    cut: int

    @property
    def lengths(self) -> list[int]:
        return [len(row.ids) for row in self.rows]


Rows = Tokenised[Row]
"""Of a decoder."""


def tokenise(examples: Sequence[Example], tasks: dict[str, Task], prompter: Prompter) -> Rows:
    """Turn examples with their responses into tokens.

    Raises
    ------
    WrongUse
        A response leaves no room for its question.
    """
    rows, cut = [], 0
    for example in examples:
        response = prompter.answer(example.response or "")
        prompt = prompter.prompt(example, tasks[example.task], len(response))
        cut += prompt.cut > 0
        rows.append(Row([*prompt.ids, *response], len(prompt.ids)))
    return Rows(rows, cut)


@dataclass(frozen=True)
class Batch:
    """Sequences side by side, shape (sequences, tokens).

    `targets` holds the token that should follow each, or UNLEARNT. `positions` is None where every sequence is one row:
    then rows stand to the left, and what is behind them is seen by none of their tokens. Packed rows each begin at
    position 0, which transformers takes for a border that attention does not cross.
    """

    ids: torch.Tensor
    targets: torch.Tensor
    positions: torch.Tensor | None


def collate(rows: Sequence[Row], bins: Sequence[Bin], device: torch.device) -> Batch:
    """Lay bins of rows side by side."""
    longest = max(sum(len(rows[at].ids) for at in each) for each in bins)
    packed = any(len(each) > 1 for each in bins)
    ids, targets, positions = [], [], []
    for each in bins:
        line = [token for at in each for token in rows[at].ids]
        wanted = [token for at in each for token in _targets(rows[at])]
        begun = [place for at in each for place in range(len(rows[at].ids))]
        free = longest - len(line)
        ids.append(line + [0] * free)
        targets.append(wanted + [UNLEARNT] * free)
        positions.append(begun + list(range(free)))
    return Batch(
        torch.tensor(ids, device=device),
        torch.tensor(targets, device=device),
        torch.tensor(positions, device=device) if packed else None,
    )


def _targets(row: Row) -> list[int]:
    """What should follow each token: the response's tokens, and nothing behind the last."""
    return [UNLEARNT] * (row.prompt - 1) + list(row.ids[row.prompt :]) + [UNLEARNT]


def response_loss(model: Any, batch: Batch) -> torch.Tensor:
    """Summed cross-entropy of all targets, in nats."""
    learnt = batch.targets != UNLEARNT
    more = {} if batch.positions is None else {"position_ids": batch.positions}
    with only(model, learnt):
        logits = model(input_ids=batch.ids, use_cache=False, **more).logits
    return cross_entropy(logits.float(), batch.targets[learnt], reduction="sum")


@contextmanager
def only(model: Any, wanted: torch.Tensor) -> Iterator[None]:
    """Send only some tokens through the model's head: its logits then have the shape (wanted tokens, vocabulary).

    `wanted` has the shape (sequences, tokens). The head is often the dearest layer of a pass, and most tokens are the
    post's. A hook does it for every architecture, within the forward pass of sharded and adapted models too.
    """
    head = model.get_output_embeddings()
    hook = head.register_forward_pre_hook(lambda _, args: (args[0][wanted],))
    try:
        yield
    finally:
        hook.remove()
