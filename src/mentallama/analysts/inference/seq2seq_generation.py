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

from mentallama.analysts.inference.answer_scoring import log_chances
from mentallama.analysts.inference.generation import LEAVE, STRETCH, Bounds

FREE = -1
"""Stands for a token that the model chooses."""


@dataclass
class Encoded:
    """Rows that the encoder has read: `states` (rows, tokens, width), `mask` (rows, tokens).

    `crossed` holds the decoder's keys and values of them, from its first pass on.
    """

    model: Any
    states: torch.Tensor
    mask: torch.Tensor
    crossed: DynamicCache

    def decode(self, ids: torch.Tensor, own: DynamicCache) -> torch.Tensor:
        """Logits (rows, tokens, words) behind `ids` (rows, tokens), which stand behind those in `own`; it grows."""
        logits: torch.Tensor = self.model(
            encoder_outputs=BaseModelOutput(last_hidden_state=self.states),
            attention_mask=self.mask,
            decoder_input_ids=ids,
            past_key_values=EncoderDecoderCache(own, self.crossed),
            use_cache=True,
        ).logits
        return logits

    def rows(self, kept: list[int]) -> Encoded:
        """Some rows alone."""
        return Encoded(self.model, self.states[kept], self.mask[kept], some_rows(self.crossed, kept))


def encode(model: Any, prompts: Sequence[Sequence[int]]) -> Encoded:
    """Read prompts side by side. What fills them up is masked, so that any token does."""
    longest = max(map(len, prompts))
    ids = torch.tensor([[*prompt, *[0] * (longest - len(prompt))] for prompt in prompts], device=model.device)
    lengths = torch.tensor([len(prompt) for prompt in prompts], device=model.device)
    mask = (torch.arange(longest, device=model.device) < lengths[:, None]).long()
    states = model.get_encoder()(input_ids=ids, attention_mask=mask).last_hidden_state
    return Encoded(model, states, mask, DynamicCache())


def score(
    encoded: Encoded, begun: Sequence[int], answers: Sequence[Sequence[list[int]]]
) -> list[list[float]]:
    """Log-likelihoods in nats of each row's answers behind `begun`."""
    own = DynamicCache()
    first = encoded.decode(torch.tensor([list(begun)] * len(answers), device=encoded.states.device), own)[
        :, -1:
    ]
    scores: list[list[float]] = [[] for _ in answers]
    for place in range(max(map(len, answers))):
        told = [each[place] if place < len(each) else [] for each in answers]
        for found, chance, row in zip(scores, _chances(encoded, first, own, told), answers, strict=True):
            if place < len(row):
                found.append(chance)
    return scores


def _chances(
    encoded: Encoded, first: torch.Tensor, own: DynamicCache, told: Sequence[Sequence[int]]
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
    chances = iter(log_chances(logits[rows, columns], ids[rows, columns]))
    return [sum(next(chances) for _ in each) for each in told]


@dataclass
class Line:
    """A text that is written: its tokens from the decoder's start on, the first `given` of them given.

    `limit`: tokens at which it ends in any case.
    """

    tokens: list[int]
    given: int
    limit: int

    @property
    def written(self) -> list[int]:
        return self.tokens[self.given :]

    def ended(self, ends: frozenset[int]) -> bool:
        if len(self.tokens) >= self.limit:
            return True
        return len(self.tokens) > self.given and self.tokens[-1] in ends


def write(encoded: Encoded, begun: Sequence[Sequence[int]], bounds: Bounds) -> list[list[int]]:
    """Write behind what each row has begun with, greedily; what is written holds the token that ended it."""
    lines = [Line(list(own), len(own), min(len(own) + bounds.new_tokens, bounds.longest)) for own in begun]
    alive, column, own = lines, min(map(len, begun)), DynamicCache()
    ids = torch.tensor([list(each[:column]) for each in begun], device=encoded.states.device)
    foretold = encoded.decode(ids, own)[:, -1].argmax(-1)
    while kept := [row for row, line in enumerate(alive) if not line.ended(bounds.ends)]:
        if (len(alive) - len(kept)) * LEAVE >= len(alive):
            alive, encoded, own, foretold = (
                [alive[row] for row in kept],
                encoded.rows(kept),
                some_rows(own, kept),
                foretold[kept],
            )
        foretold = _stretch(encoded, own, alive, column, foretold, bounds)
        column += STRETCH
    return [line.written for line in lines]


def _stretch(
    encoded: Encoded,
    own: DynamicCache,
    lines: Sequence[Line],
    column: int,
    foretold: torch.Tensor,
    bounds: Bounds,
) -> torch.Tensor:
    """Feed every row the tokens of some columns, given or foretold; returns what is foretold behind them."""
    steps = min(STRETCH, max(line.limit for line in lines) - column)
    given = [line.tokens[column : column + steps] for line in lines]
    fixed = torch.tensor([[*each, *[FREE] * (steps - len(each))] for each in given], device=foretold.device)
    chosen = []
    for step in range(steps):
        last = torch.where(fixed[:, step] == FREE, foretold, fixed[:, step])
        chosen.append(last)
        foretold = encoded.decode(last[:, None], own)[:, -1].argmax(-1)
    for line, tokens in zip(lines, torch.stack(chosen, 1).tolist(), strict=True):
        for token in tokens[max(0, len(line.tokens) - column) :]:
            if line.ended(bounds.ends):
                break
            line.tokens.append(token)
    return foretold


def some_rows(cache: DynamicCache, kept: list[int]) -> DynamicCache:
    """A cache of some rows."""
    return DynamicCache([(layer.keys[kept], layer.values[kept]) for layer in cache.layers])
