"""The encoder that all questions share, with one head per question or part (multi-task learning, Caruana 1997).

Heads are rows of one matrix. The rows of an ordered head share one direction, in proportion to the numbers of its
levels: an adjacent-categories logit model (Agresti 2010, section 4.1), whose log-odds of a level against the next lower
one differ by a constant between levels. A head of tokens is applied to every token; the logits of a text are those of
the token that is most likely part of a quotation.

On disk, the encoder and its tokenizer are in the layout of transformers. Beside them, `heads.safetensors` holds
`weight`, shape (labels of all heads, hidden), and `bias`; `mentallama.json` says which rows belong to which head.
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
from scipy.special import softmax

from mentallama.analysts.base import Device, Dtype, NonFiniteOutputError
from mentallama.analysts.checkpoints.loading import choose_device, choose_dtype, load_pretrained
from mentallama.analysts.checkpoints.metadata import EncoderHead, ModelMetadata
from mentallama.analysts.inference.batching import TokenBudget, run_in_batches
from mentallama.errors import DataError, UsageError
from mentallama.tasks import Task

HEADS_FILE = "heads.safetensors"

Logits = NDArray[np.float64]
"""Shape (texts, labels of all heads)."""


def _mean_pooling(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    attended = mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * attended).sum(1) / attended.sum(1)


def _cls_pooling(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return hidden[:, 0]


POOLINGS: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "mean": _mean_pooling,
    "cls": _cls_pooling,
}
"""From hidden states (texts, tokens, hidden) and mask (texts, tokens) to one state per text (texts, hidden)."""


@dataclass(frozen=True)
class HeadLayout:
    """Columns of the heads that are computed in another way: those of ordered levels, and those of tokens."""

    ordered: tuple[slice, ...] = ()
    tokens: tuple[slice, ...] = ()

    @classmethod
    def of_heads(cls, heads: Sequence[EncoderHead]) -> HeadLayout:
        columns = list(zip(heads, head_slices(heads), strict=True))
        return cls(
            ordered=tuple(of_head for head, of_head in columns if head.ordered),
            tokens=tuple(of_head for head, of_head in columns if head.of_tokens),
        )


def along_levels(rows: torch.Tensor) -> torch.Tensor:
    """The nearest rows, shape (levels, ...), that are multiples of one row in proportion to their numbers.

    >>> along_levels(torch.tensor([[0.0, 3.0], [0.0, 0.0], [4.0, 3.0]])).tolist()
    [[-2.0, 0.0], [0.0, 0.0], [2.0, 0.0]]
    """
    numbers = torch.arange(len(rows), device=rows.device, dtype=rows.dtype)
    numbers = numbers - numbers.mean()
    direction: torch.Tensor = torch.tensordot(numbers, rows, 1) / (numbers @ numbers)
    return numbers.reshape(-1, *[1] * direction.dim()) * direction


class MultiTaskEncoder(torch.nn.Module):
    """An encoder and the heads of all questions, stacked into one matrix.

    Parameters
    ----------
    encoder
        A model of transformers that returns `last_hidden_state`.
    n_labels
        Number of labels of all heads together.
    pooling
        A name in `POOLINGS`.
    dropout
        Dropout probability in front of the heads.
    layout
        Which heads are of ordered levels or of tokens.
    """

    def __init__(
        self,
        encoder: Any,
        n_labels: int,
        pooling: str,
        dropout: float = 0.0,
        layout: HeadLayout | None = None,
    ) -> None:
        super().__init__()
        self.encoder, self.pooling, self.layout = encoder, pooling, layout or HeadLayout()
        self.dropout = torch.nn.Dropout(dropout)
        self.heads = torch.nn.Linear(encoder.config.hidden_size, n_labels)
        torch.nn.init.normal_(self.heads.weight, std=0.02)
        torch.nn.init.zeros_(self.heads.bias)
        # FSDP shards these layer by layer.
        self._no_split_modules = getattr(encoder, "_no_split_modules", None)

    def forward(
        self, ids: torch.Tensor, mask: torch.Tensor, with_margins: bool = False
    ) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        """Logits of all heads, shape (texts, labels), for ids and mask of shape (texts, tokens).

        With margins, those of tokens as well: present minus absent, shape (texts, tokens, token heads). It needs heads
        of tokens.
        """
        hidden = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        # Pooling and heads stay in the dtype of the heads: they are cheap, and the decision depends on them.
        with torch.autocast(ids.device.type, enabled=False):
            hidden = hidden.to(self.heads.weight.dtype)
            logits: torch.Tensor = self.heads(self.dropout(POOLINGS[self.pooling](hidden, mask)))
            logits = self._along_levels(logits)
            if not self.layout.tokens:
                return logits
            margins = self._token_margins(hidden)
            logits = self._from_best_tokens(logits, margins, mask)
        return (logits, margins) if with_margins else logits

    def _along_levels(self, logits: torch.Tensor) -> torch.Tensor:
        """The logits with those of ordered heads along their levels."""
        logits = logits.clone() if self.layout.ordered else logits
        for columns in self.layout.ordered:
            bias = self.heads.bias[columns]
            logits[:, columns] = along_levels((logits[:, columns] - bias).T).T + bias
        return logits

    def _token_margins(self, hidden: torch.Tensor) -> torch.Tensor:
        absent = [columns.start for columns in self.layout.tokens]
        present = [columns.start + 1 for columns in self.layout.tokens]
        weight = self.heads.weight[present] - self.heads.weight[absent]
        bias = self.heads.bias[present] - self.heads.bias[absent]
        return torch.nn.functional.linear(self.dropout(hidden), weight, bias)

    def _from_best_tokens(
        self, logits: torch.Tensor, margins: torch.Tensor, mask: torch.Tensor
    ) -> torch.Tensor:
        """The logits with those of heads of tokens from the token of the text that is most likely quoted."""
        logits = logits.clone()
        best = margins.masked_fill(~mask.bool().unsqueeze(-1), -torch.inf).amax(1)
        for index, columns in enumerate(self.layout.tokens):
            logits[:, columns] = torch.stack([-best[:, index] / 2, best[:, index] / 2], dim=1)
        return logits


def logits_and_margins(
    model: Any, ids: torch.Tensor, mask: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and margins, as `MultiTaskEncoder.forward` returns them; without heads of tokens the margins are empty."""
    if model.layout.tokens:
        logits, margins = model(ids, mask, with_margins=True)
        return logits, margins
    logits = model(ids, mask)
    return logits, logits.new_zeros((*ids.shape, 0))


@dataclass(frozen=True)
class EncoderOutputs:
    """Logits of all heads for some texts, and for each text the margins of its tokens, shape (tokens, token heads)."""

    logits: Logits
    token_margins: list[NDArray[np.float32]]


@dataclass(frozen=True)
class EncoderClassifier:
    """An encoder with heads and its tokenizer. Texts are truncated to `max_length` tokens."""

    model: MultiTaskEncoder
    tokenizer: Any
    max_length: int

    def tokenize(self, texts: Sequence[str]) -> tuple[list[list[int]], int]:
        """Token ids of each text, and how many texts were truncated."""
        if not texts:
            return [], 0
        batch = self.tokenizer(list(texts), truncation=True, max_length=self.max_length)
        n_truncated = sum(bool(encoding.overflowing) for encoding in batch.encodings)
        return [list(ids) for ids in batch["input_ids"]], n_truncated

    def token_offsets(self, texts: Sequence[str]) -> list[list[tuple[int, int]]]:
        """Start and end of the characters of each token of each text; (0, 0) for tokens that stand for none."""
        if not texts:
            return []
        batch = self.tokenizer(
            list(texts), truncation=True, max_length=self.max_length, return_offsets_mapping=True
        )
        return [[(int(start), int(end)) for start, end in of_text] for of_text in batch["offset_mapping"]]

    def logits(self, rows: Sequence[Sequence[int]], budget: TokenBudget) -> Logits:
        """Logits of all heads, as `outputs`."""
        return self.outputs(rows, budget).logits

    def outputs(self, rows: Sequence[Sequence[int]], budget: TokenBudget) -> EncoderOutputs:
        """Run the model without gradients or dropout; rows of similar length are batched together."""
        logits = np.zeros((len(rows), self.model.heads.out_features))
        margins = [np.zeros((0, 0), np.float32)] * len(rows)
        self.model.eval()
        texts = [TokenizedText(index, ids) for index, ids in enumerate(rows)]
        with torch.inference_mode():
            for batch, (batch_logits, batch_margins) in run_in_batches(texts, budget, self._batch_outputs):
                logits[[text.index for text in batch]] = batch_logits
                for text, of_text in zip(batch, batch_margins, strict=True):
                    margins[text.index] = of_text[: text.n_tokens]
        return EncoderOutputs(logits, margins)

    def finite_outputs(self, rows: Sequence[Sequence[int]], budget: TokenBudget, name: str) -> EncoderOutputs:
        """As `outputs`, for the model called `name`; raises `NonFiniteOutputError` if a logit is NaN or infinite."""
        outputs = self.outputs(rows, budget)
        if not np.isfinite(outputs.logits).all():
            raise NonFiniteOutputError(name)
        return outputs

    def finite_logits(self, rows: Sequence[Sequence[int]], budget: TokenBudget, name: str) -> Logits:
        """As `logits`, for the model called `name`; raises `NonFiniteOutputError` if one is NaN or infinite."""
        return self.finite_outputs(rows, budget, name).logits

    def _batch_outputs(
        self, batch: Sequence[TokenizedText]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        device = self.model.heads.weight.device
        padded = pad_batch([text.ids for text in batch], self.pad_token_id, device)
        logits, margins = logits_and_margins(self.model, *padded)
        return logits.float().cpu().numpy(), margins.float().cpu().numpy()

    @property
    def pad_token_id(self) -> int:
        """Token used for padding. It is masked, so token 0 serves where tokenizer or model have no padding token."""
        token_id = int(self.tokenizer.pad_token_id or 0)
        return token_id if token_id < self.model.encoder.get_input_embeddings().weight.shape[0] else 0


@dataclass(frozen=True)
class TokenizedText:
    """Token ids of a text and its index among all texts."""

    index: int
    ids: Sequence[int]

    @property
    def n_tokens(self) -> int:
        return len(self.ids)

    def halves(self) -> list[TokenizedText]:
        """A single text cannot be split."""
        return [self]


def pad_batch(
    rows: Sequence[Sequence[int]], pad_token_id: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and attention mask, both of shape (rows, longest row), padded on the right."""
    longest = max(map(len, rows))
    ids = [[*row, *[pad_token_id] * (longest - len(row))] for row in rows]
    mask = [[1] * len(row) + [0] * (longest - len(row)) for row in rows]
    return torch.tensor(ids, device=device), torch.tensor(mask, device=device)


def head_slices(heads: Sequence[EncoderHead]) -> list[slice]:
    """The slice of the logits that belongs to each head."""
    ends = np.cumsum([0, *(len(head.labels) for head in heads)]).tolist()
    return [slice(start, end) for start, end in pairwise(ends)]


def calibrated_probabilities(logits: Logits, head: EncoderHead) -> NDArray[np.float64]:
    """Softmax of a head's logits (texts, labels) at its temperature."""
    probabilities: NDArray[np.float64] = softmax(logits / head.temperature, axis=1)
    return probabilities


def check_labels(head: EncoderHead, task: Task, name: str) -> None:
    """Raise `UsageError` if the levels of the head's part are not those of the task."""
    parts = {part.name: part for part in task.parts}
    part = parts.get(head.part)
    if part is None or set(head.labels) != set(part.levels):
        raise UsageError(
            f"{name} was trained with other labels of {task.set} than the task has now; train again"
        )
    if head.ordered and head.labels != part.levels:
        raise UsageError(
            f"{name} was trained with the levels of {task.set} in another order than the task has now; train again"
        )


def save_heads(folder: Path, weights: dict[str, torch.Tensor]) -> None:
    """Write the heads' `weight` and `bias` beside the encoder."""
    save_file(weights, folder / HEADS_FILE)


def open_encoder(location: str, device: Device, dtype: Dtype) -> tuple[EncoderClassifier, ModelMetadata, str]:
    """Open an encoder trained by this project: the classifier, its metadata and the model's name.

    Raises
    ------
    UsageError
        There is no such model, or it has no heads and thus answers nothing yet.
    DataError
        The heads are damaged or do not fit the encoder.
    """
    folder, target = Path(location), choose_device(device)
    loaded = load_pretrained(location, "encoder", torch.float32, None)
    metadata = loaded.metadata
    if metadata is None or not metadata.heads or not (folder / HEADS_FILE).is_file():
        raise UsageError(
            f"{location}: this encoder has no heads yet and answers nothing; train it, with train.base set to it"
        )
    model = MultiTaskEncoder(
        loaded.model,
        sum(len(head.labels) for head in metadata.heads),
        metadata.pooling,
        layout=HeadLayout.of_heads(metadata.heads),
    )
    try:
        model.heads.load_state_dict(load_file(folder / HEADS_FILE))
    except (SafetensorError, RuntimeError):
        raise DataError("not the heads of this encoder; train again", folder / HEADS_FILE) from None
    model = model.to(target, choose_dtype(dtype, target)).eval()
    max_length = min(metadata.max_tokens, loaded.context)
    return EncoderClassifier(model, loaded.tokenizer, max_length), metadata, loaded.name
