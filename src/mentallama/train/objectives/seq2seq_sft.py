"""Train an encoder-decoder (BART, T5) on a run's rows: `train.analyst: seq2seq`.

Reads the run's rows (`train.lessons`); writes what `train.language` writes. The encoder reads the prompt as prediction
writes it (`models.sides`), the decoder learns the response with the token that ends it; the loss is that of what the
decoder writes.
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
from mentallama.train.objectives.causal_sft import IGNORE_INDEX, TokenizedRows, head_on_positions
from mentallama.train.objectives.language import (
    PreparedModel,
    SftData,
    TrainingJob,
    enable_gradient_checkpointing,
    fit_and_save,
    label_inference_options,
    sft_objective,
    with_weighted_f1,
)


@dataclass(frozen=True)
class Seq2seqRow:
    """Tokens of one row: what the encoder reads, and what the decoder is to write behind `start`."""

    prompt: Sequence[int]
    target: Sequence[int]
    decoder_start_id: int

    @property
    def ids(self) -> Sequence[int]:
        """The tokens of both sides."""
        return [*self.prompt, *self.target]

    @property
    def n_targets(self) -> int:
        return len(self.target)


def train_seq2seq(recipe: Recipe, folder: Path, out: Path) -> dict[str, Any]:
    """Tune on responses; returns the counts of the manifest.

    Raises
    ------
    WrongUse
        As `load_instructions`, `load_pretrained`, `Seq2seqPromptEncoder`; a question or a response is longer than the model can hold.
    MentallamaError
        As `fit`.
    """
    settings = recipe.train
    assert isinstance(settings, Seq2seqSettings)
    devices = init_distributed(settings.device)
    lessons = load_instructions(recipe, folder)
    opened = load_pretrained(settings.base, "seq2seq", torch.float32, None)
    enable_gradient_checkpointing(opened.model, settings)
    start = PreparedModel(opened.model, opened.tokenizer, opened.context, opened.name)
    longest = min(settings.max_tokens, opened.context)
    sides = Seq2seqPromptEncoder(opened.model, opened.tokenizer, recipe.form, "plain", longest)
    tasks = recipe.catalogue()
    train, held = (tokenize_seq2seq(rows, tasks, sides) for rows in (lessons.train, lessons.validation))
    material = SftData(lessons, train, held)

    def loss_of(rows: Sequence[Seq2seqRow], model: Any, bins: Sequence[PackingBin]) -> torch.Tensor:
        return seq2seq_loss(
            model, collate_seq2seq([rows[at] for each in bins for at in each], devices.device)
        )

    objective = sft_objective(material, loss_of, settings, devices)
    if settings.metric_for_best == "weighted_f1":
        asking = label_inference_options("plain")

        def analyst_of(model: Any) -> Analyst:
            return Seq2seqAnalyst(
                LoadedModel(model, start.tokenizer, start.max_context_tokens, "trained", None), asking
            )

        objective = with_weighted_f1(objective, lessons.validation, analyst_of, devices)
    file = ModelMetadata(
        analyst="seq2seq",
        fingerprint=training_fingerprint(recipe, material.token_ids, start.base),
        form=recipe.form,
        max_tokens=longest,
        sets=lessons.sets,
        base=start.base,
    )
    return fit_and_save(TrainingJob(recipe, folder, out, devices), start, objective, material, file)


def tokenize_seq2seq(
    examples: Sequence[Example], tasks: dict[str, Task], prompt_encoder: Seq2seqPromptEncoder
) -> TokenizedRows[Seq2seqRow]:
    """Turn examples with their responses into tokens.

    Raises
    ------
    WrongUse
        A question or a response does not fit.
    """
    rows, cut = [], 0
    for example in examples:
        prompt = prompt_encoder.encode_prompt(example, tasks[example.task])
        cut += prompt.truncated_chars > 0
        rows.append(
            Seq2seqRow(
                prompt.ids,
                prompt_encoder.encode_target(example.response or ""),
                prompt_encoder.decoder_start_id,
            )
        )
    return TokenizedRows(rows, cut)


@dataclass(frozen=True)
class Seq2seqBatch:
    """Rows side by side: `read` and `mask` (rows, encoder tokens), `given` and `targets` (rows, decoder tokens).

    `targets` holds the token that should follow each that is given, or UNLEARNT. What fills up the decoder's rows
    stands behind them, where none of their tokens looks.
    """

    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    decoder_input_ids: torch.Tensor
    targets: torch.Tensor


def collate_seq2seq(rows: Sequence[Seq2seqRow], device: torch.device) -> Seq2seqBatch:
    """Lay rows side by side; they need no padding token, as no place that is filled up is looked at."""
    reads, writes = max(len(row.prompt) for row in rows), max(len(row.target) for row in rows)

    def laid(lines: Sequence[Sequence[int]], width: int, filler: int) -> torch.Tensor:
        return torch.tensor([[*line, *[filler] * (width - len(line))] for line in lines], device=device)

    return Seq2seqBatch(
        input_ids=laid([row.prompt for row in rows], reads, 0),
        attention_mask=laid([[1] * len(row.prompt) for row in rows], reads, 0),
        decoder_input_ids=laid([[row.decoder_start_id, *row.target[:-1]] for row in rows], writes, 0),
        targets=laid([row.target for row in rows], writes, IGNORE_INDEX),
    )


def seq2seq_loss(model: Any, batch: Seq2seqBatch) -> torch.Tensor:
    """Summed cross-entropy of all targets, in nats."""
    learnt = batch.targets != IGNORE_INDEX
    with head_on_positions(model, learnt):
        logits = model(
            input_ids=batch.input_ids,
            attention_mask=batch.attention_mask,
            decoder_input_ids=batch.decoder_input_ids,
            use_cache=False,
        ).logits
    return cross_entropy(logits.float(), batch.targets[learnt], reduction="sum")
