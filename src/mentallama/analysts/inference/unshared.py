"""The plain way: every prompt with every answer a row of its own.

For decoders whose layers do not see all that stands before a token (sliding windows, recurrent layers), or that place
tokens in ways of their own, so that a tree cannot be laid out for them.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import torch
from transformers import DynamicCache, GenerationConfig
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from mentallama.analysts.inference.answer_scoring import ScoringRequest, logits_at_positions, token_logprobs
from mentallama.analysts.inference.batching import TokenBudget, run_in_batches
from mentallama.analysts.inference.generation import GenerationSlot, StopCriteria

_MASKABLE_ATTENTION = {"sdpa", "eager"}
"""Kinds of attention that take any mask."""


_UNBATCHED_MODEL_TYPES = {"rwkv"}
"""Models that write other things where several rows are written at once (RWKV of transformers 5.17)."""


def max_tree_length(model: Any, context: int) -> int:
    """Tokens that a sequence may have to be read as part of a tree; 0 where the model cannot read trees."""
    config = model.config.get_text_config(decoder=True)
    takes_places = "position_ids" in inspect.signature(model.forward).parameters
    if not takes_places or getattr(config, "alibi", False) or getattr(model, "_is_stateful", False):
        return 0
    if config._attn_implementation not in _MASKABLE_ATTENTION:
        return 0
    layers = DynamicCache(config=config).layers
    if any(type(layer) not in {DynamicLayer, DynamicSlidingWindowLayer} for layer in layers):
        return 0
    windows = [int(layer.sliding_window) for layer in layers if isinstance(layer, DynamicSlidingWindowLayer)]
    if "local" in getattr(config, "attention_layers", ()):  # GPT-Neo's own word for windows
        windows.append(int(config.window_size))
    return min([context, *windows])


@dataclass(frozen=True)
class SingleAnswer:
    """One answer to one question, by their numbers."""

    index: int
    answer_index: int
    request: ScoringRequest

    @property
    def n_tokens(self) -> int:
        return len(self.request.sequences[0])

    def halves(self) -> list[SingleAnswer]:
        """It has no parts."""
        return [self]


def score_unshared(
    model: Any, requests: dict[int, ScoringRequest], budget: TokenBudget
) -> dict[int, list[float]]:
    """Log-likelihoods in nats of each question's answers."""
    singles = [
        SingleAnswer(number, place, ScoringRequest(ask.prompt, (answer,)))
        for number, ask in requests.items()
        for place, answer in enumerate(ask.answers)
    ]
    scores = {number: [0.0] * len(ask.answers) for number, ask in requests.items()}
    for part, found in run_in_batches(singles, budget, lambda part: _score_batch(model, part)):
        for single, score in zip(part, found, strict=True):
            scores[single.index][single.answer_index] = score
    return scores


def _score_batch(model: Any, part: Sequence[SingleAnswer]) -> list[float]:
    """Each row's score. What fills rows up stands behind them, where no layer looks from."""
    width = max(single.n_tokens for single in part)
    tokens = torch.zeros((len(part), width), dtype=torch.long)
    for row, single in enumerate(part):
        tokens[row, : single.n_tokens] = torch.tensor(single.request.sequences[0])
    told = [
        [row * width + column for column in range(len(single.request.prompt), single.n_tokens)]
        for row, single in enumerate(part)
    ]
    places = [place for row in told for place in row]
    with logits_at_positions(model, [place - 1 for place in places]):
        logits = model(input_ids=tokens.to(model.device), use_cache=False).logits[0]
    chances = iter(token_logprobs(logits, tokens.flatten()[places]))
    return [sum(next(chances) for _ in row) for row in told]


@dataclass(frozen=True)
class EqualLengthGroup:
    """Rows of equal length: they need no filling up, which recurrent layers would read."""

    slots: list[GenerationSlot]

    @property
    def n_tokens(self) -> int:
        return sum(len(row.tokens) for row in self.slots)

    def halves(self) -> list[EqualLengthGroup]:
        middle = len(self.slots) // 2
        return [EqualLengthGroup(rows) for rows in (self.slots[:middle], self.slots[middle:]) if rows]


def generate_unshared(
    model: Any, slots: Sequence[GenerationSlot], stop: StopCriteria, budget: TokenBudget
) -> Iterator[GenerationSlot]:
    """Write each row to its end or its bound, with the model's own way of generating."""
    limit = 1 if model.config.model_type in _UNBATCHED_MODEL_TYPES else budget.max_tokens
    ordered = sorted(slots, key=lambda row: len(row.tokens))
    kin = []
    for length, found in groupby(ordered, key=lambda row: len(row.tokens)):
        equal, most = list(found), max(1, limit // length)
        kin += [EqualLengthGroup(equal[start : start + most]) for start in range(0, len(equal), most)]
    for part, written in run_in_batches(
        kin, budget, lambda part: [_generate(model, each, stop) for each in part]
    ):
        for each, tokens in zip(part, written, strict=True):
            for row, own in zip(each.slots, tokens, strict=True):
                row.generated = _until_stop_token(own, stop.stop_token_ids)
                row.ended = True
                yield row


def _generate(model: Any, kin: EqualLengthGroup, bounds: StopCriteria) -> list[list[int]]:
    prompts = torch.tensor([row.tokens for row in kin.slots], device=model.device)
    greedy = GenerationConfig(
        do_sample=False,
        max_new_tokens=bounds.max_new_tokens,
        eos_token_id=sorted(bounds.stop_token_ids),
        pad_token_id=min(bounds.stop_token_ids),
    )
    with _default_generation_config(model):
        found = model.generate(prompts, attention_mask=torch.ones_like(prompts), generation_config=greedy)
    return [row[len(kin.slots[0].tokens) :] for row in found.tolist()]


@contextmanager
def _default_generation_config(model: Any) -> Iterator[None]:
    """Within, nothing that was published beside a model (penalties, temperatures) changes what is written."""
    published, model.generation_config = model.generation_config, GenerationConfig()
    try:
        yield
    finally:
        model.generation_config = published


def _until_stop_token(tokens: list[int], ends: frozenset[int]) -> list[int]:
    last = next((place for place, token in enumerate(tokens) if token in ends), len(tokens))
    return tokens[: last + 1]
