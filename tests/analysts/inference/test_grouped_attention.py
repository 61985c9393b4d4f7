"""Attention without repeated keys gives what transformers' own gives."""

from __future__ import annotations

import pytest
import torch
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from mentallama.analysts.inference import grouped_attention as module
from mentallama.analysts.inference.answer_scoring import additive_mask
from mentallama.analysts.inference.grouped_attention import grouped_attention
from tests.factories.tiny_models import tiny_llama


@pytest.mark.parametrize("heads", [1, 2, 4])
@pytest.mark.parametrize("n_queries", [1, 3])
def test_logits_are_those_of_the_usual_attention(
    heads: int, n_queries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_llama(num_key_value_heads=heads)
    visible = torch.tensor([[1, 1, 1, 1, 1], [0, 0, 1, 1, 1]], dtype=torch.bool)[:, None, None]
    ids = torch.randint(1, 400, (2, n_queries), generator=torch.Generator().manual_seed(0))
    shapes: list[tuple[int, ...]] = []
    kernel = module.scaled_dot_product_attention

    def watched(query: torch.Tensor, *args: torch.Tensor, **options: object) -> torch.Tensor:
        shapes.append(tuple(query.shape))
        return kernel(query, *args, **options)

    monkeypatch.setattr(module, "scaled_dot_product_attention", watched)

    def logits() -> torch.Tensor:
        from transformers import DynamicCache

        cache = DynamicCache()
        mask = additive_mask(visible.expand(2, 1, n_queries, 5), torch.float32)
        with torch.inference_mode():
            model(torch.arange(1, 11 - 2 * n_queries).reshape(2, -1), past_key_values=cache)
            return model(ids, attention_mask=mask, past_key_values=cache).logits

    expected = logits()
    with grouped_attention():
        found = logits()
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    # 4 query heads; only where several share their keys, and for one query a row
    grouped = n_queries == 1 and heads < 4
    assert shapes == ([(2, heads, 4 // heads, 8)] * 2 if grouped else [])


def test_the_usual_attention_is_back_afterwards() -> None:
    before = ALL_ATTENTION_FUNCTIONS["sdpa"]
    with grouped_attention():
        assert ALL_ATTENTION_FUNCTIONS["sdpa"] is not before
    assert ALL_ATTENTION_FUNCTIONS["sdpa"] is before
