"""Write on greedily behind what has been read: many rows at once, each leaving when it ends.

Keys and values of what a tree pass has read are taken over, not computed again. All rows stand flush at one column, so
that a step writes one column of a buffer that was made beforehand; a mask hides what lies before a row's beginning.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby, islice
from typing import Any

import torch
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer

from mentallama.analysts.inference.answer_scoring import LayerKeyValues, additive_mask, logits_at_positions
from mentallama.analysts.inference.batching import TokenBudget, out_of_memory_error, unless_out_of_memory

STEPS_PER_SYNC = 16
"""Steps between two looks at which rows have ended: a look waits for the device, and dropping rows copies."""

COMPACT_WHEN = 8
"""One row in so many has ended before the others are moved together, or new ones let in."""

PREALLOCATED_COLUMNS = 4 * STEPS_PER_SYNC
"""Columns that are made beforehand."""

CACHE_BUDGET_FACTOR = 4
"""Rows hold so many times the tokens of a pass, of which they compute but one each at a time."""


@dataclass
class GenerationSlot:
    """A text to be written on.

    `tokens` is all of it so far. Where a pass has kept `layers`, `nodes` are the places of its first tokens in their
    row `place`; at least one token is left to read. `written` holds what was chosen, with the token that ended it.
    """

    index: int
    tokens: list[int]
    cached_nodes: list[int] = field(default_factory=list)
    cached_layers: LayerKeyValues | None = None
    cache_row: int = 0
    generated: list[int] = field(default_factory=list)
    ended: bool = False


@dataclass(frozen=True)
class StopCriteria:
    """Where writing stops: `ends` are tokens that end a text, `longest` the tokens that the model holds."""

    stop_token_ids: frozenset[int]
    max_new_tokens: int
    context: int


class PreallocatedCacheLayer(DynamicLayer):  # type: ignore[misc]
    """One layer's keys and values, with room behind the first `filled` columns."""

    def __init__(self, keys: torch.Tensor, values: torch.Tensor, filled: int) -> None:
        super().__init__()
        self.keys, self.values, self.filled = keys, values, filled
        self.dtype, self.device, self.is_initialized = keys.dtype, keys.device, True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        start, self.filled = self.filled, self.filled + key_states.shape[-2]
        self.keys[:, :, start : self.filled] = key_states
        self.values[:, :, start : self.filled] = value_states
        return self.keys[:, :, : self.filled], self.values[:, :, : self.filled]

    def get_seq_length(self) -> int:
        return self.filled


@dataclass
class KVBatch:
    """Rows that are written together: all end at column `filled` of the shelves, each begins at its `starts`.

    `last` (rows,) are tokens that have been chosen and not yet been read.
    """

    slots: list[GenerationSlot]
    starts: list[int]
    layers: list[PreallocatedCacheLayer]
    last_tokens: torch.Tensor

    @property
    def filled(self) -> int:
        return self.layers[0].filled

    @property
    def free_columns(self) -> int:
        """Free columns."""
        return int(self.layers[0].keys.shape[2]) - self.filled


def generate(
    model: Any, slots: Iterable[GenerationSlot], stop: StopCriteria, budget: TokenBudget
) -> Iterator[GenerationSlot]:
    """Write each row to its end or its bound; rows come back as they are done.

    Rows are taken when there is room for them, so that what they go on from can be computed in the meantime.

    Raises
    ------
    MentallamaError
        Memory does not even hold one row.
    """
    waiting = _SlotQueue(slots, stop)
    batch: KVBatch | None = None
    while True:
        alive = [row for row in batch.slots if not row.ended] if batch else []
        fresh = waiting.take(alive, CACHE_BUDGET_FACTOR * budget.max_tokens)
        together = [*alive, *fresh]
        if not together:
            return
        found = unless_out_of_memory(lambda batch=batch, fresh=fresh: _advance(model, batch, fresh, stop))  # type: ignore[misc]
        if found is not None:
            batch = found[0]
        else:
            batch = None
            longest = max(len(row.tokens) for row in together)
            if len(together) == 1:
                raise out_of_memory_error(longest)
            budget.shrink(len(together) * waiting.max_width(together) // CACHE_BUDGET_FACTOR)
            waiting.put_back([row for row in together if not row.ended])
        yield from (row for row in together if row.ended)


class _SlotQueue:
    """Rows that are not written yet."""

    def __init__(self, rows: Iterable[GenerationSlot], bounds: StopCriteria) -> None:
        self._rows, self._returned, self._bounds = iter(rows), deque[GenerationSlot](), bounds

    def max_width(self, rows: Sequence[GenerationSlot]) -> int:
        """Tokens of the longest row when it is done, at most."""
        return max(len(row.tokens) - len(row.generated) for row in rows) + self._bounds.max_new_tokens

    def take(self, alive: Sequence[GenerationSlot], token_budget: int) -> list[GenerationSlot]:
        """As many as `room` tokens hold beside those that are written; none where it is hardly worth the move."""
        fresh: list[GenerationSlot] = []
        for row in iter(self._next, None):
            together = [*alive, *fresh, row]
            if len(together) > 1 and len(together) * self.max_width(together) > token_budget:
                self._returned.appendleft(row)
                break
            fresh.append(row)
        if len(fresh) * COMPACT_WHEN < len(alive):
            self.put_back(fresh)
            return []
        return fresh

    def put_back(self, rows: Sequence[GenerationSlot]) -> None:
        self._returned.extendleft(reversed(rows))

    def _next(self) -> GenerationSlot | None:
        return self._returned.popleft() if self._returned else next(self._rows, None)


def _advance(
    model: Any, batch: KVBatch | None, fresh: Sequence[GenerationSlot], bounds: StopCriteria
) -> KVBatch:
    """Let fresh rows in and ended ones out where it is worth it, and write a stretch."""
    parts = [_prefill(model, list(rows), bounds) for _, rows in groupby(fresh, key=_prefill_key)]
    held = [*([batch] if batch else []), *parts]
    alive = [row for part in held for row in part.slots if not row.ended]
    if not alive:
        return held[0]
    ended = len(held[0].slots) - len(alive)
    if len(held) > 1 or ended * COMPACT_WHEN >= len(alive) or held[0].free_columns < STEPS_PER_SYNC:
        held = [_compact(held)]
    _decode_steps(model, held[0], bounds)
    return held[0]


def _prefill_key(row: GenerationSlot) -> tuple[int, int]:
    """Rows of one pass with equally many tokens to read begin together."""
    return id(row.cached_layers), len(row.tokens) - len(row.cached_nodes)


def _prefill(model: Any, rows: list[GenerationSlot], bounds: StopCriteria) -> KVBatch:
    """Read what has not been read of kindred rows, and choose their first tokens."""
    rest = len(rows[0].tokens) - len(rows[0].cached_nodes)
    known = max(len(row.cached_nodes) for row in rows)
    shelves = _gather_cache(rows, known, rest)
    cache = Cache(layers=shelves) if shelves else DynamicCache()
    starts = [known - len(row.cached_nodes) for row in rows]
    columns, first = (
        torch.arange(known + rest, device=model.device),
        torch.tensor(starts, device=model.device),
    )
    seen = (columns >= first[:, None, None]) & (columns <= columns[known:, None])
    with logits_at_positions(model, [(row + 1) * rest - 1 for row in range(len(rows))]):
        logits = model(
            input_ids=torch.tensor([row.tokens[-rest:] for row in rows], device=model.device),
            position_ids=columns[known:] - first[:, None],
            attention_mask=additive_mask(seen[:, None], model.dtype),
            past_key_values=cache,
            use_cache=True,
        ).logits
    shelves = shelves or [PreallocatedCacheLayer(layer.keys, layer.values, rest) for layer in cache.layers]
    last = logits[0].argmax(-1)
    _record_tokens(rows, last[:, None].tolist(), bounds)
    return KVBatch(rows, starts, shelves, last)


def _gather_cache(rows: Sequence[GenerationSlot], known: int, rest: int) -> list[PreallocatedCacheLayer]:
    """What a pass has kept of the rows, flush right before `rest` free columns; nothing where none was kept."""
    layers = rows[0].cached_layers
    if layers is None:
        return []
    device = layers[0][0].device
    nodes = torch.tensor(
        [[0] * (known - len(row.cached_nodes)) + row.cached_nodes for row in rows], device=device
    )
    places = torch.tensor([[row.cache_row] for row in rows], device=device)

    def taken(kept: torch.Tensor) -> torch.Tensor:
        shelf = kept.new_zeros((len(rows), kept.shape[1], known + rest, kept.shape[3]))
        shelf[:, :, :known] = kept[places, :, nodes].transpose(
            1, 2
        )  # indexing brings the columns to the front
        return shelf

    return [PreallocatedCacheLayer(taken(keys), taken(values), known) for keys, values in layers]


def _compact(parts: Sequence[KVBatch]) -> KVBatch:
    """Rows of several batches as one, without those that have ended, flush right and with room behind them."""
    kept = [[number for number, row in enumerate(part.slots) if not row.ended] for part in parts]
    pairs = [(part, chosen) for part, chosen in zip(parts, kept, strict=True) if chosen]
    width = max(part.filled - part.starts[number] for part, chosen in pairs for number in chosen)
    shelves = []
    for layer in range(len(parts[0].layers)):
        sides = [(part.layers[layer], chosen) for part, chosen in pairs]
        keys = _gather_rows([(shelf.keys, shelf.filled, chosen) for shelf, chosen in sides], width)
        values = _gather_rows([(shelf.values, shelf.filled, chosen) for shelf, chosen in sides], width)
        shelves.append(PreallocatedCacheLayer(keys, values, width))
    return KVBatch(
        slots=[part.slots[number] for part, chosen in pairs for number in chosen],
        starts=[width - part.filled + part.starts[number] for part, chosen in pairs for number in chosen],
        layers=shelves,
        last_tokens=torch.cat([part.last_tokens[chosen] for part, chosen in pairs]),
    )


def _gather_rows(sides: Sequence[tuple[torch.Tensor, int, list[int]]], width: int) -> torch.Tensor:
    """Chosen rows of (rows, heads, columns, size), whose filled columns then end at column `width`."""
    first, count = sides[0][0], sum(len(chosen) for _, _, chosen in sides)
    moved = first.new_zeros((count, first.shape[1], width + PREALLOCATED_COLUMNS, first.shape[3]))
    row = 0
    for side, filled, chosen in sides:
        reach = min(width, filled)
        moved[row : row + len(chosen), :, width - reach : width] = side[chosen, :, filled - reach : filled]
        row += len(chosen)
    return moved


def _decode_steps(model: Any, batch: KVBatch, bounds: StopCriteria) -> None:
    """Write some tokens on every row of a batch."""
    left = max(bounds.max_new_tokens - len(row.generated) for row in batch.slots if not row.ended)
    steps, filled, cache = min(STEPS_PER_SYNC, left), batch.filled, Cache(layers=batch.layers)
    starts = torch.tensor(batch.starts, device=model.device)[:, None]
    columns = torch.arange(filled + steps, device=model.device)
    mask = additive_mask((columns >= starts)[:, None, None], model.dtype)
    chosen = []
    for column in range(filled, filled + steps):
        batch.last_tokens = model(
            input_ids=batch.last_tokens[:, None],
            # rows that have ended may run on to the next look, past what the model holds
            position_ids=(column - starts).clamp_max(bounds.context - 1),
            attention_mask=mask[..., : column + 1],
            past_key_values=cache,
            use_cache=True,
        ).logits[:, -1].argmax(-1)  # fmt: skip
        chosen.append(batch.last_tokens)
    _record_tokens(batch.slots, torch.stack(chosen, 1).tolist(), bounds)


def _record_tokens(
    rows: Sequence[GenerationSlot], chosen: Sequence[Sequence[int]], bounds: StopCriteria
) -> None:
    """Write down what was chosen for each row, up to its end."""
    for row, tokens in zip(rows, chosen, strict=True):
        row.cached_nodes, row.cached_layers = [], None  # from here on, it is the batch that holds the row
        for token in islice(tokens, bounds.max_new_tokens - len(row.generated)):
            if row.ended:
                break
            row.tokens.append(token)
            row.generated.append(token)
            row.ended = token in bounds.stop_token_ids
        row.ended = row.ended or len(row.generated) >= bounds.max_new_tokens
