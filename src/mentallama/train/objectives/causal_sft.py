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

from mentallama.analysts.inference.prompt_encoding import PromptEncoder
from mentallama.records import Example
from mentallama.tasks import Task
from mentallama.train.loop.batching import PackingBin

IGNORE_INDEX = -100
"""The target of a token that no loss is taken of; torch's own word."""


@dataclass(frozen=True)
class CausalRow:
    """Tokens of one row, the first `prompt` of them without a target."""

    ids: Sequence[int]
    n_prompt: int

    @property
    def n_targets(self) -> int:
        return len(self.ids) - self.n_prompt


class TokenizedExample(Protocol):
    """A row as tokens: all of them, and how many have a target."""

    @property
    def ids(self) -> Sequence[int]: ...

    @property
    def n_targets(self) -> int: ...


ExampleT = TypeVar("ExampleT", bound=TokenizedExample)


@dataclass(frozen=True)
class TokenizedRows(Generic[ExampleT]):
    """Rows as tokens; `cut` of them lost the end of their post."""

    rows: list[ExampleT]
    n_truncated: int

    @property
    def lengths(self) -> list[int]:
        return [len(row.ids) for row in self.rows]


CausalRows = TokenizedRows[CausalRow]
"""Of a decoder."""


def tokenize_causal(
    examples: Sequence[Example], tasks: dict[str, Task], prompter: PromptEncoder
) -> CausalRows:
    """Turn examples with their responses into tokens.

    Raises
    ------
    WrongUse
        A response leaves no room for its question.
    """
    rows, cut = [], 0
    for example in examples:
        response = prompter.encode_answer(example.response or "")
        prompt = prompter.encode_prompt(example, tasks[example.task], len(response))
        cut += prompt.truncated_chars > 0
        rows.append(CausalRow([*prompt.ids, *response], len(prompt.ids)))
    return CausalRows(rows, cut)


@dataclass(frozen=True)
class CausalBatch:
    """Sequences side by side, shape (sequences, tokens).

    `targets` holds the token that should follow each, or UNLEARNT. `positions` is None where every sequence is one row:
    then rows stand to the left, and what is behind them is seen by none of their tokens. Packed rows each begin at
    position 0, which transformers takes for a border that attention does not cross.
    """

    input_ids: torch.Tensor
    targets: torch.Tensor
    position_ids: torch.Tensor | None


def collate_causal(
    rows: Sequence[CausalRow], bins: Sequence[PackingBin], device: torch.device
) -> CausalBatch:
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
        targets.append(wanted + [IGNORE_INDEX] * free)
        positions.append(begun + list(range(free)))
    return CausalBatch(
        torch.tensor(ids, device=device),
        torch.tensor(targets, device=device),
        torch.tensor(positions, device=device) if packed else None,
    )


def _targets(row: CausalRow) -> list[int]:
    """What should follow each token: the response's tokens, and nothing behind the last."""
    return [IGNORE_INDEX] * (row.n_prompt - 1) + list(row.ids[row.n_prompt :]) + [IGNORE_INDEX]


def causal_loss(model: Any, batch: CausalBatch) -> torch.Tensor:
    """Summed cross-entropy of all targets, in nats."""
    learnt = batch.targets != IGNORE_INDEX
    more = {} if batch.position_ids is None else {"position_ids": batch.position_ids}
    with head_on_positions(model, learnt):
        logits = model(input_ids=batch.input_ids, use_cache=False, **more).logits
    return cross_entropy(logits.float(), batch.targets[learnt], reduction="sum")


@contextmanager
def head_on_positions(model: Any, mask: torch.Tensor) -> Iterator[None]:
    """Send only some tokens through the model's head: its logits then have the shape (wanted tokens, vocabulary).

    `wanted` has the shape (sequences, tokens). The head is often the dearest layer of a pass, and most tokens are the
    post's. A hook does it for every architecture, within the forward pass of sharded and adapted models too.
    """
    head = model.get_output_embeddings()
    hook = head.register_forward_pre_hook(lambda _, args: (args[0][mask],))
    try:
        yield
    finally:
        hook.remove()
