"""Log-likelihoods of given answers under a decoder: one pass over a post's questions with all their written answers.

The likelihood of an answer is that of its tokens after the prompt, p(y|x) = prod_t p(y_t | x, y_<t). Logits are
computed only at the positions that predict a token of an answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from transformers import DynamicCache

from mentallama.analysts.inference.token_trie import TokenTree, build_token_tree, common_prefix_length

LayerKeyValues = list[tuple[torch.Tensor, torch.Tensor]]
"""Keys and values of each layer, of shape (rows, heads, tokens, width)."""

LOGITS_CHUNK = 512
"""Positions whose logits are converted to float32 together: 512 x a vocabulary of 128,000 are 250 MiB."""


@dataclass(frozen=True)
class ScoringRequest:
    """A question as tokens: its prompt, and its possible answers, each to be scored after the prompt."""

    prompt: list[int]
    answers: tuple[list[int], ...] = ()

    @property
    def sequences(self) -> list[list[int]]:
        """The prompt followed by each answer, or the prompt alone if there are no answers."""
        return [self.prompt + answer for answer in self.answers] or [self.prompt]


@dataclass(frozen=True)
class ScoringGroup:
    """Questions about one post, scored as one tree; `indices` are their positions among all questions."""

    indices: list[int]
    requests: list[ScoringRequest]

    @cached_property
    def tree(self) -> TokenTree:
        """All sequences of the group."""
        return build_token_tree([sequence for request in self.requests for sequence in request.sequences])

    @property
    def n_tokens(self) -> int:
        """Nodes of the tree: shared prefixes count once."""
        return len(self.tree.tokens)

    def halves(self) -> list[ScoringGroup]:
        """Two groups with half of the questions each; the group itself if it has only one."""
        middle = len(self.requests) // 2
        halves = [
            (self.indices[:middle], self.requests[:middle]),
            (self.indices[middle:], self.requests[middle:]),
        ]
        return [ScoringGroup(indices, requests) for indices, requests in halves if requests]

    def paths(self) -> Iterator[tuple[list[list[int]], list[list[int]]]]:
        """For each question the tree paths of its sequences, and their parts after the prompt (the answers)."""
        paths = iter(self.tree.paths)
        for request in self.requests:
            sequence_paths = [next(paths) for _ in request.sequences]
            answer_paths = [path[len(request.prompt) :] for path in sequence_paths[: len(request.answers)]]
            yield sequence_paths, answer_paths


def split_by_tree_size(requests: Sequence[ScoringRequest], limit: int | None) -> Iterator[slice]:
    """Consecutive requests that make trees of at most `limit` nodes, or of one request; None: all in one tree.

    What all prompts of a part have in common counts once, everything else as if nothing else were shared.
    """
    start, shared, total = 0, 0, 0
    for index, request in enumerate(requests):
        size = len(request.prompt) + sum(map(len, request.answers))
        common = common_prefix_length(requests[start].prompt, request.prompt)
        common = min(shared, common) if index > start else common
        if index > start and limit is not None and total + size - (index - start) * common > limit:
            yield slice(start, index)
            start, shared, total = index, len(request.prompt), size
        else:
            shared, total = common, total + size
    if start < len(requests):
        yield slice(start, len(requests))


@dataclass(frozen=True)
class ScoredPrompt:
    """Scores of one question: log-likelihoods of its answers in nats, and the tree paths of its sequences.

    If the pass kept its keys and values, the tree is row `cache_row` of `cached_layers`.
    """

    answer_logprobs: list[float]
    paths: list[list[int]]
    cached_layers: LayerKeyValues | None = None
    cache_row: int = 0


def score_trees(model: Any, groups: Sequence[ScoringGroup], keep_cache: bool) -> list[list[ScoredPrompt]]:
    """Score each group as one tree, all groups in one pass; returns the scored questions of each group.

    Parameters
    ----------
    keep_cache
        Keep keys and values, so that generation can continue after an answer without reading the prompt again.
    """
    width = max(group.n_tokens for group in groups)
    predecessors = _predecessors(groups, width)
    inputs = _tree_inputs([group.tree for group in groups], width, model)
    cache = DynamicCache() if keep_cache else None
    with logits_at_positions(model, list(predecessors.values()) or [0]):
        logits = model(**inputs, past_key_values=cache, use_cache=keep_cache).logits[0]
    tokens = inputs["input_ids"].flatten()[list(predecessors)]
    logprobs = dict(zip(predecessors, token_logprobs(logits, tokens), strict=True))
    layers = None if cache is None else [(layer.keys, layer.values) for layer in cache.layers]
    return [
        [
            ScoredPrompt(
                [sum(logprobs[row * width + node] for node in path) for path in answer_paths],
                sequence_paths,
                layers,
                row,
            )
            for sequence_paths, answer_paths in group.paths()
        ]
        for row, group in enumerate(groups)
    ]


def _predecessors(groups: Sequence[ScoringGroup], width: int) -> dict[int, int]:
    """Position of each answer token -> position of the token before it, in the flattened batch."""
    predecessors: dict[int, int] = {}
    for row, group in enumerate(groups):
        for sequence_paths, answer_paths in group.paths():
            for path, answer in zip(sequence_paths, answer_paths, strict=False):
                before = path[-len(answer) - 1 : -1]
                predecessors |= {
                    row * width + node: row * width + previous
                    for node, previous in zip(answer, before, strict=True)
                }
    return predecessors


def _tree_inputs(trees: Sequence[TokenTree], width: int, model: Any) -> dict[str, torch.Tensor]:
    """Tokens, positions and attention mask of a batch. Padding attends only to itself, and nothing attends to it."""
    device, shape = model.device, (len(trees), width)
    tokens, depths = torch.zeros(shape, dtype=torch.long), torch.zeros(shape, dtype=torch.long)
    ends = torch.arange(1, width + 1).repeat(len(trees), 1)
    for row, tree in enumerate(trees):
        size = len(tree.tokens)
        tokens[row, :size] = torch.tensor(tree.tokens)
        depths[row, :size] = torch.tensor(tree.depths)
        ends[row, :size] = torch.tensor(tree.subtree_ends)
    nodes = torch.arange(width, device=device)
    is_ancestor = (nodes <= nodes[:, None]) & (nodes[:, None] < ends.to(device)[:, None, :])
    return {
        "input_ids": tokens.to(device),
        "position_ids": depths.to(device),
        "attention_mask": additive_mask(is_ancestor[:, None], model.dtype),
    }


def additive_mask(visible: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Mask to add to attention scores: 0 where `visible`, otherwise the smallest number of the dtype."""
    return torch.zeros(visible.shape, dtype=dtype, device=visible.device).masked_fill_(
        ~visible, torch.finfo(dtype).min
    )


@contextmanager
def logits_at_positions(model: Any, positions: Sequence[int]) -> Iterator[None]:
    """Compute logits only at some positions of the flattened batch; they have shape (1, positions, vocabulary)."""
    selected = torch.tensor(positions, device=model.device)

    def select(module: Any, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        hidden = inputs[0]
        return (hidden.reshape(-1, hidden.shape[-1])[selected.to(hidden.device)][None], *inputs[1:])

    hook = model.get_output_embeddings().register_forward_pre_hook(select)
    try:
        yield
    finally:
        hook.remove()


def token_logprobs(logits: torch.Tensor, tokens: torch.Tensor) -> list[float]:
    """Log-probabilities of `tokens` (positions,) under logits (positions, vocabulary), computed in float32."""
    logprobs: list[float] = []
    for start in range(0, len(tokens), LOGITS_CHUNK):
        chunk = logits[start : start + LOGITS_CHUNK].float()
        selected = chunk.gather(1, tokens[start : start + LOGITS_CHUNK, None].to(chunk.device))[:, 0]
        logprobs += (selected - chunk.logsumexp(-1)).tolist()
    return logprobs
