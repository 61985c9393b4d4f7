"""One encoder that all questions share, with a head for each (multi-task learning, Caruana 1997): texts to logits.

On disk, the encoder and its tokenizer are in transformers' own layout; `heads.safetensors` beside them holds `weight`,
shape (labels of all heads, hidden), and `bias`; `mentallama.json` says which rows are whose.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from mentallama.analysts.checkpoints.device import Device, Dtype, choose_device, choose_dtype
from mentallama.analysts.checkpoints.loading import load_pretrained
from mentallama.analysts.checkpoints.metadata import EncoderHead, ModelMetadata
from mentallama.analysts.inference.batching import TokenBudget, run_in_batches
from mentallama.errors import DataError, UsageError

HEADS_FILE = "heads.safetensors"

Logits = NDArray[np.float64]
"""Shape (texts, labels of all heads)."""


def _mean_pooling(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    shown = mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * shown).sum(1) / shown.sum(1)


def _cls_pooling(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return hidden[:, 0]


POOLINGS: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "mean": _mean_pooling,
    "cls": _cls_pooling,
}
"""From the states of a text's tokens to one of the text: (texts, tokens, hidden) to (texts, hidden)."""


class MultiTaskEncoder(torch.nn.Module):
    """An encoder and the heads of all questions, which are one matrix.

    Parameters
    ----------
    encoder
        A model of transformers that gives `last_hidden_state`.
    labels
        Labels of all heads together.
    pooling
        A name in `POOLINGS`.
    dropout
        Share of a text's state that the heads do not see while they learn.
    """

    def __init__(self, encoder: Any, n_labels: int, pooling: str, dropout: float = 0.0) -> None:
        super().__init__()
        self.encoder, self.pooling = encoder, pooling
        self.dropout = torch.nn.Dropout(dropout)
        self.heads = torch.nn.Linear(encoder.config.hidden_size, n_labels)
        torch.nn.init.normal_(self.heads.weight, std=0.02)
        torch.nn.init.zeros_(self.heads.bias)
        self._no_split_modules = getattr(
            encoder, "_no_split_modules", None
        )  # what is sharded a layer at a time

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Logits of all heads, shape (texts, labels), of ids and mask of shape (texts, tokens)."""
        hidden = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        with torch.autocast(ids.device.type, enabled=False):  # small sums, and the decision
            held_in = self.heads.weight.dtype
            pooled = POOLINGS[self.pooling](hidden.to(held_in), mask)
            logits: torch.Tensor = self.heads(self.dropout(pooled))
        return logits


@dataclass(frozen=True)
class EncoderClassifier:
    """A headed encoder with what it takes to read texts. `longest`: tokens that are read of a text."""

    model: MultiTaskEncoder
    tokenizer: Any
    max_length: int

    def tokenize(self, texts: Sequence[str]) -> tuple[list[list[int]], int]:
        """Tokens of each text, and how many texts lost their end."""
        if not texts:
            return [], 0
        found = self.tokenizer(list(texts), truncation=True, max_length=self.max_length)
        cut = sum(bool(each.overflowing) for each in found.encodings)
        return [list(ids) for ids in found["input_ids"]], cut

    def logits(self, rows: Sequence[Sequence[int]], budget: TokenBudget) -> Logits:
        """Logits of all heads, rows of like length read together; without gradients or dropout."""
        told = np.zeros((len(rows), self.model.heads.out_features))
        self.model.eval()
        numbered = [TokenizedText(number, ids) for number, ids in enumerate(rows)]
        with torch.inference_mode():
            for part, found in run_in_batches(numbered, budget, self._batch_logits):
                told[[row.index for row in part]] = found
        return told

    def _batch_logits(self, part: Sequence[TokenizedText]) -> NDArray[np.float32]:
        device = self.model.heads.weight.device
        logits = self.model(*pad_batch([row.ids for row in part], self.pad_token_id, device))
        read: NDArray[np.float32] = logits.float().cpu().numpy()
        return read

    @property
    def pad_token_id(self) -> int:
        """The token that fills up; none sees it, so that any will do where the tokenizer has none of its own."""
        return int(self.tokenizer.pad_token_id or 0)


@dataclass(frozen=True)
class TokenizedText:
    """A text's tokens and its place among all."""

    index: int
    ids: Sequence[int]

    @property
    def n_tokens(self) -> int:
        return len(self.ids)

    def halves(self) -> list[TokenizedText]:
        """It has no parts."""
        return [self]


def pad_batch(
    rows: Sequence[Sequence[int]], filler: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and mask, shape (rows, longest row)."""
    longest = max(map(len, rows))
    ids = [[*row, *[filler] * (longest - len(row))] for row in rows]
    mask = [[1] * len(row) + [0] * (longest - len(row)) for row in rows]
    return torch.tensor(ids, device=device), torch.tensor(mask, device=device)


def head_slices(heads: Sequence[EncoderHead]) -> list[slice]:
    """Each head's labels among the logits."""
    ends = np.cumsum([0, *(len(head.labels) for head in heads)]).tolist()
    return [slice(start, end) for start, end in pairwise(ends)]


def save_heads(folder: Path, weights: dict[str, torch.Tensor]) -> None:
    """Write the heads' `weight` and `bias` beside the encoder."""
    save_file(weights, folder / HEADS_FILE)


def open_encoder(where: str, device: Device, dtype: Dtype) -> tuple[EncoderClassifier, ModelMetadata, str]:
    """Open an encoder that was trained here: what reads, what the folder says of itself, and the model's name.

    Raises
    ------
    WrongUse
        There is no such model, or it has no heads: it answers no question yet.
    BadData
        Its heads are damaged, or are not those of the encoder.
    """
    folder, place = Path(where), choose_device(device)
    opened = load_pretrained(where, "encoder", torch.float32, None)
    if opened.metadata is None or not opened.metadata.heads or not (folder / HEADS_FILE).is_file():
        raise UsageError(
            f"{where}: this encoder has no heads yet, so that it answers nothing; train it with train.base"
        )
    file = opened.metadata
    model = MultiTaskEncoder(opened.model, sum(len(head.labels) for head in file.heads), file.pooling)
    try:
        model.heads.load_state_dict(load_file(folder / HEADS_FILE))
    except (SafetensorError, RuntimeError):
        raise DataError("not the heads of this encoder; train again", folder / HEADS_FILE) from None
    model = model.to(place, choose_dtype(dtype, place)).eval()
    return EncoderClassifier(model, opened.tokenizer, min(file.max_tokens, opened.context)), file, opened.name
