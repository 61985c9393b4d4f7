"""Scoring and generation without shared prefixes: every pair of prompt and answer is a row of its own.

For decoders that cannot process token trees: their layers do not attend to all previous tokens (sliding windows,
recurrent layers), or positions cannot be passed to them.
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
from mentallama.analysts.inference.generation import GenerationSlot, StopCriteria, require_finite

_MASKABLE_ATTENTION = {"sdpa", "eager"}
"""Attention implementations that accept an arbitrary mask."""

_UNBATCHED_MODEL_TYPES = {"rwkv"}
"""Models whose output changes when several rows are generated together (RWKV of transformers 5.17)."""


def max_tree_length(model: Any, context: int) -> int:
    """Longest sequence, in tokens, that may be part of a tree; 0 if the model cannot process trees."""
    config = model.config.get_text_config(decoder=True)
    takes_positions = "position_ids" in inspect.signature(model.forward).parameters
    if not takes_positions or getattr(config, "alibi", False) or getattr(model, "_is_stateful", False):
        return 0
    if config._attn_implementation not in _MASKABLE_ATTENTION:
        return 0
    layers = DynamicCache(config=config).layers
    if any(type(layer) not in {DynamicLayer, DynamicSlidingWindowLayer} for layer in layers):
        return 0
    windows = [int(layer.sliding_window) for layer in layers if isinstance(layer, DynamicSlidingWindowLayer)]
    if "local" in getattr(config, "attention_layers", ()):  # GPT-Neo's name for sliding windows
        windows.append(int(config.window_size))
    return min([context, *windows])


@dataclass(frozen=True)
class SingleAnswer:
    """One answer to one question, with the indices of both and a request for this answer alone."""

    index: int
    answer_index: int
    request: ScoringRequest

    @property
    def n_tokens(self) -> int:
        return len(self.request.sequences[0])

    def halves(self) -> list[SingleAnswer]:
        """A single answer cannot be split."""
        return [self]


def score_unshared(
    model: Any, requests: dict[int, ScoringRequest], budget: TokenBudget
) -> dict[int, list[float]]:
    """Log-likelihoods in nats of the answers to each question."""
    singles = [
        SingleAnswer(index, answer_index, ScoringRequest(request.prompt, (answer,)))
        for index, request in requests.items()
        for answer_index, answer in enumerate(request.answers)
    ]
    scores = {index: [0.0] * len(request.answers) for index, request in requests.items()}
    for batch, logprobs in run_in_batches(singles, budget, lambda batch: _score_batch(model, batch)):
        for single, score in zip(batch, logprobs, strict=True):
            scores[single.index][single.answer_index] = score
    return scores


def _score_batch(model: Any, batch: Sequence[SingleAnswer]) -> list[float]:
    """Log-likelihood of each row's answer. Rows are padded on the right, which no earlier token attends to."""
    width = max(single.n_tokens for single in batch)
    tokens = torch.zeros((len(batch), width), dtype=torch.long)
    for row, single in enumerate(batch):
        tokens[row, : single.n_tokens] = torch.tensor(single.request.sequences[0])
    answer_positions = [
        [row * width + column for column in range(len(single.request.prompt), single.n_tokens)]
        for row, single in enumerate(batch)
    ]
    positions = [position for row in answer_positions for position in row]
    with logits_at_positions(model, [position - 1 for position in positions]):
        logits = model(input_ids=tokens.to(model.device), use_cache=False).logits[0]
    logprobs = iter(token_logprobs(logits, tokens.flatten()[positions]))
    return [sum(next(logprobs) for _ in row) for row in answer_positions]


@dataclass(frozen=True)
class EqualLengthGroup:
    """Rows of equal length: they need no padding, which recurrent layers would process."""

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
    """Generate each row until a stop criterion is met, with the model's own `generate`."""
    limit = 1 if model.config.model_type in _UNBATCHED_MODEL_TYPES else budget.max_tokens
    ordered = sorted(slots, key=lambda row: len(row.tokens))
    groups: list[EqualLengthGroup] = []
    for length, members in groupby(ordered, key=lambda row: len(row.tokens)):
        rows, max_rows = list(members), max(1, limit // length)
        groups += [
            EqualLengthGroup(rows[start : start + max_rows]) for start in range(0, len(rows), max_rows)
        ]
    for batch, results in run_in_batches(
        groups, budget, lambda batch: [_generate(model, group, stop) for group in batch]
    ):
        for group, generated in zip(batch, results, strict=True):
            for row, tokens in zip(group.slots, generated, strict=True):
                row.generated = _until_stop_token(tokens, stop.stop_token_ids)
                row.ended = True
                yield row


def _generate(model: Any, group: EqualLengthGroup, stop: StopCriteria) -> list[list[int]]:
    prompts = torch.tensor([row.tokens for row in group.slots], device=model.device)
    greedy = GenerationConfig(
        do_sample=False,
        max_new_tokens=stop.max_new_tokens,
        eos_token_id=sorted(stop.stop_token_ids),
        pad_token_id=min(stop.stop_token_ids),
    )
    with _default_generation_config(model):
        output = model.generate(
            prompts,
            attention_mask=torch.ones_like(prompts),
            generation_config=greedy,
            logits_processor=[_require_finite_scores],
        )
    return [row[len(group.slots[0].tokens) :] for row in output.tolist()]


def _require_finite_scores(ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    """A logits processor that changes nothing and refuses NaN."""
    require_finite([scores.max(-1).values])
    return scores


@contextmanager
def _default_generation_config(model: Any) -> Iterator[None]:
    """Ignore the generation configuration published with a model (penalties, temperatures)."""
    published, model.generation_config = model.generation_config, GenerationConfig()
    try:
        yield
    finally:
        model.generation_config = published


def _until_stop_token(tokens: list[int], stop_token_ids: frozenset[int]) -> list[int]:
    last = next((index for index, token in enumerate(tokens) if token in stop_token_ids), len(tokens))
    return tokens[: last + 1]
