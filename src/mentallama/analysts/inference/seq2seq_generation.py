"""Encoder-decoders: log-likelihoods of given answers and greedy generation, from one encoding of each row.

Each row is encoded once, and the decoder's cross-attention keys and values are computed once; all answers and the
generated text share them.

All rows are at the same decoder position: a row with a longer prefix is still fed its prefix, token by token, while
another already generates. So positions are right for every architecture, absolute or relative, without left padding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers.cache_utils import DynamicCache, EncoderDecoderCache
from transformers.modeling_outputs import BaseModelOutput

from mentallama.analysts.inference.answer_scoring import token_logprobs
from mentallama.analysts.inference.generation import (
    COMPACT_WHEN,
    STEPS_PER_SYNC,
    StopCriteria,
    require_finite,
)

UNFORCED = -1
"""Marks a position at which the model chooses the token."""


@dataclass
class EncodedBatch:
    """Encoded rows: `hidden_states` (rows, tokens, width) and `mask` (rows, tokens).

    `cross_cache` holds the decoder's cross-attention keys and values, from its first pass on.
    """

    model: Any
    hidden_states: torch.Tensor
    mask: torch.Tensor
    cross_cache: DynamicCache

    def decode(self, ids: torch.Tensor, self_cache: DynamicCache) -> torch.Tensor:
        """Logits (rows, tokens, vocabulary) after `ids` (rows, tokens), which follow those in `self_cache` and enter
        it."""
        logits: torch.Tensor = self.model(
            encoder_outputs=BaseModelOutput(last_hidden_state=self.hidden_states),
            attention_mask=self.mask,
            decoder_input_ids=ids,
            past_key_values=EncoderDecoderCache(self_cache, self.cross_cache),
            use_cache=True,
        ).logits
        return logits

    def select_rows(self, rows: list[int]) -> EncodedBatch:
        """A batch of some of the rows."""
        return EncodedBatch(
            self.model, self.hidden_states[rows], self.mask[rows], select_cache_rows(self.cross_cache, rows)
        )


def encode(model: Any, prompts: Sequence[Sequence[int]]) -> EncodedBatch:
    """Encode prompts in one batch. Padding is masked, so token 0 serves for any tokenizer."""
    longest = max(map(len, prompts))
    ids = torch.tensor([[*prompt, *[0] * (longest - len(prompt))] for prompt in prompts], device=model.device)
    lengths = torch.tensor([len(prompt) for prompt in prompts], device=model.device)
    mask = (torch.arange(longest, device=model.device) < lengths[:, None]).long()
    states = model.get_encoder()(input_ids=ids, attention_mask=mask).last_hidden_state
    return EncodedBatch(model, states, mask, DynamicCache())


def score_answers(
    encoded: EncodedBatch, decoder_prefix: Sequence[int], answers: Sequence[Sequence[list[int]]]
) -> list[list[float]]:
    """Log-likelihoods in nats of each row's answers after `decoder_prefix`."""
    cache = DynamicCache()
    prefixes = torch.tensor([list(decoder_prefix)] * len(answers), device=encoded.hidden_states.device)
    first_logits = encoded.decode(prefixes, cache)[:, -1:]
    scores: list[list[float]] = [[] for _ in answers]
    for index in range(max(map(len, answers))):
        texts = [row[index] if index < len(row) else [] for row in answers]
        logprobs = _answer_logprobs(encoded, first_logits, cache, texts)
        for row_scores, logprob, row in zip(scores, logprobs, answers, strict=True):
            if index < len(row):
                row_scores.append(logprob)
    return scores


def _answer_logprobs(
    encoded: EncodedBatch,
    first_logits: torch.Tensor,
    cache: DynamicCache,
    texts: Sequence[Sequence[int]],
) -> list[float]:
    """Log-likelihood of one text per row; `first_logits` (rows, 1, vocabulary) predict its first token."""
    width = max(map(len, texts))
    ids = torch.tensor([[*text, *[0] * (width - len(text))] for text in texts], device=first_logits.device)
    logits = first_logits
    if width > 1:
        copied = DynamicCache([(layer.keys, layer.values) for layer in cache.layers])
        logits = torch.cat([first_logits, encoded.decode(ids[:, :-1], copied)], 1)
    rows = [row for row, text in enumerate(texts) for _ in text]
    columns = [column for text in texts for column in range(len(text))]
    logprobs = iter(token_logprobs(logits[rows, columns], ids[rows, columns]))
    return [sum(next(logprobs) for _ in text) for text in texts]


@dataclass
class DecoderSlot:
    """A text being generated: its tokens from the decoder's start token on, the first `prefix_length` of them given.

    `max_tokens` is the length at which it ends in any case.
    """

    tokens: list[int]
    prefix_length: int
    max_tokens: int

    @property
    def generated(self) -> list[int]:
        return self.tokens[self.prefix_length :]

    def ended(self, stop_token_ids: frozenset[int]) -> bool:
        if len(self.tokens) >= self.max_tokens:
            return True
        return len(self.tokens) > self.prefix_length and self.tokens[-1] in stop_token_ids


def generate_seq2seq(
    encoded: EncodedBatch, decoder_prefixes: Sequence[Sequence[int]], stop: StopCriteria
) -> list[list[int]]:
    """Generate greedily after each row's prefix; the result includes the stop token."""
    slots = [
        DecoderSlot(list(prefix), len(prefix), min(len(prefix) + stop.max_new_tokens, stop.context))
        for prefix in decoder_prefixes
    ]
    active, column, cache = slots, min(map(len, decoder_prefixes)), DynamicCache()
    ids = torch.tensor(
        [list(prefix[:column]) for prefix in decoder_prefixes], device=encoded.hidden_states.device
    )
    highest, predicted = encoded.decode(ids, cache)[:, -1].max(-1)
    require_finite([highest])
    while alive := [row for row, slot in enumerate(active) if not slot.ended(stop.stop_token_ids)]:
        if (len(active) - len(alive)) * COMPACT_WHEN >= len(active):
            active, encoded, cache, predicted = (
                [active[row] for row in alive],
                encoded.select_rows(alive),
                select_cache_rows(cache, alive),
                predicted[alive],
            )
        predicted = _decode_steps(encoded, cache, active, column, predicted, stop)
        column += STEPS_PER_SYNC
    return [slot.generated for slot in slots]


def _decode_steps(
    encoded: EncodedBatch,
    cache: DynamicCache,
    slots: Sequence[DecoderSlot],
    column: int,
    predicted: torch.Tensor,
    stop: StopCriteria,
) -> torch.Tensor:
    """Decode up to `STEPS_PER_SYNC` columns, with tokens of the prefix or predicted ones; returns the next
    prediction."""
    steps = min(STEPS_PER_SYNC, max(slot.max_tokens for slot in slots) - column)
    prefixes = [slot.tokens[column : column + steps] for slot in slots]
    forced = torch.tensor(
        [[*prefix, *[UNFORCED] * (steps - len(prefix))] for prefix in prefixes], device=predicted.device
    )
    columns, highest = [], []
    for step in range(steps):
        tokens = torch.where(forced[:, step] == UNFORCED, predicted, forced[:, step])
        columns.append(tokens)
        scores, predicted = encoded.decode(tokens[:, None], cache)[:, -1].max(-1)
        highest.append(scores)
    require_finite(highest)
    for slot, row in zip(slots, torch.stack(columns, 1).tolist(), strict=True):
        for token in row[max(0, len(slot.tokens) - column) :]:
            if slot.ended(stop.stop_token_ids):
                break
            slot.tokens.append(token)
    return predicted


def select_cache_rows(cache: DynamicCache, rows: list[int]) -> DynamicCache:
    """A cache of some of the rows."""
    return DynamicCache([(layer.keys[rows], layer.values[rows]) for layer in cache.layers])
