"""Fine-tuning of an encoder with a classification head per question: `train.analyst: encoder`.

All sets are trained together. A text counts once, however many questions it has labels for; balanced class weights are
inverse to a label's frequency among the training rows of its question. Each head is calibrated on validation rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import cross_entropy

from mentallama.analysts.checkpoints.loading import LoadedModel, choose_dtype, load_pretrained
from mentallama.analysts.checkpoints.metadata import EncoderHead, ModelMetadata
from mentallama.analysts.encoder.model import (
    EncoderClassifier,
    Logits,
    MultiTaskEncoder,
    head_slices,
    pad_batch,
    save_heads,
)
from mentallama.analysts.inference.batching import TokenBudget
from mentallama.config import EncoderSettings, Recipe
from mentallama.metrics.temperature import fit_calibration
from mentallama.progress import log_to_stderr
from mentallama.train.data.labelled_texts import (
    LabelledData,
    LabelledText,
    load_labelled_explanations,
    load_labelled_posts,
)
from mentallama.train.loop.batching import PackingBin
from mentallama.train.loop.checkpointing import TrainingState
from mentallama.train.loop.distributed import DistributedContext, init_distributed, shard_model
from mentallama.train.loop.loop import Metrics, Objective, fit
from mentallama.train.loop.session import (
    finalize_model,
    full_state_dict,
    training_fingerprint,
    training_history,
    training_session,
)
from mentallama.train.loop.validation import summed_loss, weighted_f1_by_set
from mentallama.train.objectives.sft import enable_gradient_checkpointing

TEXT_LOADERS = {"posts": load_labelled_posts, "explanations": load_labelled_explanations}
"""Loaders of training texts by the value of `train.reads`."""

LabelWeights = dict[int, list[float]]
"""Head index -> loss weight of each of its labels."""


@dataclass(frozen=True)
class EncoderRow:
    """Token ids of a text, and its label index in each head that it has a label for."""

    ids: Sequence[int]
    targets: Mapping[int, int]


def train_encoder(recipe: Recipe, folder: Path, out: Path) -> dict[str, Any]:
    """Fine-tune an encoder; returns the counts for the manifest.

    Raises
    ------
    UsageError
        As `load_labelled_posts`, `load_labelled_explanations` and `load_pretrained`.
    MentallamaError
        As `fit`.
    """
    settings = recipe.train
    assert isinstance(settings, EncoderSettings)
    devices = init_distributed(settings.device)
    texts = TEXT_LOADERS[settings.reads](recipe, folder)
    loaded = prepare_encoder(settings, recipe.seed, sum(len(head.labels) for head in texts.heads))
    classifier = EncoderClassifier(loaded.model, loaded.tokenizer, min(settings.max_tokens, loaded.context))
    (train, n_truncated), (validation, n_truncated_validation) = (
        tokenize_labelled(part, texts.heads, classifier) for part in (texts.train, texts.validation)
    )
    objective = encoder_objective(train, validation, texts.heads, classifier, settings, devices)
    hashed_rows = ((list(row.ids), sorted(row.targets.items())) for row in (*train, *validation))
    fingerprint = training_fingerprint(recipe, hashed_rows, loaded.name)
    model = shard_model(loaded.model, devices, choose_dtype(settings.dtype, devices.device))
    with training_session(recipe, folder, devices, objective, fingerprint) as session:
        state = fit(model, objective, session)
    logits = classifier.logits(
        [row.ids for row in validation], TokenBudget(settings.max_batch_tokens, log_to_stderr)
    )
    metadata = ModelMetadata(
        analyst="encoder",
        fingerprint=fingerprint,
        form=recipe.form,
        max_tokens=classifier.max_length,
        sets=texts.sets,
        base=loaded.name,
        reads=settings.reads,
        pooling=settings.pooling,
        heads=heads_with_temperature(texts.heads, logits, validation),
    )
    save_encoder(model, loaded, devices, out)
    counts = encoder_summary(texts, train, validation, n_truncated + n_truncated_validation, state)
    finalize_model(session, recipe, out, metadata, texts.seen_hashes(), counts)
    return counts


def prepare_encoder(settings: EncoderSettings, seed: int, n_labels: int) -> LoadedModel:
    """Load the base, add new heads for `n_labels` labels, and freeze what is not trained."""
    loaded = load_pretrained(settings.base, "encoder", torch.float32, None, dropout=settings.base_dropout)
    enable_gradient_checkpointing(loaded.model, settings)
    torch.manual_seed(seed)
    model = MultiTaskEncoder(loaded.model, n_labels, settings.pooling, settings.dropout)
    frozen = ("encoder.pooler.", *(("encoder.embeddings.",) if settings.freeze_embeddings else ()))
    for name, parameter in model.named_parameters():
        parameter.requires_grad = not name.startswith(frozen)
    return replace(loaded, model=model)


def tokenize_labelled(
    texts: Sequence[LabelledText], heads: Sequence[EncoderHead], classifier: EncoderClassifier
) -> tuple[list[EncoderRow], int]:
    """Encode texts; returns the rows, and how many of them were truncated."""
    head_index = {(head.set, head.question): index for index, head in enumerate(heads)}
    ids_of_texts, n_truncated = classifier.tokenize([text.text for text in texts])
    rows = []
    for text, ids in zip(texts, ids_of_texts, strict=True):
        labels = {head_index[text.set, question]: label for question, label in text.labels.items()}
        targets = {head: heads[head].labels.index(label) for head, label in labels.items()}
        rows.append(EncoderRow(ids, targets))
    return rows, n_truncated


def encoder_objective(
    train: Sequence[EncoderRow],
    validation: Sequence[EncoderRow],
    heads: Sequence[EncoderHead],
    classifier: EncoderClassifier,
    settings: EncoderSettings,
    devices: DistributedContext,
) -> Objective:
    """Cross-entropy of the labels, with class weights in training and without them in validation."""
    weights = balanced_label_weights(train, heads) if settings.class_weights == "balanced" else None
    head_columns = head_slices(heads)

    def loss_and_logits(
        rows: Sequence[EncoderRow], model: Any, bins: Sequence[PackingBin], weights: LabelWeights | None
    ) -> tuple[Any, Any]:
        batch = [rows[index] for rows_of_bin in bins for index in rows_of_bin]
        logits = model(*pad_batch([row.ids for row in batch], classifier.pad_token_id, devices.device))
        return label_loss(logits, batch, head_columns, weights), logits

    def evaluate(model: Any) -> Metrics:
        all_logits: Logits = np.zeros((len(validation), head_columns[-1].stop))

        def loss_of(bins: Sequence[PackingBin]) -> torch.Tensor:
            loss, logits = loss_and_logits(validation, model, bins, None)
            all_logits[[index for rows_of_bin in bins for index in rows_of_bin]] = (
                logits.float().cpu().numpy()
            )
            return torch.as_tensor(loss)

        # Every process evaluates all rows, so that each has all logits.
        lengths = [len(row.ids) for row in validation]
        total = summed_loss(loss_of, lengths, settings.max_batch_tokens, devices.single_process())
        return {"loss": total / len(validation), **mean_and_set_f1(heads, all_logits, validation)}

    return Objective(
        lengths=[len(row.ids) for row in train],
        loss=lambda model, bins: loss_and_logits(train, model, bins, weights)[0],
        normalizer=lambda bins: float(sum(map(len, bins))),
        evaluate=evaluate,
        lr_multiplier=partial(_lr_multiplier, settings.head_lr_multiplier),
    )


def label_loss(
    logits: torch.Tensor,
    rows: Sequence[EncoderRow],
    head_columns: Sequence[slice],
    weights: LabelWeights | None,
) -> torch.Tensor:
    """Cross-entropy in nats: mean over a row's questions, summed over rows.

    Parameters
    ----------
    logits
        Shape (rows, labels of all heads).
    head_columns
        The columns of each head's labels.
    weights
        Class weights; None: all 1.
    """
    total = logits.sum() * 0.0
    for head in sorted({head for row in rows for head in row.targets}):
        indices = [index for index, row in enumerate(rows) if head in row.targets]
        targets = torch.tensor([rows[index].targets[head] for index in indices], device=logits.device)
        factors = torch.tensor([1 / len(rows[index].targets) for index in indices], device=logits.device)
        losses = cross_entropy(logits[indices, head_columns[head]].float(), targets, reduction="none")
        if weights is not None:
            factors = factors * torch.tensor(weights[head], device=logits.device)[targets]
        total = total + (losses * factors).sum()
    return total


def balanced_label_weights(rows: Sequence[EncoderRow], heads: Sequence[EncoderHead]) -> LabelWeights:
    """Weight of a label: rows / (labels that occur * rows of the label), so that the mean over rows is 1.

    scikit-learn's "balanced", except that labels without a row have weight 0.
    """
    weights = {}
    for index, head in enumerate(heads):
        targets = [row.targets[index] for row in rows if index in row.targets]
        counts = np.bincount(targets, minlength=len(head.labels))
        n_occurring = np.count_nonzero(counts)
        weights[index] = [len(targets) / (n_occurring * count) if count else 0.0 for count in counts.tolist()]
    return weights


def mean_and_set_f1(heads: Sequence[EncoderHead], logits: Logits, rows: Sequence[EncoderRow]) -> Metrics:
    """Weighted F1 in percent: `weighted_f1`, the mean over sets, and `weighted_f1 SET` of each."""
    pairs_by_set: dict[str, list[tuple[str, str]]] = {}
    for index, (head, columns) in enumerate(zip(heads, head_slices(heads), strict=True)):
        row_indices, targets = _targets_of_head(rows, index)
        predicted = logits[row_indices, columns].argmax(axis=1)
        pairs = [
            (head.labels[target], head.labels[label])
            for target, label in zip(targets, predicted, strict=True)
        ]
        pairs_by_set.setdefault(head.set, []).extend(pairs)
    by_set = weighted_f1_by_set(pairs_by_set)
    mean = sum(by_set.values()) / len(by_set)
    return {"weighted_f1": mean, **{f"weighted_f1 {name}": score for name, score in by_set.items()}}


def heads_with_temperature(
    heads: Sequence[EncoderHead], logits: Logits, rows: Sequence[EncoderRow]
) -> tuple[EncoderHead, ...]:
    """The heads with the temperatures that fit the validation rows."""
    calibrated = []
    for index, (head, columns) in enumerate(zip(heads, head_slices(heads), strict=True)):
        row_indices, targets = _targets_of_head(rows, index)
        calibration = fit_calibration(logits[row_indices, columns], targets, shift_intercepts=False)
        calibrated.append(head.model_copy(update={"temperature": round(calibration.temperature, 4)}))
    return tuple(calibrated)


def _targets_of_head(rows: Sequence[EncoderRow], head: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices of the rows with a label for a head, and their label indices."""
    indices = [index for index, row in enumerate(rows) if head in row.targets]
    return np.array(indices, np.int64), np.array([rows[index].targets[head] for index in indices], np.int64)


def _lr_multiplier(of_heads: float, name: str) -> float:
    return of_heads if name.startswith("heads.") else 1.0


def save_encoder(model: Any, loaded: LoadedModel, devices: DistributedContext, out: Path) -> None:
    """Write encoder, heads and tokenizer, safetensors only; all processes must call it."""
    weights = full_state_dict(model, devices)
    if devices.is_main:
        parts: dict[str, dict[str, torch.Tensor]] = {"encoder": {}, "heads": {}}
        for name, tensor in weights.items():
            part, _, name_in_part = name.partition(".")
            parts[part][name_in_part] = tensor.contiguous()
        loaded.model.encoder.save_pretrained(out, state_dict=parts["encoder"], safe_serialization=True)
        save_heads(out, parts["heads"])
        loaded.tokenizer.save_pretrained(out)
    devices.barrier()


def encoder_summary(
    texts: LabelledData,
    train: Sequence[EncoderRow],
    validation: Sequence[EncoderRow],
    n_truncated: int,
    state: TrainingState,
) -> dict[str, Any]:
    """Counts of the training data, and the training history."""
    return {
        "rows": {"train": len(train), "validation": len(validation)},
        "tokens": {"train": sum(len(row.ids) for row in train)},
        "truncated_posts": n_truncated,
        "skipped": texts.skipped,
        "source_file": texts.source_file,
        **training_history(state),
    }
