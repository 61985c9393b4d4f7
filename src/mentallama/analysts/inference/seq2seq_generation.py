"""What an encoder has read, and what its decoder makes of it: likelihoods of given answers, and greedy texts.

The encoder reads every row once; the decoder's keys and values of what was read are computed once, too, and shared by
all answers and all that is written.

All rows stand at one place of the decoder: a row whose given tokens reach further than another's is fed them one after
the other while the other already writes. So positions are right for every architecture, learned or relative, and
nothing is filled up in front.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers.cache_utils import DynamicCache, EncoderDecoderCache
from transformers.modeling_outputs import BaseModelOutput

from mentallama.analysts.inference.answer_scoring import token_logprobs
from mentallama.analysts.inference.generation import COMPACT_WHEN, STEPS_PER_SYNC, StopCriteria

UNFORCED = -1
"""Stands for a token that the model chooses."""


@dataclass
class EncodedBatch:
    """Rows that the encoder has read: `states` (rows, tokens, width), `mask` (rows, tokens).

    `crossed` holds the decoder's keys and values of them, from its first pass on.
    """

    model: Any
    hidden_states: torch.Tensor
    mask: torch.Tensor
    cross_cache: DynamicCache

    def decode(self, ids: torch.Tensor, self_cache: DynamicCache) -> torch.Tensor:
        """Logits (rows, tokens, words) behind `ids` (rows, tokens), which stand behind those in `own`; it grows."""
        logits: torch.Tensor = self.model(
            encoder_outputs=BaseModelOutput(last_hidden_state=self.hidden_states),
            attention_mask=self.mask,
            decoder_input_ids=ids,
            past_key_values=EncoderDecoderCache(self_cache, self.cross_cache),
            use_cache=True,
        ).logits
        return logits

    def select_rows(self, kept: list[int]) -> EncodedBatch:
        """Some rows alone."""
        return EncodedBatch(
            self.model, self.hidden_states[kept], self.mask[kept], select_cache_rows(self.cross_cache, kept)
        )


def encode(model: Any, prompts: Sequence[Sequence[int]]) -> EncodedBatch:
    """Read prompts side by side. What fills them up is masked, so that any token does."""
    longest = max(map(len, prompts))
    ids = torch.tensor([[*prompt, *[0] * (longest - len(prompt))] for prompt in prompts], device=model.device)
    lengths = torch.tensor([len(prompt) for prompt in prompts], device=model.device)
    mask = (torch.arange(longest, device=model.device) < lengths[:, None]).long()
    states = model.get_encoder()(input_ids=ids, attention_mask=mask).last_hidden_state
    return EncodedBatch(model, states, mask, DynamicCache())


def score_answers(
    encoded: EncodedBatch, decoder_prefix: Sequence[int], answers: Sequence[Sequence[list[int]]]
) -> list[list[float]]:
    """Log-likelihoods in nats of each row's answers behind `begun`."""
    own = DynamicCache()
    first = encoded.decode(
        torch.tensor([list(decoder_prefix)] * len(answers), device=encoded.hidden_states.device), own
    )[:, -1:]
    scores: list[list[float]] = [[] for _ in answers]
    for place in range(max(map(len, answers))):
        told = [each[place] if place < len(each) else [] for each in answers]
        for found, chance, row in zip(
            scores, _answer_logprobs(encoded, first, own, told), answers, strict=True
        ):
            if place < len(row):
                found.append(chance)
    return scores


def _answer_logprobs(
    encoded: EncodedBatch, first: torch.Tensor, own: DynamicCache, told: Sequence[Sequence[int]]
) -> list[float]:
    """Log-likelihood of one text a row, of which `first` (rows, 1, words) foretells the first token."""
    width = max(map(len, told))
    ids = torch.tensor([[*each, *[0] * (width - len(each))] for each in told], device=first.device)
    logits = first
    if width > 1:
        copied = DynamicCache([(layer.keys, layer.values) for layer in own.layers])
        logits = torch.cat([first, encoded.decode(ids[:, :-1], copied)], 1)
    rows = [row for row, each in enumerate(told) for _ in each]
    columns = [column for each in told for column in range(len(each))]
    chances = iter(token_logprobs(logits[rows, columns], ids[rows, columns]))
    return [sum(next(chances) for _ in each) for each in told]


@dataclass
class DecoderSlot:
    """A text that is written: its tokens from the decoder's start on, the first `given` of them given.

    `limit`: tokens at which it ends in any case.
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
    """Write behind what each row has begun with, greedily; what is written holds the token that ended it."""
    lines = [
        DecoderSlot(list(own), len(own), min(len(own) + stop.max_new_tokens, stop.context))
        for own in decoder_prefixes
    ]
    alive, column, own = lines, min(map(len, decoder_prefixes)), DynamicCache()
    ids = torch.tensor(
        [list(each[:column]) for each in decoder_prefixes], device=encoded.hidden_states.device
    )
    foretold = encoded.decode(ids, own)[:, -1].argmax(-1)
    while kept := [row for row, line in enumerate(alive) if not line.ended(stop.stop_token_ids)]:
        if (len(alive) - len(kept)) * COMPACT_WHEN >= len(alive):
            alive, encoded, own, foretold = (
                [alive[row] for row in kept],
                encoded.select_rows(kept),
                select_cache_rows(own, kept),
                foretold[kept],
            )
        foretold = _decode_steps(encoded, own, alive, column, foretold, stop)
        column += STEPS_PER_SYNC
    return [line.generated for line in lines]


def _decode_steps(
    encoded: EncodedBatch,
    own: DynamicCache,
    lines: Sequence[DecoderSlot],
    column: int,
    foretold: torch.Tensor,
    bounds: StopCriteria,
) -> torch.Tensor:
    """Feed every row the tokens of some columns, given or foretold; returns what is foretold behind them."""
    steps = min(STEPS_PER_SYNC, max(line.max_tokens for line in lines) - column)
    given = [line.tokens[column : column + steps] for line in lines]
    fixed = torch.tensor(
        [[*each, *[UNFORCED] * (steps - len(each))] for each in given], device=foretold.device
    )
    chosen = []
    for step in range(steps):
        last = torch.where(fixed[:, step] == UNFORCED, foretold, fixed[:, step])
        chosen.append(last)
        foretold = encoded.decode(last[:, None], own)[:, -1].argmax(-1)
    for line, tokens in zip(lines, torch.stack(chosen, 1).tolist(), strict=True):
        for token in tokens[max(0, len(line.tokens) - column) :]:
            if line.ended(bounds.stop_token_ids):
                break
            line.tokens.append(token)
    return foretold


def select_cache_rows(cache: DynamicCache, kept: list[int]) -> DynamicCache:
    """A cache of some rows."""
    return DynamicCache([(layer.keys[kept], layer.values[kept]) for layer in cache.layers])
