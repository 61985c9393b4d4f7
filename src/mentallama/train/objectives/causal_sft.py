"""Supervised fine-tuning of a decoder language model: `train.analyst: causal` with `objective: sft`.

A row is the same prompt as in prediction (`analysts.inference.prompt_encoding`), followed by the response and its end
token. Only the response's tokens have targets, so only their positions go through the model's head.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from mentallama.analysts.base import Analyst
from mentallama.analysts.checkpoints.loading import ADAPTER_CONFIG, LoadedModel, choose_dtype, load_pretrained
from mentallama.analysts.checkpoints.metadata import ModelMetadata
from mentallama.analysts.inference.prompt_encoding import PromptEncoder
from mentallama.analysts.language_model.causal import CausalAnalyst
from mentallama.analysts.language_model.generative import trained_template
from mentallama.config import CausalSettings, Recipe
from mentallama.errors import UsageError
from mentallama.program import command_line
from mentallama.records import Example
from mentallama.tasks import Task
from mentallama.train.data.instructions import load_instructions
from mentallama.train.loop.batching import PackingBin
from mentallama.train.loop.distributed import DistributedContext, init_distributed
from mentallama.train.loop.lora import add_lora
from mentallama.train.loop.serving import prepare_for_serving
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
class CausalRow:
    """Token ids of one row; the first `n_prompt` of them have no target."""

    ids: Sequence[int]
    n_prompt: int

    @property
    def n_targets(self) -> int:
        return len(self.ids) - self.n_prompt


CausalRows = TokenizedRows[CausalRow]


def train_causal_sft(recipe: Recipe, folder: Path, out: Path) -> dict[str, Any]:
    """Fine-tune on responses; returns the counts for the manifest.

    Raises
    ------
    UsageError
        As `load_instructions`, `prepare_causal_model`; a question and its answer exceed the model's context.
    MentallamaError
        As `fit`.
    """
    settings = recipe.train
    assert isinstance(settings, CausalSettings)
    devices = init_distributed(settings.device)
    instructions = load_instructions(recipe, folder)
    texts = (f"{example.text} {example.response}" for example in instructions.train)
    prepared = prepare_causal_model(settings, recipe, texts, devices)
    prompter = causal_prompt_encoder(prepared, settings, recipe)
    tasks = recipe.catalogue()
    train, validation = (
        tokenize_causal(rows, tasks, prompter) for rows in (instructions.train, instructions.validation)
    )
    data = SftData(instructions, train, validation)

    def loss_of(rows: Sequence[CausalRow], model: Any, bins: Sequence[PackingBin]) -> torch.Tensor:
        return causal_loss(model, collate_causal(rows, bins, devices.device))

    def analyst_of(model: Any) -> Analyst:
        loaded = LoadedModel(model, prepared.tokenizer, prepared.max_context_tokens, "trained", None)
        return CausalAnalyst(loaded, label_inference_options(prompter.template, tasks))

    objective = sft_objective(data, loss_of, settings, devices)
    if settings.batching == "packed":
        objective = replace(objective, packed_length=settings.max_tokens)
    if settings.metric_for_best == "weighted_f1":
        objective = with_weighted_f1(objective, instructions.validation, analyst_of, devices)
    fingerprint = training_fingerprint(recipe, data.token_ids, prepared.base)
    metadata = causal_metadata(fingerprint, recipe, prompter, instructions.sets, prepared.base)
    return fit_and_save(TrainingJob(recipe, folder, out, devices), prepared, objective, data, metadata)


def prepare_causal_model(
    settings: CausalSettings, recipe: Recipe, texts: Iterable[str], devices: DistributedContext
) -> PreparedModel:
    """Load the base, with new LoRA adapters if there are settings for them, or create model and tokenizer from scratch.

    Trainable weights are in float32. `texts` train the tokenizer of a model from scratch.

    Raises
    ------
    UsageError
        As `load_pretrained`; the base is an adapter, on which neither weights nor another adapter can be trained.
    """
    if settings.from_scratch is not None:
        from mentallama.train.loop.random_init import random_llama

        model, tokenizer = random_llama(settings.from_scratch, texts, settings.max_tokens, recipe.seed)
        return PreparedModel(model, tokenizer, settings.max_tokens, "none")
    assert settings.base is not None
    if (Path(settings.base) / ADAPTER_CONFIG).is_file():
        raise UsageError(
            f"{settings.base}: this base is a LoRA adapter; merge it first: "
            f"{command_line(f'merge {shlex.quote(str(settings.base))} --out DIR')}"
        )
    lora = settings.lora
    dtype = torch.float32 if lora is None else choose_dtype(settings.dtype, devices.device)
    loaded = load_pretrained(
        settings.base, "causal", dtype, None, quantized=lora is not None and lora.load_in_4bit
    )
    model = loaded.model if lora is None else add_lora(loaded.model, lora, recipe.seed)
    enable_gradient_checkpointing(model, settings)
    return PreparedModel(model, loaded.tokenizer, loaded.context, loaded.name, loaded.metadata)


def causal_prompt_encoder(prepared: PreparedModel, settings: CausalSettings, recipe: Recipe) -> PromptEncoder:
    """Prompt encoder for rows of at most `max_tokens` tokens, and never more than the model's context.

    The model is left ready to be served: with a chat template that makes the prompts of training, and with the tokens
    that end an answer in its generation configuration.

    Raises
    ------
    UsageError
        The token that ends an answer has no embedding.
    """
    longest = min(settings.max_tokens, prepared.max_context_tokens)
    template = trained_template(settings.template, prepared.base_metadata)
    prompter = PromptEncoder(prepared.tokenizer, recipe.form, template, longest)
    prepare_for_serving(prepared.model, prompter)
    # From here on the tokenizer has a template in any case, and `auto` would choose it.
    return PromptEncoder(prepared.tokenizer, recipe.form, prompter.template, longest)


def causal_metadata(
    fingerprint: str, recipe: Recipe, prompter: PromptEncoder, sets: tuple[str, ...], base: str
) -> ModelMetadata:
    """Metadata of a model that was trained on prompts."""
    return ModelMetadata(
        analyst="causal",
        fingerprint=fingerprint,
        form=recipe.form,
        max_tokens=prompter.context,
        sets=sets,
        template=prompter.template,
        base=base,
    )


def tokenize_causal(
    examples: Sequence[Example], tasks: dict[str, Task], prompter: PromptEncoder
) -> CausalRows:
    """Encode examples with their responses.

    Raises
    ------
    UsageError
        A response is so long that its question no longer fits.
    """
    rows, n_truncated = [], 0
    for example in examples:
        response = prompter.encode_answer(example.response or "")
        prompt = prompter.encode_prompt(example, tasks[example.task], len(response))
        n_truncated += prompt.truncated_chars > 0
        rows.append(CausalRow([*prompt.ids, *response], len(prompt.ids)))
    return CausalRows(rows, n_truncated)


@dataclass(frozen=True)
class CausalBatch:
    """Padded sequences; all tensors have the shape (sequences, tokens).

    `targets` holds the token that follows each position, or `IGNORE_INDEX`. `position_ids` is None if every sequence is
    a single row: padding is on the right, where causal attention never sees it. In packed sequences each row restarts
    at position 0, which transformers treats as a boundary that attention does not cross.
    """

    input_ids: torch.Tensor
    targets: torch.Tensor
    position_ids: torch.Tensor | None


def collate_causal(
    rows: Sequence[CausalRow], bins: Sequence[PackingBin], device: torch.device
) -> CausalBatch:
    """Concatenate the rows of each bin, and pad the bins to one length."""
    rows_of_bins = [[rows[index] for index in indices] for indices in bins]
    width = max(sum(len(row.ids) for row in bin_rows) for bin_rows in rows_of_bins)
    is_packed = any(len(bin_rows) > 1 for bin_rows in rows_of_bins)
    input_ids, targets, position_ids = [], [], []
    for bin_rows in rows_of_bins:
        tokens = [token for row in bin_rows for token in row.ids]
        next_tokens = [token for row in bin_rows for token in _targets(row)]
        positions = [position for row in bin_rows for position in range(len(row.ids))]
        n_padding = width - len(tokens)
        input_ids.append(tokens + [0] * n_padding)
        targets.append(next_tokens + [IGNORE_INDEX] * n_padding)
        position_ids.append(positions + list(range(n_padding)))
    return CausalBatch(
        torch.tensor(input_ids, device=device),
        torch.tensor(targets, device=device),
        torch.tensor(position_ids, device=device) if is_packed else None,
    )


def _targets(row: CausalRow) -> list[int]:
    """The token that follows each position: the response's tokens, and `IGNORE_INDEX` elsewhere."""
    return [IGNORE_INDEX] * (row.n_prompt - 1) + list(row.ids[row.n_prompt :]) + [IGNORE_INDEX]


def causal_loss(model: Any, batch: CausalBatch) -> torch.Tensor:
    """Cross-entropy summed over all targets, in nats."""
    has_target = batch.targets != IGNORE_INDEX
    packing = {} if batch.position_ids is None else {"position_ids": batch.position_ids}
    with head_on_positions(model, has_target):
        logits = model(input_ids=batch.input_ids, use_cache=False, **packing).logits
    return cross_entropy(logits.float(), batch.targets[has_target], reduction="sum")
