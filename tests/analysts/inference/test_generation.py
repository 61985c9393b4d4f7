"""Writing many rows at once gives what writing each alone gives, whoever comes, goes or fails beside it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from mentallama.analysts.inference import batching as passes
from mentallama.analysts.inference import generation as decoding
from mentallama.analysts.inference.answer_scoring import ScoringGroup, ScoringRequest, score_trees
from mentallama.analysts.inference.batching import TokenBudget, run_in_batches
from mentallama.analysts.inference.generation import GenerationSlot, StopCriteria, generate
from mentallama.errors import MentallamaError
from tests.factories.tiny_models import tiny_llama, tiny_tokenizer

CONTEXT = 96
ENDS = frozenset(range(0, 600, 12))
"""A twelfth of all words ends a text, so that rows end at many lengths."""


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def model() -> Any:
    return tiny_llama(None, tiny_tokenizer(), max_position_embeddings=CONTEXT)


def prompts(count: int, longest: int = 40) -> list[list[int]]:
    draw = random.Random(5)
    return [[draw.randrange(600) for _ in range(draw.randint(2, longest))] for _ in range(count)]


def naive(model: Any, tokens: list[int], bounds: StopCriteria) -> list[int]:
    """One token after the other, everything read again for each."""
    ids = list(tokens)
    with torch.inference_mode():
        while len(ids) - len(tokens) < bounds.max_new_tokens:
            ids.append(int(model(torch.tensor([ids]), use_cache=False).logits[0, -1].argmax()))
            if ids[-1] in bounds.stop_token_ids:
                break
    return ids[len(tokens) :]


def read_rows(model: Any, texts: list[list[int]], at_once: int) -> Iterator[GenerationSlot]:
    """Rows whose beginnings a pass has kept, some all but the last token, some fewer."""
    for start in range(0, len(texts), at_once):
        part = texts[start : start + at_once]
        groups = [
            ScoringGroup([start + number], [ScoringRequest(tokens)]) for number, tokens in enumerate(part)
        ]
        for group, (read,) in zip(groups, score_trees(model, groups, keep_cache=True), strict=True):
            number = group.indices[0]
            tokens = texts[number]
            known = min(len(tokens) - 1, len(tokens) - 1 - number % 3) if len(tokens) > 4 else len(tokens) - 1
            yield GenerationSlot(
                number, list(tokens), read.paths[0][:known], read.cached_layers, read.cache_row
            )


def written(model: Any, rows: Any, bounds: StopCriteria, tokens: int = 4096) -> dict[int, list[int]]:
    with torch.inference_mode():
        done = list(generate(model, rows, bounds, TokenBudget(tokens, lambda _: None)))
    assert len({row.index for row in done}) == len(done)
    assert all(row.ended for row in done)
    return {row.index: row.generated for row in done}


@pytest.mark.parametrize("stretch", [1, 3, 16])
@pytest.mark.parametrize("room", [30, 100, 10_000])
def test_rows_end_as_they_do_alone(
    model: Any, stretch: int, room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "STEPS_PER_SYNC", stretch)
    monkeypatch.setattr(decoding, "PREALLOCATED_COLUMNS", 2 * stretch)
    texts, bounds = prompts(24), StopCriteria(ENDS, 30, CONTEXT)
    result = written(model, read_rows(model, texts, 7), bounds, room)
    wanted = {number: naive(model, tokens, bounds) for number, tokens in enumerate(texts)}
    assert result == wanted
    lengths = {len(tokens) for tokens in wanted.values()}
    assert min(lengths) < 5
    assert max(lengths) > 20


def test_rows_without_cached_keys(model: Any) -> None:
    texts, bounds = prompts(9), StopCriteria(ENDS, 20, CONTEXT)
    rows = [GenerationSlot(number, list(tokens)) for number, tokens in enumerate(texts)]
    assert written(model, rows, bounds) == {n: naive(model, tokens, bounds) for n, tokens in enumerate(texts)}


@pytest.mark.parametrize("new_tokens", [1, 2, 17])
def test_new_tokens_are_bounded_whatever_the_prompt(model: Any, new_tokens: int) -> None:
    bounds = StopCriteria(frozenset(), new_tokens, CONTEXT)
    result = written(model, read_rows(model, prompts(6), 3), bounds)
    assert [len(tokens) for tokens in result.values()] == [new_tokens] * 6


def test_rows_may_fill_the_context_and_run_on_until_they_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    # Learned positions end with the context: a row that has ended, and stays a while, must not run past it.
    from transformers import GPT2Config, GPT2LMHeadModel

    monkeypatch.setattr(decoding, "STEPS_PER_SYNC", 3)
    monkeypatch.setattr(decoding, "COMPACT_WHEN", 2)
    torch.manual_seed(0)
    shape = {"n_embd": 32, "n_layer": 2, "n_head": 4, "vocab_size": 600, "initializer_range": 0.3}
    model = GPT2LMHeadModel(GPT2Config(n_positions=60, bos_token_id=None, eos_token_id=None, **shape)).eval()
    texts, bounds = (
        [(text * 40)[:40] for text in prompts(30)],
        StopCriteria(frozenset(range(0, 600, 20)), 20, 60),
    )
    result = written(model, read_rows(model, texts, 10), bounds, 150)
    assert result == {number: naive(model, tokens, bounds) for number, tokens in enumerate(texts)}
    assert max(map(len, result.values())) == 20


def test_no_rows_give_no_output(model: Any) -> None:
    assert written(model, [], StopCriteria(ENDS, 5, CONTEXT)) == {}


def test_the_prompt_is_not_computed_again(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = list(read_rows(model, [text * 2 for text in prompts(6, 20)], 6))
    left = sum(len(row.tokens) - len(row.cached_nodes) for row in rows)
    seen: list[int] = []
    forward = model.forward
    monkeypatch.setattr(
        model,
        "forward",
        lambda input_ids, **more: seen.append(input_ids.numel()) or forward(input_ids, **more),
    )
    result = written(model, rows, StopCriteria(frozenset(), 12, CONTEXT))
    assert sum(seen) == left + 6 * 11  # what was not kept, and each new token but the last once
    assert sum(map(len, result.values())) == 6 * 12


@pytest.mark.parametrize("fails", range(0, 14, 2))
def test_running_out_of_memory_at_any_step_loses_nothing(
    model: Any, fails: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts, bounds, messages = prompts(10), StopCriteria(ENDS, 14, CONTEXT), list[str]()
    monkeypatch.setattr(decoding, "STEPS_PER_SYNC", 4)
    rows = list(read_rows(model, texts, 5))
    forward, count = model.forward, iter(range(10_000))

    def failing(*args: Any, **more: Any) -> Any:
        if next(count) == fails:
            raise torch.OutOfMemoryError("out of memory")
        return forward(*args, **more)

    monkeypatch.setattr(model, "forward", failing)
    with torch.inference_mode():
        done = list(generate(model, iter(rows), bounds, TokenBudget(4096, messages.append)))
    monkeypatch.undo()
    assert {row.index: row.generated for row in done} == {
        number: naive(model, tokens, bounds) for number, tokens in enumerate(texts)
    }
    assert len(done) == 10
    assert len(messages) == 1


def test_one_row_that_does_not_fit_is_an_error(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any, **more: Any) -> Any:
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(model, "forward", full)
    rows = [GenerationSlot(number, [3, 4, 5]) for number in range(3)]
    with pytest.raises(MentallamaError, match="out of memory with a single question of 3 tokens"):
        list(generate(model, rows, StopCriteria(ENDS, 5, CONTEXT), TokenBudget(4096, lambda _: None)))


class Block:
    """Something of a size, that may be halved down to one."""

    def __init__(self, size: int, parts: int = 1) -> None:
        self.n_tokens, self.parts = size, parts

    def halves(self) -> list[Block]:
        if self.parts == 1:
            return [self]
        half = self.parts // 2
        return [Block(self.n_tokens // 2, half), Block(self.n_tokens // 2, self.parts - half)]


def test_batches_stay_within_the_budget_and_contain_every_item_once(monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = [Block(size) for size in (5, 9, 1, 7, 7, 2, 30)]
    parts = [part for part, _ in run_in_batches(blocks, TokenBudget(20, lambda _: None), len)]
    assert [[block.n_tokens for block in part] for part in parts] == [[30], [9, 7], [7, 5], [2, 1]]
    monkeypatch.setattr(passes, "SMALL_BATCH_TOKENS", 0)  # what differs by more than a third then runs apart
    parts = [part for part, _ in run_in_batches(blocks, TokenBudget(20, lambda _: None), len)]
    assert [[block.n_tokens for block in part] for part in parts] == [[30], [9, 7], [7], [5], [2], [1]]
    square = TokenBudget(1000, lambda _: None, max_mask_cells=100)
    assert [len(part) for part, _ in run_in_batches([Block(5) for _ in range(9)], square, len)] == [4, 4, 1]


def test_failed_batches_are_halved_until_they_fit() -> None:
    messages: list[str] = []

    def run(part: Any) -> int:
        if sum(block.n_tokens for block in part) > 10:
            raise torch.OutOfMemoryError
        return sum(block.parts for block in part)

    budget = TokenBudget(100, messages.append)
    result = [count for _, count in run_in_batches([Block(8), Block(8), Block(8), Block(16, 4)], budget, run)]
    assert sum(result) == 7
    # 4 x 16 does not fit, nor the 16 alone, nor two of 8; then 8 at a time
    assert messages == [
        f"out of memory: batches are limited to {most} tokens from here on" for most in (32, 16, 8)
    ]
    with pytest.raises(MentallamaError, match="a single question of 11 tokens"):
        list(run_in_batches([Block(11)], budget, run))
