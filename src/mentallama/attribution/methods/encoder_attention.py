"""Attention of an encoder to the words of a post, for comparison: it is no explanation (Jain & Wallace 2019)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mentallama.analysts.encoder.analyst import EncoderAnalyst
from mentallama.analysts.encoder.model import TokenizedText, pad_batch
from mentallama.analysts.inference.batching import run_in_batches
from mentallama.attribution.base import Attribution
from mentallama.attribution.methods.encoder_gradients import encode_posts
from mentallama.records import Example


class AttentionWeights:
    """The last layer's attention, averaged over its heads and over the tokens that are pooled.

    The weights are shares of attention, 0 to 1, and no log-odds. They are the same whatever the label.
    """

    def __init__(self, analyst: EncoderAnalyst) -> None:
        self._analyst = analyst

    def attribute(self, examples: Sequence[Example], labels: Sequence[str]) -> list[Attribution]:
        """Attribute labels to words; raises as `encode_posts` does."""
        posts = encode_posts(self._analyst, examples, labels)
        texts = [TokenizedText(row, post.ids) for row, post in enumerate(posts)]
        weights: list[NDArray[np.float64]] = [np.empty(0)] * len(posts)
        with torch.inference_mode(), _readable_attention(self._analyst.classifier.model.encoder):
            for batch, found in run_in_batches(texts, self._analyst.token_budget, self._batch_attention):
                for text, row in zip(batch, found, strict=True):
                    weights[text.index] = row[: len(text.ids)]
        return [
            Attribution(post.label, post.words, post.by_word(row), "attention")
            for post, row in zip(posts, weights, strict=True)
        ]

    def _batch_attention(self, batch: Sequence[TokenizedText]) -> NDArray[np.float64]:
        """Shape (texts, tokens)."""
        classifier = self._analyst.classifier
        model, device = classifier.model, classifier.model.heads.weight.device
        ids, mask = pad_batch([text.ids for text in batch], classifier.pad_token_id, device)
        outputs = model.encoder(input_ids=ids, attention_mask=mask, output_attentions=True)
        attention = outputs.attentions[-1].float().mean(1)
        if model.pooling == "cls":
            pooled = attention[:, 0]
        else:
            pooled = (attention * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True)
        found: NDArray[np.float64] = pooled.double().cpu().numpy()
        return found


@contextmanager
def _readable_attention(encoder: Any) -> Iterator[None]:
    """Have the encoder compute attention in a way that returns it, which fast kernels do not."""
    usual = encoder.config._attn_implementation
    encoder.set_attn_implementation("eager")
    try:
        yield
    finally:
        encoder.set_attn_implementation(usual)
