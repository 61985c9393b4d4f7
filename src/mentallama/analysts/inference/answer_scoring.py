"""How likely a decoder holds given answers: one pass over a post's questions and all their written answers.

The probability of an answer is that of its tokens behind the prompt, p(y|x) = prod_t p(y_t | x, y_<t). Logits are
computed only where an answer's token is foretold.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from transformers import DynamicCache

from mentallama.analysts.inference.token_trie import TokenTree, build_token_tree

LayerKeyValues = list[tuple[torch.Tensor, torch.Tensor]]
"""Keys and values of each layer, of shape (rows, heads, tokens, width)."""

LOGITS_CHUNK = 512
"""Places whose logits are held in float32 together: 512 x 128,000 words are 250 MiB."""


@dataclass(frozen=True)
class ScoringRequest:
    """One question as tokens: its prompt, and the answers it may have, each behind the prompt."""

    prompt: list[int]
    answers: tuple[list[int], ...] = ()

    @property
    def sequences(self) -> list[list[int]]:
        """All that is read: the prompt with each answer, or the prompt alone where none is given."""
        return [self.prompt + answer for answer in self.answers] or [self.prompt]


@dataclass(frozen=True)
class ScoringGroup:
    """Questions that are read together, about one post; `numbers` are theirs among all that are asked."""

    indices: list[int]
    requests: list[ScoringRequest]

    @cached_property
    def tree(self) -> TokenTree:
        """All that is read for the group."""
        return build_token_tree([sequence for ask in self.requests for sequence in ask.sequences])

    @property
    def n_tokens(self) -> int:
        """Tokens to read, each once."""
        return len(self.tree.tokens)

    def halves(self) -> list[ScoringGroup]:
        """The group as two with half of the questions each; as it is where it has but one."""
        middle = len(self.requests) // 2
        parts = [
            (self.indices[:middle], self.requests[:middle]),
            (self.indices[middle:], self.requests[middle:]),
        ]
        return [ScoringGroup(numbers, asks) for numbers, asks in parts if asks]

    def paths(self) -> Iterator[tuple[list[list[int]], list[list[int]]]]:
        """Each question's paths through the tree, and the parts of them behind its prompt."""
        paths = iter(self.tree.paths)
        for ask in self.requests:
            own = [next(paths) for _ in ask.sequences]
            yield own, [path[len(ask.prompt) :] for path in own[: len(ask.answers)]]


@dataclass(frozen=True)
class ScoredPrompt:
    """What a pass found for one question.

    `scores` are the answers' log-likelihoods in nats, `paths` the nodes of its sequences. Where the pass has kept
    `layers`, the tree is their row `row`.
    """

    answer_logprobs: list[float]
    paths: list[list[int]]
    cached_layers: LayerKeyValues | None = None
    cache_row: int = 0


def score_trees(model: Any, groups: Sequence[ScoringGroup], keep_cache: bool) -> list[list[ScoredPrompt]]:
    """Read each group as one tree, all in one pass; for each group, what was found for its questions.

    Parameters
    ----------
    keep
        Keep keys and values, to write behind an answer without reading the prompt again.
    """
    width = max(group.n_tokens for group in groups)
    before = _predecessors(groups, width)
    inputs = _tree_inputs([group.tree for group in groups], width, model)
    cache = DynamicCache() if keep_cache else None
    with logits_at_positions(model, list(before.values()) or [0]):
        logits = model(**inputs, past_key_values=cache, use_cache=keep_cache).logits[0]
    tokens = inputs["input_ids"].flatten()[list(before)]
    chances = dict(zip(before, token_logprobs(logits, tokens), strict=True))
    layers = None if cache is None else [(layer.keys, layer.values) for layer in cache.layers]
    return [
        [
            ScoredPrompt(
                [sum(chances[row * width + node] for node in path) for path in behind], paths, layers, row
            )
            for paths, behind in group.paths()
        ]
        for row, group in enumerate(groups)
    ]


def _predecessors(groups: Sequence[ScoringGroup], width: int) -> dict[int, int]:
    """Place of each answer's token -> place of the token before it, in the flattened pass."""
    found: dict[int, int] = {}
    for row, group in enumerate(groups):
        for paths, behind in group.paths():
            for path, answer in zip(paths, behind, strict=False):
                above = path[-len(answer) - 1 : -1]
                found |= {
                    row * width + node: row * width + one for node, one in zip(answer, above, strict=True)
                }
    return found


def _tree_inputs(trees: Sequence[TokenTree], width: int, model: Any) -> dict[str, torch.Tensor]:
    """Tokens, positions and mask of a pass. What fills up a tree sees itself only, and nobody sees it."""
    device, shape = model.device, (len(trees), width)
    tokens, depths = torch.zeros(shape, dtype=torch.long), torch.zeros(shape, dtype=torch.long)
    ends = torch.arange(1, width + 1).repeat(len(trees), 1)
    for row, tree in enumerate(trees):
        size = len(tree.tokens)
        tokens[row, :size] = torch.tensor(tree.tokens)
        depths[row, :size] = torch.tensor(tree.depths)
        ends[row, :size] = torch.tensor(tree.subtree_ends)
    places = torch.arange(width, device=device)
    above = (places <= places[:, None]) & (places[:, None] < ends.to(device)[:, None, :])
    return {
        "input_ids": tokens.to(device),
        "position_ids": depths.to(device),
        "attention_mask": additive_mask(above[:, None], model.dtype),
    }


def additive_mask(seen: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """A mask to add to attention's scores: 0 where `seen`, else the lowest number there is."""
    return torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill_(
        ~seen, torch.finfo(dtype).min
    )


@contextmanager
def logits_at_positions(model: Any, positions: Sequence[int]) -> Iterator[None]:
    """Within, logits have shape (1, places, words): those of some places of the flattened batch only."""
    chosen = torch.tensor(positions, device=model.device)

    def choose(module: Any, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        hidden = inputs[0]
        return (hidden.reshape(-1, hidden.shape[-1])[chosen.to(hidden.device)][None], *inputs[1:])

    hook = model.get_output_embeddings().register_forward_pre_hook(choose)
    try:
        yield
    finally:
        hook.remove()


def token_logprobs(logits: torch.Tensor, tokens: torch.Tensor) -> list[float]:
    """Log-probabilities of `tokens` (places,) by logits (places, words); in float32 whatever the logits are."""
    found: list[float] = []
    for start in range(0, len(tokens), LOGITS_CHUNK):
        part = logits[start : start + LOGITS_CHUNK].float()
        told = part.gather(1, tokens[start : start + LOGITS_CHUNK, None].to(part.device))[:, 0]
        found += (told - part.logsumexp(-1)).tolist()
    return found
