"""Fine-tuning of an encoder with a classification head per question: `train.analyst: encoder`.

All sets are trained together. A text counts once, however many questions it has labels for; balanced class weights are
inverse to a label's frequency among the training rows of its question. Each head is calibrated on validation rows.

A label that may be present beside others has a head of two labels: the softmax of two logits is the sigmoid of their
difference. A type of quotation is learnt token by token, without class weights; the threshold above which tokens are
quoted is the one with the best F1 on validation tokens, and becomes part of the head's bias.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from mentallama.analysts.checkpoints.loading import LoadedModel, choose_dtype, load_pretrained
from mentallama.analysts.checkpoints.metadata import EncoderHead, ModelMetadata
from mentallama.analysts.encoder.model import (
    EncoderClassifier,
    HeadLayout,
    Logits,
    MultiTaskEncoder,
    along_levels,
    head_slices,
    logits_and_margins,
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
from mentallama.train.data.quotations import best_threshold, overlapping
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
    """Token ids of a text, and its label index in each head that it has a label for.

    `quoted` tells for heads of tokens which tokens are part of a quotation, shape (tokens,).
    """

    ids: Sequence[int]
    targets: Mapping[int, int]
    quoted: Mapping[int, NDArray[np.bool_]] = field(default_factory=dict)


def _hashed_parts(row: EncoderRow) -> tuple[object, ...]:
    quoted = [(head, of_tokens.tolist()) for head, of_tokens in sorted(row.quoted.items())]
    return (list(row.ids), sorted(row.targets.items()), *([quoted] if quoted else []))


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
    loaded = prepare_encoder(
        settings, recipe.seed, sum(len(head.labels) for head in texts.heads), texts.heads
    )
    classifier = EncoderClassifier(loaded.model, loaded.tokenizer, min(settings.max_tokens, loaded.context))
    (train, n_truncated), (validation, n_truncated_validation) = (
        tokenize_labelled(part, texts.heads, classifier) for part in (texts.train, texts.validation)
    )
    objective = encoder_objective(train, validation, texts.heads, classifier, settings, devices)
    hashed_rows = (_hashed_parts(row) for row in (*train, *validation))
    fingerprint = training_fingerprint(recipe, hashed_rows, loaded.name)
    model = shard_model(loaded.model, devices, choose_dtype(settings.dtype, devices.device))
    with training_session(recipe, folder, devices, objective, fingerprint) as session:
        state = fit(model, objective, session)
    outputs = classifier.outputs(
        [row.ids for row in validation], TokenBudget(settings.max_batch_tokens, log_to_stderr)
    )
    thresholds = token_thresholds(texts.heads, outputs.token_margins, validation)
    logits = above_thresholds(texts.heads, outputs.logits, thresholds)
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
    save_encoder(model, loaded, devices, out, partial(finished_heads, texts.heads, thresholds))
    counts = encoder_summary(texts, train, validation, n_truncated + n_truncated_validation, state)
    finalize_model(session, recipe, out, metadata, texts.seen_hashes(), counts)
    return counts


def prepare_encoder(
    settings: EncoderSettings, seed: int, n_labels: int, heads: Sequence[EncoderHead] = ()
) -> LoadedModel:
    """Load the base, add new heads for `n_labels` labels, and freeze what is not trained."""
    loaded = load_pretrained(settings.base, "encoder", torch.float32, None, dropout=settings.base_dropout)
    enable_gradient_checkpointing(loaded.model, settings)
    torch.manual_seed(seed)
    layout = HeadLayout.of_heads(heads)
    model = MultiTaskEncoder(loaded.model, n_labels, settings.pooling, settings.dropout, layout)
    frozen = ("encoder.pooler.", *(("encoder.embeddings.",) if settings.freeze_embeddings else ()))
    for name, parameter in model.named_parameters():
        parameter.requires_grad = not name.startswith(frozen)
    return replace(loaded, model=model)


def tokenize_labelled(
    texts: Sequence[LabelledText], heads: Sequence[EncoderHead], classifier: EncoderClassifier
) -> tuple[list[EncoderRow], int]:
    """Encode texts; returns the rows, and how many of them were truncated."""
    head_index = {(head.set, head.name): index for index, head in enumerate(heads)}
    ids_of_texts, n_truncated = classifier.tokenize([text.text for text in texts])
    offsets = classifier.token_offsets([text.text if text.quotations else "" for text in texts])
    rows = []
    for text, ids, of_tokens in zip(texts, ids_of_texts, offsets, strict=True):
        labels = {head_index[text.set, name]: label for name, label in text.labels.items()}
        targets = {head: heads[head].labels.index(label) for head, label in labels.items()}
        quoted = {
            head_index[text.set, name]: overlapping(of_tokens, ranges)
            for name, ranges in text.quotations.items()
            if (text.set, name) in head_index
        }
        rows.append(EncoderRow(ids, targets, quoted))
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
    of_tokens = [index for index, head in enumerate(heads) if head.of_tokens]

    def loss_and_logits(
        rows: Sequence[EncoderRow], model: Any, bins: Sequence[PackingBin], weights: LabelWeights | None
    ) -> tuple[Any, Any]:
        batch = [rows[index] for rows_of_bin in bins for index in rows_of_bin]
        padded = pad_batch([row.ids for row in batch], classifier.pad_token_id, devices.device)
        logits, margins = logits_and_margins(model, *padded)
        loss = label_loss(logits, batch, head_columns, weights) + token_loss(margins, batch, of_tokens)
        return loss, logits

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
    """Cross-entropy in nats: mean over a row's heads, summed over rows. Heads of tokens have none (`token_loss`).

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
    for head in sorted({head for row in rows for head in row.targets.keys() - row.quoted.keys()}):
        indices = [index for index, row in enumerate(rows) if head in row.targets]
        targets = torch.tensor([rows[index].targets[head] for index in indices], device=logits.device)
        factors = torch.tensor([1 / len(rows[index].targets) for index in indices], device=logits.device)
        losses = cross_entropy(logits[indices, head_columns[head]].float(), targets, reduction="none")
        if weights is not None:
            factors = factors * torch.tensor(weights[head], device=logits.device)[targets]
        total = total + (losses * factors).sum()
    return total


def token_loss(margins: torch.Tensor, rows: Sequence[EncoderRow], token_heads: Sequence[int]) -> torch.Tensor:
    """Cross-entropy of the tokens in nats: mean over a row's tokens and heads, summed over rows.

    Parameters
    ----------
    margins
        Shape (rows, tokens, token heads): logit of being quoted minus that of not.
    token_heads
        The head of each column of `margins`.
    """
    total = margins.sum() * 0.0
    for column, head in enumerate(token_heads):
        for index, row in enumerate(rows):
            if head in row.quoted:
                quoted = torch.tensor(row.quoted[head], device=margins.device).float()
                of_row = margins[index, : len(quoted), column].float()
                loss = binary_cross_entropy_with_logits(of_row, quoted)
                total = total + loss / len(row.targets)
    return total


def token_thresholds(
    heads: Sequence[EncoderHead],
    margins: Sequence[NDArray[np.float32]],
    rows: Sequence[EncoderRow],
) -> dict[int, float]:
    """For each head of tokens, the margin above which F1 on the rows' tokens is best."""
    token_heads = [index for index, head in enumerate(heads) if head.of_tokens]
    thresholds = {}
    for column, head in enumerate(token_heads):
        used = [
            (of_row[:, column], row.quoted[head])
            for of_row, row in zip(margins, rows, strict=True)
            if head in row.quoted
        ]
        scores, quoted = (np.concatenate(of_rows) for of_rows in zip(*used, strict=True))
        thresholds[head] = best_threshold(scores.astype(np.float64), quoted)
    return thresholds


def above_thresholds(heads: Sequence[EncoderHead], logits: Logits, thresholds: Mapping[int, float]) -> Logits:
    """Logits of all heads, with those of the heads of tokens counted from their thresholds."""
    columns, shifted = head_slices(heads), logits.copy()
    for head, threshold in thresholds.items():
        shifted[:, columns[head]] += np.array([threshold, -threshold]) / 2
    return shifted


def finished_heads(
    heads: Sequence[EncoderHead], thresholds: Mapping[int, float], weights: dict[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Weights of the heads as they are saved: ordered ones along their levels, thresholds within the biases."""
    weight, bias = weights["weight"].clone(), weights["bias"].clone()
    for index, (head, columns) in enumerate(zip(heads, head_slices(heads), strict=True)):
        if head.ordered:
            weight[columns] = along_levels(weight[columns])
        if index in thresholds:
            bias[columns] += torch.tensor([thresholds[index], -thresholds[index]]) / 2
    return {"weight": weight, "bias": bias}


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


def save_encoder(
    model: Any,
    loaded: LoadedModel,
    devices: DistributedContext,
    out: Path,
    finish: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]],
) -> None:
    """Write encoder, heads and tokenizer, safetensors only; all processes must call it.

    `finish` makes the weights of the heads that are saved from those that were trained.
    """
    weights = full_state_dict(model, devices)
    if devices.is_main:
        parts: dict[str, dict[str, torch.Tensor]] = {"encoder": {}, "heads": {}}
        for name, tensor in weights.items():
            part, _, name_in_part = name.partition(".")
            parts[part][name_in_part] = tensor.contiguous()
        loaded.model.encoder.save_pretrained(out, state_dict=parts["encoder"], safe_serialization=True)
        save_heads(out, finish(parts["heads"]))
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
