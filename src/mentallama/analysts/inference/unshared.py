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

from mentallama.analysts.inference.answer_scoring import Ask, log_chances, logits_at
from mentallama.analysts.inference.batching import Budget, in_passes
from mentallama.analysts.inference.generation import Bounds, Row

_MASKS = {"sdpa", "eager"}
"""Kinds of attention that take any mask."""


_ONE_BY_ONE = {"rwkv"}
"""Models that write other things where several rows are written at once (RWKV of transformers 5.17)."""


def tree_bound(model: Any, longest: int) -> int:
    """Tokens that a sequence may have to be read as part of a tree; 0 where the model cannot read trees."""
    config = model.config.get_text_config(decoder=True)
    takes_places = "position_ids" in inspect.signature(model.forward).parameters
    if not takes_places or getattr(config, "alibi", False) or getattr(model, "_is_stateful", False):
        return 0
    if config._attn_implementation not in _MASKS:
        return 0
    layers = DynamicCache(config=config).layers
    if any(type(layer) not in {DynamicLayer, DynamicSlidingWindowLayer} for layer in layers):
        return 0
    windows = [int(layer.sliding_window) for layer in layers if isinstance(layer, DynamicSlidingWindowLayer)]
    if "local" in getattr(config, "attention_layers", ()):  # GPT-Neo's own word for windows
        windows.append(int(config.window_size))
    return min([longest, *windows])


@dataclass(frozen=True)
class Single:
    """One answer to one question, by their numbers."""

    number: int
    answer: int
    ask: Ask

    @property
    def size(self) -> int:
        return len(self.ask.sequences[0])

    def halves(self) -> list[Single]:
        """It has no parts."""
        return [self]


def score_alone(model: Any, asks: dict[int, Ask], budget: Budget) -> dict[int, list[float]]:
    """Log-likelihoods in nats of each question's answers."""
    singles = [
        Single(number, place, Ask(ask.prompt, (answer,)))
        for number, ask in asks.items()
        for place, answer in enumerate(ask.answers)
    ]
    scores = {number: [0.0] * len(ask.answers) for number, ask in asks.items()}
    for part, found in in_passes(singles, budget, lambda part: _read(model, part)):
        for single, score in zip(part, found, strict=True):
            scores[single.number][single.answer] = score
    return scores


def _read(model: Any, part: Sequence[Single]) -> list[float]:
    """Each row's score. What fills rows up stands behind them, where no layer looks from."""
    width = max(single.size for single in part)
    tokens = torch.zeros((len(part), width), dtype=torch.long)
    for row, single in enumerate(part):
        tokens[row, : single.size] = torch.tensor(single.ask.sequences[0])
    told = [
        [row * width + column for column in range(len(single.ask.prompt), single.size)]
        for row, single in enumerate(part)
    ]
    places = [place for row in told for place in row]
    with logits_at(model, [place - 1 for place in places]):
        logits = model(input_ids=tokens.to(model.device), use_cache=False).logits[0]
    chances = iter(log_chances(logits, tokens.flatten()[places]))
    return [sum(next(chances) for _ in row) for row in told]


@dataclass(frozen=True)
class Kin:
    """Rows of equal length: they need no filling up, which recurrent layers would read."""

    rows: list[Row]

    @property
    def size(self) -> int:
        return sum(len(row.tokens) for row in self.rows)

    def halves(self) -> list[Kin]:
        middle = len(self.rows) // 2
        return [Kin(rows) for rows in (self.rows[:middle], self.rows[middle:]) if rows]


def write_alone(model: Any, rows: Sequence[Row], bounds: Bounds, budget: Budget) -> Iterator[Row]:
    """Write each row to its end or its bound, with the model's own way of generating."""
    limit = 1 if model.config.model_type in _ONE_BY_ONE else budget.tokens
    ordered = sorted(rows, key=lambda row: len(row.tokens))
    kin = []
    for length, found in groupby(ordered, key=lambda row: len(row.tokens)):
        equal, most = list(found), max(1, limit // length)
        kin += [Kin(equal[start : start + most]) for start in range(0, len(equal), most)]
    for part, written in in_passes(
        kin, budget, lambda part: [_generate(model, each, bounds) for each in part]
    ):
        for each, tokens in zip(part, written, strict=True):
            for row, own in zip(each.rows, tokens, strict=True):
                row.written = _to_end(own, bounds.ends)
                row.ended = True
                yield row


def _generate(model: Any, kin: Kin, bounds: Bounds) -> list[list[int]]:
    prompts = torch.tensor([row.tokens for row in kin.rows], device=model.device)
    greedy = GenerationConfig(
        do_sample=False,
        max_new_tokens=bounds.new_tokens,
        eos_token_id=sorted(bounds.ends),
        pad_token_id=min(bounds.ends),
    )
    with _no_habits(model):
        found = model.generate(prompts, attention_mask=torch.ones_like(prompts), generation_config=greedy)
    return [row[len(kin.rows[0].tokens) :] for row in found.tolist()]


@contextmanager
def _no_habits(model: Any) -> Iterator[None]:
    """Within, nothing that was published beside a model (penalties, temperatures) changes what is written."""
    published, model.generation_config = model.generation_config, GenerationConfig()
    try:
        yield
    finally:
        model.generation_config = published


def _to_end(tokens: list[int], ends: frozenset[int]) -> list[int]:
    last = next((place for place, token in enumerate(tokens) if token in ends), len(tokens))
    return tokens[: last + 1]
