"""Attention of one new token per row in models whose query heads share keys and values (grouped-query attention).

With a mask, transformers repeats the cached keys and values for every query head before it calls torch's kernel: with
long prompts, most of the time of a generated token goes into that copy. Here the query heads of a group are passed to
the same kernel as queries of their common head instead (Ainslie et al. 2023, GQA).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS


@contextmanager
def grouped_attention() -> Iterator[None]:
    """Within the block, layers that would call torch's attention for a single query per row do not repeat their keys.

    Models with an attention of their own are not affected.
    """
    ALL_ATTENTION_FUNCTIONS["sdpa"] = _grouped_attention
    try:
        yield
    finally:
        del ALL_ATTENTION_FUNCTIONS["sdpa"]


def _grouped_attention(  # noqa: PLR0913, PLR0917 - the interface of transformers
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Attention for query (rows, heads, 1, width), key and value (rows, shared heads, columns, width)."""
    rows, heads, n_queries, width = query.shape
    is_usual = n_queries == 1 and heads > key.shape[1] and attention_mask is not None and not dropout
    if not is_usual or kwargs.get("position_bias") is not None:
        output: tuple[torch.Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
        return output
    grouped = query.reshape(rows, key.shape[1], heads // key.shape[1], width)
    attended = scaled_dot_product_attention(grouped, key, value, attn_mask=attention_mask, scale=scaling)
    return attended.reshape(rows, 1, heads, -1), None
