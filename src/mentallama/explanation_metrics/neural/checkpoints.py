"""Open the model of a metric from a folder, and tokenize texts for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_FOR_MASKED_LM_MAPPING,
    PreTrainedConfig,
)

from mentallama.analysts.checkpoints.loading import (
    LoadedModel,
    choose_device,
    choose_dtype,
    load_pretrained,
    wrong_kind_error,
)
from mentallama.analysts.inference.batching import TokenBudget
from mentallama.analysts.inference.prompt_encoding import escape_special_tokens
from mentallama.analysts.registry import model_problem
from mentallama.errors import UsageError
from mentallama.explanation_metrics.base import MetricOptions
from mentallama.progress import LogFn

Tokens = tuple[int, ...]

TRUNCATED_TEXTS = "truncated_texts"
"""Name of the count of texts that were truncated."""

LENGTH_RATIOS = {"cpu": 1.05, "cuda": 4 / 3}
"""How many times as long as the shortest text of a batch the longest may be, by type of device: on a CPU padding costs
more than a smaller batch, on a GPU it is the reverse."""


def token_budget(options: MetricOptions, device: torch.device) -> TokenBudget:
    """The budget of a metric's batches."""
    return TokenBudget(options.max_batch_tokens, options.log, max_length_ratio=LENGTH_RATIOS[device.type])


def open_checkpoint(metric: str, location: str, kind: str, options: MetricOptions) -> LoadedModel:
    """Load a model of a kind (`seq2seq`, `encoder`, `causal` or `classifier`) from a folder; nothing is downloaded.

    Raises
    ------
    UsageError
        There is no such folder, or it holds no complete model of that kind.
    DataError
        A file of a model made here is not the one that was saved.
    """
    problem = model_problem(location, on_hub=False)
    if problem is not None:
        raise UsageError(f"{metric}: {problem}")
    device = choose_device(options.device)
    loaded = load_pretrained(location, kind, choose_dtype(options.dtype, device), device)
    _refuse_other_direction(loaded.model.config, location, kind)
    loaded.model.eval()
    return loaded


def _refuse_other_direction(config: PreTrainedConfig, location: str, kind: str) -> None:
    """Refuse a decoder as an encoder and the reverse: transformers loads both, and the numbers would mean nothing."""
    is_causal = type(config) in MODEL_FOR_CAUSAL_LM_MAPPING
    is_masked = type(config) in MODEL_FOR_MASKED_LM_MAPPING and not getattr(config, "is_decoder", False)
    if (kind == "encoder" and is_causal and not is_masked) or (kind == "causal" and is_masked):
        raise wrong_kind_error(location, config.model_type, kind)


@dataclass
class TextTokenizer:
    """Tokenizes texts with the model's special tokens, truncated at their end to its context.

    Attributes
    ----------
    counts
        `truncated_texts`: how many texts were truncated.
    """

    tokenizer: Any
    context: int
    name: str
    log: LogFn
    counts: Counter[str]

    def sources(self, texts: Sequence[str]) -> list[Tokens]:
        """Token ids of texts that an encoder reads."""
        return self._tokens(self.tokenizer(self._escaped(texts), **self._truncation)) if texts else []

    def targets(self, texts: Sequence[str]) -> list[Tokens]:
        """Token ids of texts that a decoder is to produce."""
        return (
            self._tokens(self.tokenizer(text_target=self._escaped(texts), **self._truncation))
            if texts
            else []
        )

    @property
    def _truncation(self) -> dict[str, Any]:
        return {"truncation": True, "max_length": self.context}

    def _escaped(self, texts: Sequence[str]) -> list[str]:
        return [escape_special_tokens(text, self.tokenizer.all_special_tokens) for text in texts]

    def _tokens(self, batch: Any) -> list[Tokens]:
        n_truncated = sum(bool(encoding.overflowing) for encoding in batch.encodings)
        if n_truncated:
            self.counts[TRUNCATED_TEXTS] += n_truncated
            self.log(
                f"{self.name} has a context of {self.context} tokens: {n_truncated} of {len(batch.encodings)} texts "
                "were truncated at their end"
            )
        return [tuple(ids) for ids in batch["input_ids"]]


def padded(rows: Sequence[Sequence[int]], padding: int, device: torch.device) -> torch.Tensor:
    """Ids of shape (rows, longest row), padded on the right."""
    longest = max(map(len, rows))
    return torch.tensor([[*row, *[padding] * (longest - len(row))] for row in rows], device=device)
