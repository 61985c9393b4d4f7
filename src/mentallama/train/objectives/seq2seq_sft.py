"""Supervised fine-tuning of an encoder-decoder (BART, T5): `train.analyst: seq2seq`.

The encoder reads the same prompt as in prediction (`analysts.inference.seq2seq_encoding`); the decoder is trained to
write the response and its end token. The loss covers the decoder's tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from mentallama.analysts.base import Analyst
from mentallama.analysts.checkpoints.loading import LoadedModel, load_pretrained
from mentallama.analysts.checkpoints.metadata import ModelMetadata
from mentallama.analysts.inference.seq2seq_encoding import Seq2seqPromptEncoder
from mentallama.analysts.language_model.seq2seq import Seq2seqAnalyst
from mentallama.config import Recipe, Seq2seqSettings
from mentallama.records import Example
from mentallama.tasks import Task
from mentallama.train.data.instructions import load_instructions
from mentallama.train.loop.batching import PackingBin
from mentallama.train.loop.distributed import init_distributed
from mentallama.train.loop.session import training_fingerprint
from mentallama.train.objectives.sft import (
    IGNORE_INDEX,
    PreparedModel,
    SftData,
    TokenizedRows,
    TrainingJob,
    enable_gradient_checkpointing,
    fit_and_save,
    head_on_positions,
    label_inference_options,
    sft_objective,
    with_weighted_f1,
)


@dataclass(frozen=True)
class Seq2seqRow:
    """Token ids of one row: the encoder's input, and the decoder's output after `decoder_start_id`."""

    prompt: Sequence[int]
    target: Sequence[int]
    decoder_start_id: int

    @property
    def ids(self) -> Sequence[int]:
        """Token ids of both sides."""
        return [*self.prompt, *self.target]

    @property
    def n_targets(self) -> int:
        return len(self.target)


def train_seq2seq(recipe: Recipe, folder: Path, out: Path) -> dict[str, Any]:
    """Fine-tune on responses; returns the counts for the manifest.

    Raises
    ------
    UsageError
        As `load_instructions`, `load_pretrained`, `Seq2seqPromptEncoder`; a question or a response exceeds the context.
    MentallamaError
        As `fit`.
    """
    settings = recipe.train
    assert isinstance(settings, Seq2seqSettings)
    devices = init_distributed(settings.device)
    instructions = load_instructions(recipe, folder)
    loaded = load_pretrained(settings.base, "seq2seq", torch.float32, None)
    enable_gradient_checkpointing(loaded.model, settings)
    prepared = PreparedModel(loaded.model, loaded.tokenizer, loaded.context, loaded.name)
    max_tokens = min(settings.max_tokens, loaded.context)
    prompter = Seq2seqPromptEncoder(loaded.model, loaded.tokenizer, recipe.form, "plain", max_tokens)
    tasks = recipe.catalogue()
    train, validation = (
        tokenize_seq2seq(rows, tasks, prompter) for rows in (instructions.train, instructions.validation)
    )
    data = SftData(instructions, train, validation)

    def loss_of(rows: Sequence[Seq2seqRow], model: Any, bins: Sequence[PackingBin]) -> torch.Tensor:
        rows_of_batch = [rows[index] for rows_of_bin in bins for index in rows_of_bin]
        return seq2seq_loss(model, collate_seq2seq(rows_of_batch, devices.device))

    def analyst_of(model: Any) -> Analyst:
        trained = LoadedModel(model, prepared.tokenizer, prepared.max_context_tokens, "trained", None)
        return Seq2seqAnalyst(trained, label_inference_options("plain", tasks))

    objective = sft_objective(data, loss_of, settings, devices)
    if settings.metric_for_best == "weighted_f1":
        objective = with_weighted_f1(objective, instructions.validation, analyst_of, devices)
    metadata = ModelMetadata(
        analyst="seq2seq",
        fingerprint=training_fingerprint(recipe, data.token_ids, prepared.base),
        form=recipe.form,
        max_tokens=max_tokens,
        sets=instructions.sets,
        base=prepared.base,
    )
    return fit_and_save(TrainingJob(recipe, folder, out, devices), prepared, objective, data, metadata)


def tokenize_seq2seq(
    examples: Sequence[Example], tasks: dict[str, Task], prompter: Seq2seqPromptEncoder
) -> TokenizedRows[Seq2seqRow]:
    """Encode examples with their responses.

    Raises
    ------
    UsageError
        A question or a response exceeds the context.
    """
    rows, n_truncated = [], 0
    for example in examples:
        prompt = prompter.encode_prompt(example, tasks[example.task])
        n_truncated += prompt.truncated_chars > 0
        rows.append(
            Seq2seqRow(
                prompt.ids,
                prompter.encode_target(example.response or ""),
                prompter.decoder_start_id,
            )
        )
    return TokenizedRows(rows, n_truncated)


@dataclass(frozen=True)
class Seq2seqBatch:
    """Padded rows: the encoder's tensors have the shape (rows, encoder tokens), the decoder's (rows, decoder tokens).

    `targets` holds the token that follows each decoder input, or `IGNORE_INDEX`. The decoder's padding is on the right,
    where causal attention never sees it.
    """

    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    decoder_input_ids: torch.Tensor
    targets: torch.Tensor


def collate_seq2seq(rows: Sequence[Seq2seqRow], device: torch.device) -> Seq2seqBatch:
    """Pad rows to one length. Padding is masked and has no targets, so its token id does not matter."""
    n_encoder, n_decoder = max(len(row.prompt) for row in rows), max(len(row.target) for row in rows)

    def padded(sequences: Sequence[Sequence[int]], width: int, value: int) -> torch.Tensor:
        return torch.tensor([[*ids, *[value] * (width - len(ids))] for ids in sequences], device=device)

    return Seq2seqBatch(
        input_ids=padded([row.prompt for row in rows], n_encoder, 0),
        attention_mask=padded([[1] * len(row.prompt) for row in rows], n_encoder, 0),
        decoder_input_ids=padded([[row.decoder_start_id, *row.target[:-1]] for row in rows], n_decoder, 0),
        targets=padded([row.target for row in rows], n_decoder, IGNORE_INDEX),
    )


def seq2seq_loss(model: Any, batch: Seq2seqBatch) -> torch.Tensor:
    """Cross-entropy summed over all targets, in nats."""
    has_target = batch.targets != IGNORE_INDEX
    with head_on_positions(model, has_target):
        logits = model(
            input_ids=batch.input_ids,
            attention_mask=batch.attention_mask,
            decoder_input_ids=batch.decoder_input_ids,
            use_cache=False,
        ).logits
    return cross_entropy(logits.float(), batch.targets[has_target], reduction="sum")
