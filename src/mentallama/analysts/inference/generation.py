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

from mentallama.analysts.inference.answer_scoring import Layers, additive, logits_at
from mentallama.analysts.inference.batching import Budget, no_room, unless_full

STRETCH = 16
"""Steps between two looks at which rows have ended: a look waits for the device, and dropping rows copies."""

LEAVE = 8
"""One row in so many has ended before the others are moved together, or new ones let in."""

ROOM = 4 * STRETCH
"""Columns that are made beforehand."""

KEPT = 4
"""Rows hold so many times the tokens of a pass, of which they compute but one each at a time."""


@dataclass
class Row:
    """A text to be written on.

    `tokens` is all of it so far. Where a pass has kept `layers`, `nodes` are the places of its first tokens in their
    row `place`; at least one token is left to read. `written` holds what was chosen, with the token that ended it.
    """

    number: int
    tokens: list[int]
    nodes: list[int] = field(default_factory=list)
    layers: Layers | None = None
    place: int = 0
    written: list[int] = field(default_factory=list)
    ended: bool = False


@dataclass(frozen=True)
class Bounds:
    """Where writing stops: `ends` are tokens that end a text, `longest` the tokens that the model holds."""

    ends: frozenset[int]
    new_tokens: int
    longest: int


class Shelf(DynamicLayer):  # type: ignore[misc]
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
class Batch:
    """Rows that are written together: all end at column `filled` of the shelves, each begins at its `starts`.

    `last` (rows,) are tokens that have been chosen and not yet been read.
    """

    rows: list[Row]
    starts: list[int]
    shelves: list[Shelf]
    last: torch.Tensor

    @property
    def filled(self) -> int:
        return self.shelves[0].filled

    @property
    def room(self) -> int:
        """Free columns."""
        return int(self.shelves[0].keys.shape[2]) - self.filled


def write(model: Any, rows: Iterable[Row], bounds: Bounds, budget: Budget) -> Iterator[Row]:
    """Write each row to its end or its bound; rows come back as they are done.

    Rows are taken when there is room for them, so that what they go on from can be computed in the meantime.

    Raises
    ------
    MentallamaError
        Memory does not even hold one row.
    """
    waiting = _Waiting(rows, bounds)
    batch: Batch | None = None
    while True:
        alive = [row for row in batch.rows if not row.ended] if batch else []
        fresh = waiting.take(alive, KEPT * budget.tokens)
        together = [*alive, *fresh]
        if not together:
            return
        found = unless_full(lambda batch=batch, fresh=fresh: _advance(model, batch, fresh, bounds))  # type: ignore[misc]
        if found is not None:
            batch = found[0]
        else:
            batch = None
            longest = max(len(row.tokens) for row in together)
            if len(together) == 1:
                raise no_room(longest)
            budget.shrink(len(together) * waiting.width(together) // KEPT)
            waiting.put_back([row for row in together if not row.ended])
        yield from (row for row in together if row.ended)


class _Waiting:
    """Rows that are not written yet."""

    def __init__(self, rows: Iterable[Row], bounds: Bounds) -> None:
        self._rows, self._back, self._bounds = iter(rows), deque[Row](), bounds

    def width(self, rows: Sequence[Row]) -> int:
        """Tokens of the longest row when it is done, at most."""
        return max(len(row.tokens) - len(row.written) for row in rows) + self._bounds.new_tokens

    def take(self, alive: Sequence[Row], room: int) -> list[Row]:
        """As many as `room` tokens hold beside those that are written; none where it is hardly worth the move."""
        fresh: list[Row] = []
        for row in iter(self._next, None):
            together = [*alive, *fresh, row]
            if len(together) > 1 and len(together) * self.width(together) > room:
                self._back.appendleft(row)
                break
            fresh.append(row)
        if len(fresh) * LEAVE < len(alive):
            self.put_back(fresh)
            return []
        return fresh

    def put_back(self, rows: Sequence[Row]) -> None:
        self._back.extendleft(reversed(rows))

    def _next(self) -> Row | None:
        return self._back.popleft() if self._back else next(self._rows, None)


def _advance(model: Any, batch: Batch | None, fresh: Sequence[Row], bounds: Bounds) -> Batch:
    """Let fresh rows in and ended ones out where it is worth it, and write a stretch."""
    parts = [_begin(model, list(rows), bounds) for _, rows in groupby(fresh, key=_kinship)]
    held = [*([batch] if batch else []), *parts]
    alive = [row for part in held for row in part.rows if not row.ended]
    if not alive:
        return held[0]
    ended = len(held[0].rows) - len(alive)
    if len(held) > 1 or ended * LEAVE >= len(alive) or held[0].room < STRETCH:
        held = [_settle(held)]
    _stretch(model, held[0], bounds)
    return held[0]


def _kinship(row: Row) -> tuple[int, int]:
    """Rows of one pass with equally many tokens to read begin together."""
    return id(row.layers), len(row.tokens) - len(row.nodes)


def _begin(model: Any, rows: list[Row], bounds: Bounds) -> Batch:
    """Read what has not been read of kindred rows, and choose their first tokens."""
    rest = len(rows[0].tokens) - len(rows[0].nodes)
    known = max(len(row.nodes) for row in rows)
    shelves = _taken_over(rows, known, rest)
    cache = Cache(layers=shelves) if shelves else DynamicCache()
    starts = [known - len(row.nodes) for row in rows]
    columns, first = (
        torch.arange(known + rest, device=model.device),
        torch.tensor(starts, device=model.device),
    )
    seen = (columns >= first[:, None, None]) & (columns <= columns[known:, None])
    with logits_at(model, [(row + 1) * rest - 1 for row in range(len(rows))]):
        logits = model(
            input_ids=torch.tensor([row.tokens[-rest:] for row in rows], device=model.device),
            position_ids=columns[known:] - first[:, None],
            attention_mask=additive(seen[:, None], model.dtype),
            past_key_values=cache,
            use_cache=True,
        ).logits
    shelves = shelves or [Shelf(layer.keys, layer.values, rest) for layer in cache.layers]
    last = logits[0].argmax(-1)
    _note(rows, last[:, None].tolist(), bounds)
    return Batch(rows, starts, shelves, last)


def _taken_over(rows: Sequence[Row], known: int, rest: int) -> list[Shelf]:
    """What a pass has kept of the rows, flush right before `rest` free columns; nothing where none was kept."""
    layers = rows[0].layers
    if layers is None:
        return []
    device = layers[0][0].device
    nodes = torch.tensor([[0] * (known - len(row.nodes)) + row.nodes for row in rows], device=device)
    places = torch.tensor([[row.place] for row in rows], device=device)

    def taken(kept: torch.Tensor) -> torch.Tensor:
        shelf = kept.new_zeros((len(rows), kept.shape[1], known + rest, kept.shape[3]))
        shelf[:, :, :known] = kept[places, :, nodes].transpose(
            1, 2
        )  # indexing brings the columns to the front
        return shelf

    return [Shelf(taken(keys), taken(values), known) for keys, values in layers]


def _settle(parts: Sequence[Batch]) -> Batch:
    """Rows of several batches as one, without those that have ended, flush right and with room behind them."""
    kept = [[number for number, row in enumerate(part.rows) if not row.ended] for part in parts]
    pairs = [(part, chosen) for part, chosen in zip(parts, kept, strict=True) if chosen]
    width = max(part.filled - part.starts[number] for part, chosen in pairs for number in chosen)
    shelves = []
    for layer in range(len(parts[0].shelves)):
        sides = [(part.shelves[layer], chosen) for part, chosen in pairs]
        keys = _moved([(shelf.keys, shelf.filled, chosen) for shelf, chosen in sides], width)
        values = _moved([(shelf.values, shelf.filled, chosen) for shelf, chosen in sides], width)
        shelves.append(Shelf(keys, values, width))
    return Batch(
        rows=[part.rows[number] for part, chosen in pairs for number in chosen],
        starts=[width - part.filled + part.starts[number] for part, chosen in pairs for number in chosen],
        shelves=shelves,
        last=torch.cat([part.last[chosen] for part, chosen in pairs]),
    )


def _moved(sides: Sequence[tuple[torch.Tensor, int, list[int]]], width: int) -> torch.Tensor:
    """Chosen rows of (rows, heads, columns, size), whose filled columns then end at column `width`."""
    first, count = sides[0][0], sum(len(chosen) for _, _, chosen in sides)
    moved = first.new_zeros((count, first.shape[1], width + ROOM, first.shape[3]))
    row = 0
    for side, filled, chosen in sides:
        reach = min(width, filled)
        moved[row : row + len(chosen), :, width - reach : width] = side[chosen, :, filled - reach : filled]
        row += len(chosen)
    return moved


def _stretch(model: Any, batch: Batch, bounds: Bounds) -> None:
    """Write some tokens on every row of a batch."""
    left = max(bounds.new_tokens - len(row.written) for row in batch.rows if not row.ended)
    steps, filled, cache = min(STRETCH, left), batch.filled, Cache(layers=batch.shelves)
    starts = torch.tensor(batch.starts, device=model.device)[:, None]
    columns = torch.arange(filled + steps, device=model.device)
    mask = additive((columns >= starts)[:, None, None], model.dtype)
    chosen = []
    for column in range(filled, filled + steps):
        batch.last = model(
            input_ids=batch.last[:, None],
            # rows that have ended may run on to the next look, past what the model holds
            position_ids=(column - starts).clamp_max(bounds.longest - 1),
            attention_mask=mask[..., : column + 1],
            past_key_values=cache,
            use_cache=True,
        ).logits[:, -1].argmax(-1)  # fmt: skip
        chosen.append(batch.last)
    _note(batch.rows, torch.stack(chosen, 1).tolist(), bounds)


def _note(rows: Sequence[Row], chosen: Sequence[Sequence[int]], bounds: Bounds) -> None:
    """Write down what was chosen for each row, up to its end."""
    for row, tokens in zip(rows, chosen, strict=True):
        row.nodes, row.layers = [], None  # from here on, it is the batch that holds the row
        for token in islice(tokens, bounds.new_tokens - len(row.written)):
            if row.ended:
                break
            row.tokens.append(token)
            row.written.append(token)
            row.ended = token in bounds.ends
        row.ended = row.ended or len(row.written) >= bounds.new_tokens
