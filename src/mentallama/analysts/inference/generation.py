"""Greedy generation for many rows at once, with rows joining and leaving the running batch (continuous batching).

Keys and values computed by a tree pass are reused. All rows are right-aligned, so that a step writes one column of a
preallocated cache; a mask hides the columns before the start of a row.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby, islice
from typing import Any

import torch
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer

from mentallama.analysts.base import NonFiniteOutputError
from mentallama.analysts.inference.answer_scoring import LayerKeyValues, additive_mask, logits_at_positions
from mentallama.analysts.inference.batching import TokenBudget, out_of_memory_error, unless_out_of_memory
from mentallama.analysts.inference.grouped_attention import grouped_attention

STEPS_PER_SYNC = 16
"""Steps between two checks for ended rows: a check waits for the device, and dropping rows copies the cache."""

COMPACT_WHEN = 8
"""The batch is compacted, or new rows enter it, once one in this many rows has ended (or is new)."""

PREALLOCATED_COLUMNS = 4 * STEPS_PER_SYNC
"""Columns of the cache allocated in advance."""

CACHE_BUDGET_FACTOR = 4
"""The cache may hold this many times the tokens of a batch, since a step computes only one token per row."""


@dataclass
class GenerationSlot:
    """A text to continue.

    `tokens` is the whole text so far. If a tree pass kept its keys and values, those of the first tokens are at
    `cached_nodes` of row `cache_row` of `cached_layers`; at least one token is not cached. `generated` holds the new
    tokens, including the stop token.
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
    """When generation stops; `context` is the largest number of tokens that the model can process."""

    stop_token_ids: frozenset[int]
    max_new_tokens: int
    context: int


class PreallocatedCacheLayer(DynamicLayer):  # type: ignore[misc]
    """Keys and values of one layer, with free columns after the first `filled`."""

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
    """Rows that are generated together. All end at column `filled` of the cache; `starts` holds their first columns.

    `last_tokens` (rows,) have been generated but not yet been fed to the model.
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
        return int(self.layers[0].keys.shape[2]) - self.filled


def generate(
    model: Any, slots: Iterable[GenerationSlot], stop: StopCriteria, budget: TokenBudget
) -> Iterator[GenerationSlot]:
    """Generate each row until a stop criterion is met; rows are yielded as they end.

    `slots` are consumed only as fast as there is space for them, so they can be produced in the meantime.

    Raises
    ------
    MentallamaError
        Memory does not suffice for a single row.
    """
    waiting = _SlotQueue(slots, stop)
    batch: KVBatch | None = None
    while True:
        alive = [row for row in batch.slots if not row.ended] if batch else []
        fresh = waiting.take(alive, CACHE_BUDGET_FACTOR * budget.max_tokens)
        together = [*alive, *fresh]
        if not together:
            return
        result = unless_out_of_memory(lambda batch=batch, fresh=fresh: _advance(model, batch, fresh, stop))  # type: ignore[misc]
        if result is not None:
            batch = result[0]
        else:
            batch = None
            longest = max(len(row.tokens) for row in together)
            if len(together) == 1:
                raise out_of_memory_error(longest)
            budget.shrink(len(together) * waiting.max_width(together) // CACHE_BUDGET_FACTOR)
            waiting.put_back([row for row in together if not row.ended])
        yield from (row for row in together if row.ended)


class _SlotQueue:
    """Rows that have not started yet."""

    def __init__(self, rows: Iterable[GenerationSlot], stop: StopCriteria) -> None:
        self._rows, self._returned, self._stop = iter(rows), deque[GenerationSlot](), stop

    def max_width(self, rows: Sequence[GenerationSlot]) -> int:
        """Upper bound of the length that the longest row reaches."""
        return max(len(row.tokens) - len(row.generated) for row in rows) + self._stop.max_new_tokens

    def take(self, alive: Sequence[GenerationSlot], token_budget: int) -> list[GenerationSlot]:
        """As many rows as fit into `token_budget` besides those alive; none if they are too few to justify
        compacting."""
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
    model: Any, batch: KVBatch | None, fresh: Sequence[GenerationSlot], stop: StopCriteria
) -> KVBatch:
    """Add fresh rows, drop ended ones if enough have ended, and generate `STEPS_PER_SYNC` tokens."""
    prefilled = [_prefill(model, list(rows), stop) for _, rows in groupby(fresh, key=_prefill_key)]
    batches = [*([batch] if batch else []), *prefilled]
    alive = [row for part in batches for row in part.slots if not row.ended]
    if not alive:
        return batches[0]
    ended = len(batches[0].slots) - len(alive)
    if len(batches) > 1 or ended * COMPACT_WHEN >= len(alive) or batches[0].free_columns < STEPS_PER_SYNC:
        batches = [_compact(batches)]
    with grouped_attention():
        _decode_steps(model, batches[0], stop)
    return batches[0]


def _prefill_key(row: GenerationSlot) -> tuple[int, int]:
    """Rows of one tree pass with equally many uncached tokens are prefilled together."""
    return id(row.cached_layers), len(row.tokens) - len(row.cached_nodes)


def _prefill(model: Any, rows: list[GenerationSlot], stop: StopCriteria) -> KVBatch:
    """Feed the uncached tokens of rows with equal keys, and generate their first tokens."""
    n_new = len(rows[0].tokens) - len(rows[0].cached_nodes)
    n_cached = max(len(row.cached_nodes) for row in rows)
    layers = _gather_cache(rows, n_cached, n_new)
    cache = Cache(layers=layers) if layers else DynamicCache()
    starts = [n_cached - len(row.cached_nodes) for row in rows]
    columns = torch.arange(n_cached + n_new, device=model.device)
    first = torch.tensor(starts, device=model.device)
    visible = (columns >= first[:, None, None]) & (columns <= columns[n_cached:, None])
    with logits_at_positions(model, [(row + 1) * n_new - 1 for row in range(len(rows))]):
        logits = model(
            input_ids=torch.tensor([row.tokens[-n_new:] for row in rows], device=model.device),
            position_ids=columns[n_cached:] - first[:, None],
            attention_mask=additive_mask(visible[:, None], model.dtype),
            past_key_values=cache,
            use_cache=True,
        ).logits
    layers = layers or [PreallocatedCacheLayer(layer.keys, layer.values, n_new) for layer in cache.layers]
    highest, tokens = logits[0].max(-1)
    require_finite([highest])
    _record_tokens(rows, tokens[:, None].tolist(), stop)
    return KVBatch(rows, starts, layers, tokens)


def _gather_cache(rows: Sequence[GenerationSlot], n_cached: int, n_new: int) -> list[PreallocatedCacheLayer]:
    """The cached keys and values of the rows, right-aligned before `n_new` free columns; empty if nothing is cached."""
    layers = rows[0].cached_layers
    if layers is None:
        return []
    device = layers[0][0].device
    nodes = torch.tensor(
        [[0] * (n_cached - len(row.cached_nodes)) + row.cached_nodes for row in rows], device=device
    )
    cache_rows = torch.tensor([[row.cache_row] for row in rows], device=device)

    def gather(cached: torch.Tensor) -> torch.Tensor:
        columns = cached.new_zeros((len(rows), cached.shape[1], n_cached + n_new, cached.shape[3]))
        # Indexing moves the columns in front of the heads.
        columns[:, :, :n_cached] = cached[cache_rows, :, nodes].transpose(1, 2)
        return columns

    return [PreallocatedCacheLayer(gather(keys), gather(values), n_cached) for keys, values in layers]


def _compact(parts: Sequence[KVBatch]) -> KVBatch:
    """Merge batches into one without their ended rows, right-aligned and with free columns after them."""
    alive = [[row for row, slot in enumerate(part.slots) if not slot.ended] for part in parts]
    pairs = [(part, rows) for part, rows in zip(parts, alive, strict=True) if rows]
    width = max(part.filled - part.starts[row] for part, rows in pairs for row in rows)
    layers = []
    for index in range(len(parts[0].layers)):
        sources = [(part.layers[index], rows) for part, rows in pairs]
        keys = _gather_rows([(layer.keys, layer.filled, rows) for layer, rows in sources], width)
        values = _gather_rows([(layer.values, layer.filled, rows) for layer, rows in sources], width)
        layers.append(PreallocatedCacheLayer(keys, values, width))
    return KVBatch(
        slots=[part.slots[row] for part, rows in pairs for row in rows],
        starts=[width - part.filled + part.starts[row] for part, rows in pairs for row in rows],
        layers=layers,
        last_tokens=torch.cat([part.last_tokens[rows] for part, rows in pairs]),
    )


def _gather_rows(sources: Sequence[tuple[torch.Tensor, int, list[int]]], width: int) -> torch.Tensor:
    """Selected rows of tensors (rows, heads, columns, size) in one tensor, their filled columns ending at `width`."""
    first, n_rows = sources[0][0], sum(len(rows) for _, _, rows in sources)
    gathered = first.new_zeros((n_rows, first.shape[1], width + PREALLOCATED_COLUMNS, first.shape[3]))
    offset = 0
    for source, filled, rows in sources:
        n_columns = min(width, filled)
        gathered[offset : offset + len(rows), :, width - n_columns : width] = source[
            rows, :, filled - n_columns : filled
        ]
        offset += len(rows)
    return gathered


def _decode_steps(model: Any, batch: KVBatch, stop: StopCriteria) -> None:
    """Generate up to `STEPS_PER_SYNC` tokens for every row of a batch."""
    remaining = max(stop.max_new_tokens - len(row.generated) for row in batch.slots if not row.ended)
    steps, filled, cache = min(STEPS_PER_SYNC, remaining), batch.filled, Cache(layers=batch.layers)
    starts = torch.tensor(batch.starts, device=model.device)[:, None]
    columns = torch.arange(filled + steps, device=model.device)
    mask = additive_mask((columns >= starts)[:, None, None], model.dtype)
    generated, highest = [], []
    for column in range(filled, filled + steps):
        logits = model(
            input_ids=batch.last_tokens[:, None],
            # rows that have ended run on until the next check, possibly beyond the context
            position_ids=(column - starts).clamp_max(stop.context - 1),
            attention_mask=mask[..., : column + 1],
            past_key_values=cache,
            use_cache=True,
        ).logits[:, -1]  # fmt: skip
        scores, batch.last_tokens = logits.max(-1)
        highest.append(scores)
        generated.append(batch.last_tokens)
    require_finite(highest)
    _record_tokens(batch.slots, torch.stack(generated, 1).tolist(), stop)


def require_finite(highest: Sequence[torch.Tensor]) -> None:
    """Raise `NonFiniteOutputError` if the highest logit of any row is NaN or infinite.

    torch's max is NaN where any logit is; a token chosen among such logits would look like every other.
    """
    if not torch.stack(list(highest)).isfinite().all():
        raise NonFiniteOutputError


def _record_tokens(
    rows: Sequence[GenerationSlot], generated: Sequence[Sequence[int]], stop: StopCriteria
) -> None:
    """Append the generated tokens to each row, up to the one that ends it."""
    for row, tokens in zip(rows, generated, strict=True):
        row.cached_nodes, row.cached_layers = [], None  # the batch now has the keys and values
        for token in islice(tokens, stop.max_new_tokens - len(row.generated)):
            if row.ended:
                break
            row.tokens.append(token)
            row.generated.append(token)
            row.ended = token in stop.stop_token_ids
        row.ended = row.ended or len(row.generated) >= stop.max_new_tokens
