"""Supervised fine-tuning (SFT) on responses: the parts shared by decoders and encoder-decoders.

The model is trained on the rows of a run (`train.data.instructions`); the loss covers the response only. Writes
the model in the layout of transformers, or its adapter in that of peft, with `mentallama.json`, `seen.json`, the model
card and `summary.json`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import torch

from mentallama.analysts.base import Analyst, InferenceOptions, Template
from mentallama.analysts.checkpoints.loading import choose_dtype
from mentallama.analysts.checkpoints.metadata import ModelMetadata
from mentallama.config import NeuralSettings, Recipe
from mentallama.errors import UsageError
from mentallama.records import Example
from mentallama.tasks import Task
from mentallama.train.data.instructions import InstructionData
from mentallama.train.loop.batching import PackingBin
from mentallama.train.loop.checkpointing import TrainingState
from mentallama.train.loop.distributed import DistributedContext, shard_model
from mentallama.train.loop.loop import Metrics, Objective, fit
from mentallama.train.loop.session import (
    finalize_model,
    full_state_dict,
    training_history,
    training_session,
)
from mentallama.train.loop.validation import summed_loss, weighted_f1_by_set

IGNORE_INDEX = -100
"""Target that `cross_entropy` skips; torch's own default."""

MAX_LABEL_TOKENS = 32
"""Tokens generated when only the label is needed; the longest answer sentence has about twenty. Answers of several
parts get as many as in prediction."""


class TokenizedExample(Protocol):
    """A row as token ids, and the number of its tokens that have a target."""

    @property
    def ids(self) -> Sequence[int]: ...

    @property
    def n_targets(self) -> int: ...


ExampleT = TypeVar("ExampleT", bound=TokenizedExample)


@dataclass(frozen=True)
class TokenizedRows(Generic[ExampleT]):
    """Rows as token ids; `n_truncated` of them lost the end of their post."""

    rows: list[ExampleT]
    n_truncated: int

    @property
    def lengths(self) -> list[int]:
        return [len(row.ids) for row in self.rows]

    @property
    def n_targets(self) -> int:
        return sum(row.n_targets for row in self.rows)


@dataclass(frozen=True)
class SftData:
    """The examples, and their training and validation rows as token ids."""

    instructions: InstructionData
    train: TokenizedRows[Any]
    validation: TokenizedRows[Any]

    @property
    def token_ids(self) -> list[Sequence[int]]:
        """Token ids of every row, for the fingerprint."""
        return [row.ids for row in (*self.train.rows, *self.validation.rows)]


@dataclass(frozen=True)
class PreparedModel:
    """A model ready to be trained, its tokenizer, and its context length in tokens.

    `base` names the model that training starts from; "none" if it starts from scratch. `base_metadata` is None unless
    this project trained the base.
    """

    model: Any
    tokenizer: Any
    max_context_tokens: int
    base: str
    base_metadata: ModelMetadata | None = None


@dataclass(frozen=True)
class TrainingJob:
    """The recipe, the run's folder, the model's folder, and the devices of one training."""

    recipe: Recipe
    folder: Path
    out: Path
    devices: DistributedContext


def sft_objective(
    data: SftData,
    loss_of: Callable[[Sequence[Any], Any, Sequence[PackingBin]], torch.Tensor],
    settings: NeuralSettings,
    devices: DistributedContext,
) -> Objective:
    """Mean cross-entropy of the responses' tokens, in training and in validation.

    `loss_of(rows, model, bins)` is the loss summed over the targets of the rows in `bins`.
    """
    train, validation = data.train, data.validation

    def evaluate(model: Any) -> Metrics:
        total = summed_loss(
            lambda bins: loss_of(validation.rows, model, bins),
            validation.lengths,
            settings.max_batch_tokens,
            devices,
        )
        return {"loss": total / validation.n_targets}

    return Objective(
        lengths=train.lengths,
        loss=lambda model, bins: loss_of(train.rows, model, bins),
        normalizer=lambda bins: float(
            sum(train.rows[index].n_targets for rows_of_bin in bins for index in rows_of_bin)
        ),
        evaluate=evaluate,
    )


def with_weighted_f1(
    objective: Objective,
    validation: Sequence[Example],
    analyst_of: Callable[[Any], Analyst],
    devices: DistributedContext,
) -> Objective:
    """Add to the objective's metrics the weighted F1 of the labels that the model generates on validation rows.

    `weighted_f1`, in percent, is the mean over the sets; an unparsed answer counts as wrong.

    Raises
    ------
    UsageError
        Several processes train: none of them has the whole model to generate with.
    """
    if devices.world_size > 1:
        raise UsageError(
            "metric_for_best: weighted_f1 needs the whole model in one process; under torchrun use "
            "metric_for_best: loss"
        )

    def evaluate(model: Any) -> Metrics:
        predictions = analyst_of(model).predict(validation)
        labels = [prediction.reading.label or "unparsed" for prediction in predictions]
        return {**objective.evaluate(model), "weighted_f1": mean_weighted_f1(validation, labels)}

    return replace(objective, evaluate=evaluate)


def label_inference_options(template: Template, tasks: Mapping[str, Task]) -> InferenceOptions:
    """Options to generate labels during training: free text, no longer than the answers need, read up to the reason."""
    options = InferenceOptions(
        mode="free", labels_only=True, template=template, tasks=tasks, log=lambda _: None
    )
    if any(task.is_composite for task in tasks.values()):
        return options
    return replace(options, max_new_tokens=MAX_LABEL_TOKENS)


def mean_weighted_f1(examples: Sequence[Example], predicted: Sequence[str]) -> float:
    """Weighted F1 of each set in percent, the mean over sets."""
    pairs_by_set: dict[str, list[tuple[str, str]]] = {}
    for example, label in zip(examples, predicted, strict=True):
        pairs_by_set.setdefault(example.task, []).append((example.label or "", label))
    scores = weighted_f1_by_set(pairs_by_set).values()
    return sum(scores) / len(scores)


def fit_and_save(
    job: TrainingJob, prepared: PreparedModel, objective: Objective, data: SftData, metadata: ModelMetadata
) -> dict[str, Any]:
    """Fit the model and write its folder; returns the counts for the manifest.

    Raises
    ------
    MentallamaError
        As `fit`.
    """
    recipe, devices, settings = job.recipe, job.devices, job.recipe.train
    assert isinstance(settings, NeuralSettings)
    model = shard_model(prepared.model, devices, choose_dtype(settings.dtype, devices.device))
    with training_session(recipe, job.folder, devices, objective, metadata.fingerprint) as session:
        state = fit(model, objective, session)
    save_language_model(prepared, model, devices, job.out)
    counts = sft_summary(data, state)
    finalize_model(session, recipe, job.out, metadata, data.instructions.seen_hashes(), counts)
    return counts


def save_language_model(prepared: PreparedModel, model: Any, devices: DistributedContext, out: Path) -> None:
    """Write weights (safetensors only) and tokenizer; all processes must call it."""
    weights = full_state_dict(model, devices)
    if devices.is_main:
        prepared.model.save_pretrained(out, state_dict=weights, safe_serialization=True)
        prepared.tokenizer.save_pretrained(out)
    devices.barrier()


def sft_summary(data: SftData, state: TrainingState) -> dict[str, Any]:
    """Counts of the training data, and the training history."""
    train, validation = data.train, data.validation
    return {
        "rows": {"train": len(train.rows), "validation": len(validation.rows)},
        "tokens": {"train": sum(train.lengths), "targets": train.n_targets},
        "truncated_posts": train.n_truncated + validation.n_truncated,
        "skipped": dict(data.instructions.skipped),
        "source_file": data.instructions.source_file,
        **training_history(state),
    }


def enable_gradient_checkpointing(model: Any, settings: NeuralSettings) -> None:
    """Recompute activations in the backward pass, if the settings say so."""
    if settings.gradient_checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})


@contextmanager
def head_on_positions(model: Any, mask: torch.Tensor) -> Iterator[None]:
    """Apply the model's head only where `mask` is true: its logits then have the shape (positions, vocabulary).

    `mask` has the shape (sequences, tokens). The head is often the most expensive layer of a pass, and most tokens
    belong to the post. A hook works for every architecture, also inside the forward pass of sharded and adapted models.
    """
    head = model.get_output_embeddings()
    hook = head.register_forward_pre_hook(lambda _, args: (args[0][mask],))
    try:
        yield
    finally:
        hook.remove()
