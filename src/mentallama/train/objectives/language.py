"""Train a decoder language model on a run's rows: `train.analyst: causal` with `objective: sft`.

Reads the run's rows (`train.lessons`); writes the model in transformers' layout, or its adapter in peft's, with
`mentallama.json`, `seen.json`, the model card and `sft_summary.json`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from mentallama.analysts.base import Analyst, InferenceOptions
from mentallama.analysts.checkpoints.device import choose_dtype
from mentallama.analysts.checkpoints.loading import ADAPTER_CONFIG, LoadedModel, load_pretrained
from mentallama.analysts.checkpoints.metadata import ModelMetadata
from mentallama.analysts.inference.prompt_encoding import PromptEncoder, Template
from mentallama.analysts.language_model.causal import CausalAnalyst
from mentallama.config import CausalSettings, NeuralSettings, Recipe
from mentallama.errors import UsageError
from mentallama.records import Example
from mentallama.train.data.instructions import InstructionData, load_instructions
from mentallama.train.loop.batching import PackingBin
from mentallama.train.loop.checkpointing import TrainingState
from mentallama.train.loop.distributed import DistributedContext, init_distributed, shard_model
from mentallama.train.loop.loop import Metrics, Objective, fit
from mentallama.train.loop.lora import add_lora
from mentallama.train.loop.session import (
    finalize_model,
    full_state_dict,
    training_fingerprint,
    training_history,
    training_session,
)
from mentallama.train.loop.validation import summed_loss, weighted_f1_by_set
from mentallama.train.objectives.causal_sft import (
    CausalRow,
    TokenizedRows,
    causal_loss,
    collate_causal,
    tokenize_causal,
)

MAX_LABEL_TOKENS = 32
"""Of an answer whose label alone is asked for; the longest answer sentence has some twenty."""


@dataclass(frozen=True)
class PreparedModel:
    """A model to train and its tokenizer; `context`: tokens it can hold. `base` names what it was before."""

    model: Any
    tokenizer: Any
    max_context_tokens: int
    base: str


@dataclass(frozen=True)
class TrainingJob:
    """One training: its recipe, the run's folder, where the model goes, and what computes it."""

    recipe: Recipe
    folder: Path
    out: Path
    devices: DistributedContext


@dataclass(frozen=True)
class SftData:
    """What is learnt from: the examples, and their training and validation rows as tokens."""

    instructions: InstructionData
    train: TokenizedRows[Any]
    validation: TokenizedRows[Any]

    @property
    def token_ids(self) -> list[Sequence[int]]:
        """The tokens of every row."""
        return [row.ids for row in (*self.train.rows, *self.validation.rows)]


def train_causal_sft(recipe: Recipe, folder: Path, out: Path) -> dict[str, Any]:
    """Tune on responses; returns the counts of the manifest.

    Raises
    ------
    WrongUse
        As `load_instructions`, `load_pretrained`; a question and its answer are longer than the model can hold.
    MentallamaError
        As `fit`.
    """
    settings = recipe.train
    assert isinstance(settings, CausalSettings)
    devices = init_distributed(settings.device)
    lessons = load_instructions(recipe, folder)
    texts = (f"{example.text} {example.response}" for example in lessons.train)
    start = prepare_causal_model(settings, recipe, texts, devices)
    prompter = PromptEncoder(
        start.tokenizer, recipe.form, settings.template, min(settings.max_tokens, start.max_context_tokens)
    )
    tasks = recipe.catalogue()
    train, held = (tokenize_causal(rows, tasks, prompter) for rows in (lessons.train, lessons.validation))
    material = SftData(lessons, train, held)

    def loss_of(rows: Sequence[CausalRow], model: Any, bins: Sequence[PackingBin]) -> torch.Tensor:
        return causal_loss(model, collate_causal(rows, bins, devices.device))

    objective = sft_objective(material, loss_of, settings, devices)
    if settings.batching == "packed":
        objective = replace(objective, packed_length=settings.max_tokens)
    if settings.metric_for_best == "weighted_f1":
        asking = label_inference_options(settings.template)

        def analyst_of(model: Any) -> Analyst:
            return CausalAnalyst(
                LoadedModel(model, start.tokenizer, start.max_context_tokens, "trained", None), asking
            )

        objective = with_weighted_f1(objective, lessons.validation, analyst_of, devices)
    file = ModelMetadata(
        analyst="causal",
        fingerprint=training_fingerprint(recipe, material.token_ids, start.base),
        form=recipe.form,
        max_tokens=prompter.context,
        sets=lessons.sets,
        template="chat" if prompter.uses_chat_template else "plain",
        base=start.base,
    )
    return fit_and_save(TrainingJob(recipe, folder, out, devices), start, objective, material, file)


def fit_and_save(
    job: TrainingJob, start: PreparedModel, objective: Objective, material: SftData, file: ModelMetadata
) -> dict[str, Any]:
    """Fit the model and write its folder; returns the counts of the manifest.

    Raises
    ------
    MentallamaError
        As `fit`.
    """
    recipe, devices, settings = job.recipe, job.devices, job.recipe.train
    assert isinstance(settings, NeuralSettings)
    model = shard_model(start.model, devices, choose_dtype(settings.dtype, devices.device))
    with training_session(recipe, job.folder, devices, objective, file.fingerprint) as way:
        state = fit(model, objective, way)
    save_language_model(start, model, devices, job.out)
    counts = sft_summary(material, state)
    finalize_model(way, recipe, job.out, file, material.instructions.seen_hashes(), counts)
    return counts


def prepare_causal_model(
    settings: CausalSettings, recipe: Recipe, texts: Iterable[str], devices: DistributedContext
) -> PreparedModel:
    """The model to train, its weights in float32 where they learn; a new one has a tokenizer of the texts.

    Raises
    ------
    WrongUse
        As `load_pretrained`; the base is an adapter, on which neither weights nor another adapter can be trained.
    """
    if settings.from_scratch is not None:
        from mentallama.train.loop.random_init import random_llama

        model, tokenizer = random_llama(settings.from_scratch, texts, settings.max_tokens, recipe.seed)
        return PreparedModel(model, tokenizer, settings.max_tokens, "none")
    assert settings.base is not None
    if (Path(settings.base) / ADAPTER_CONFIG).is_file():
        raise UsageError(
            f"{settings.base}: this base is a LoRA adapter; merge it first: mentallama merge {settings.base} --out DIR"
        )
    adapter = settings.lora
    held_in = torch.float32 if adapter is None else choose_dtype(settings.dtype, devices.device)
    opened = load_pretrained(
        settings.base, "causal", held_in, None, quantised=adapter is not None and adapter.load_in_4bit
    )
    model = opened.model if adapter is None else add_lora(opened.model, adapter, recipe.seed)
    enable_gradient_checkpointing(model, settings)
    return PreparedModel(model, opened.tokenizer, opened.context, opened.name)


def enable_gradient_checkpointing(model: Any, settings: NeuralSettings) -> None:
    """Let the model compute activations twice, where the settings say so."""
    if settings.gradient_checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})


def sft_objective(
    material: SftData,
    loss_of: Callable[[Sequence[Any], Any, Sequence[PackingBin]], torch.Tensor],
    settings: NeuralSettings,
    devices: DistributedContext,
) -> Objective:
    """Cross-entropy of the responses' tokens; validation is measured the same way.

    `loss_of(rows, model, bins)` is the summed loss of some bins of rows.
    """
    train, held = material.train, material.validation

    def measure(model: Any) -> Metrics:
        room = settings.max_batch_tokens
        summed = summed_loss(lambda bins: loss_of(held.rows, model, bins), held.lengths, room, devices)
        return {"loss": summed / sum(row.n_targets for row in held.rows)}

    return Objective(
        lengths=train.lengths,
        loss=lambda model, bins: loss_of(train.rows, model, bins),
        normalizer=lambda bins: float(sum(train.rows[at].n_targets for each in bins for at in each)),
        evaluate=measure,
    )


def label_inference_options(template: Template) -> InferenceOptions:
    """How a model in training is asked for labels: it writes freely, no further than a label needs."""
    return InferenceOptions(
        mode="free", template=template, max_new_tokens=MAX_LABEL_TOKENS, log=lambda _: None
    )


def with_weighted_f1(
    objective: Objective,
    held: Sequence[Example],
    analyst_of: Callable[[Any], Analyst],
    devices: DistributedContext,
) -> Objective:
    """The objective, with the labels that the model writes on validation rows measured too.

    `weighted_f1`, in percent, is the mean over the sets; an answer that cannot be read is a wrong one.

    Raises
    ------
    WrongUse
        Several processes train: the weights of one alone cannot write.
    """
    if devices.world_size > 1:
        raise UsageError(
            "metric_for_best: weighted_f1 needs the whole model in one process; under torchrun use metric_for_best: loss"
        )

    def measure(model: Any) -> Metrics:
        told = [prediction.reading.label or "unparsed" for prediction in analyst_of(model).analyse(held)]
        return {**objective.evaluate(model), "weighted_f1": mean_weighted_f1(held, told)}

    return replace(objective, evaluate=measure)


def mean_weighted_f1(examples: Sequence[Example], predicted: Sequence[str]) -> float:
    """Weighted F1 of each set in percent, the mean over sets."""
    sets: dict[str, list[tuple[str, str]]] = {}
    for example, label in zip(examples, predicted, strict=True):
        sets.setdefault(example.task, []).append((example.label or "", label))
    scores = weighted_f1_by_set(sets).values()
    return sum(scores) / len(scores)


def save_language_model(start: PreparedModel, model: Any, devices: DistributedContext, out: Path) -> None:
    """Write weights and tokenizer, safetensors only; all processes call it."""
    weights = full_state_dict(model, devices)
    if devices.is_main:
        start.model.save_pretrained(out, state_dict=weights, safe_serialization=True)
        start.tokenizer.save_pretrained(out)
    devices.barrier()


def sft_summary(material: SftData, state: TrainingState) -> dict[str, Any]:
    """What was learnt from, and how it went."""
    lessons, train, held = material.instructions, material.train, material.validation
    return {
        "rows": {"train": len(train.rows), "validation": len(held.rows)},
        "tokens": {"train": sum(train.lengths), "targets": sum(row.n_targets for row in train.rows)},
        "truncated_posts": train.n_truncated + held.n_truncated,
        "skipped": dict(lessons.skipped),
        "source_file": lessons.source_file,
        **training_history(state),
    }
