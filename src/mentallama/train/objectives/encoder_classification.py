"""Fine-tune an encoder with a head for each question: `train.analyst: encoder`.

All sets are learnt together. A text counts as one however many questions it answers; with balanced class weights,
labels weigh by how rare they are among the training rows of their question. Each head is calibrated on validation rows.
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

from mentallama.analysts.checkpoints.device import choose_dtype
from mentallama.analysts.checkpoints.loading import LoadedModel, load_pretrained
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

TEXT_LOADERS = {"posts": load_labelled_posts, "explanations": load_labelled_explanations}
"""By `train.reads`."""

LabelWeights = dict[int, list[float]]
"""What each label of each head weighs in the loss."""


@dataclass(frozen=True)
class EncoderRow:
    """A text's tokens, and its label's place in each head that it teaches."""

    ids: Sequence[int]
    targets: Mapping[int, int]


def train_encoder(recipe: Recipe, folder: Path, out: Path) -> dict[str, Any]:
    """Fine-tune an encoder; returns the counts of the manifest.

    Raises
    ------
    WrongUse
        As `load_labelled_posts`, `load_labelled_explanations` and `load_pretrained`.
    MentallamaError
        As `fit`.
    """
    settings = recipe.train
    assert isinstance(settings, EncoderSettings)
    devices = init_distributed(settings.device)
    texts = TEXT_LOADERS[settings.reads](recipe, folder)
    opened = prepare_encoder(settings, recipe.seed, sum(len(head.labels) for head in texts.heads))
    reader = EncoderClassifier(opened.model, opened.tokenizer, min(settings.max_tokens, opened.context))
    (train, cut), (held, cut_held) = (
        tokenize_labelled(part, texts.heads, reader) for part in (texts.train, texts.validation)
    )
    objective = encoder_objective(train, held, texts.heads, reader, settings, devices)
    mark = training_fingerprint(
        recipe, ((list(row.ids), sorted(row.targets.items())) for row in (*train, *held)), opened.name
    )
    model = shard_model(opened.model, devices, choose_dtype(settings.dtype, devices.device))
    with training_session(recipe, folder, devices, objective, mark) as way:
        state = fit(model, objective, way)
    logits = reader.logits([row.ids for row in held], TokenBudget(settings.max_batch_tokens, log_to_stderr))
    file = ModelMetadata(
        analyst="encoder",
        fingerprint=mark,
        form=recipe.form,
        max_tokens=reader.max_length,
        sets=texts.sets,
        base=opened.name,
        reads=settings.reads,
        pooling=settings.pooling,
        heads=heads_with_temperature(texts.heads, logits, held),
    )
    save_encoder(model, opened, devices, out)
    counts = encoder_summary(texts, train, held, cut + cut_held, state)
    finalize_model(way, recipe, out, file, texts.seen_hashes(), counts)
    return counts


def prepare_encoder(settings: EncoderSettings, seed: int, labels: int) -> LoadedModel:
    """The base with new heads; what does not learn is frozen."""
    opened = load_pretrained(settings.base, "encoder", torch.float32, None, dropout=settings.base_dropout)
    if settings.gradient_checkpointing:
        opened.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    torch.manual_seed(seed)
    model = MultiTaskEncoder(opened.model, labels, settings.pooling, settings.dropout)
    still = ("encoder.pooler.", *(("encoder.embeddings.",) if settings.freeze_embeddings else ()))
    for name, parameter in model.named_parameters():
        parameter.requires_grad = not name.startswith(still)
    return replace(opened, model=model)


def tokenize_labelled(
    texts: Sequence[LabelledText], heads: Sequence[EncoderHead], reader: EncoderClassifier
) -> tuple[list[EncoderRow], int]:
    """Texts as rows, and how many lost their end."""
    place = {(head.set, head.question): at for at, head in enumerate(heads)}
    ids, cut = reader.tokenize([each.text for each in texts])
    rows = []
    for each, own in zip(texts, ids, strict=True):
        asked = {place[each.set, question]: label for question, label in each.labels.items()}
        rows.append(EncoderRow(own, {at: heads[at].labels.index(label) for at, label in asked.items()}))
    return rows, cut


def encoder_objective(
    train: Sequence[EncoderRow],
    held: Sequence[EncoderRow],
    heads: Sequence[EncoderHead],
    reader: EncoderClassifier,
    settings: EncoderSettings,
    devices: DistributedContext,
) -> Objective:
    """Cross-entropy of the labels, weighted in training; validation rows are measured without weights."""
    weights = balanced_label_weights(train, heads) if settings.class_weights == "balanced" else None
    own = head_slices(heads)

    def loss_of(
        rows: Sequence[EncoderRow], model: Any, bins: Sequence[PackingBin], weights: LabelWeights | None
    ) -> tuple[Any, Any]:
        chosen = [rows[at] for each in bins for at in each]
        logits = model(*pad_batch([row.ids for row in chosen], reader.pad_token_id, devices.device))
        return label_loss(logits, chosen, own, weights), logits

    def measure(model: Any) -> Metrics:
        told: Logits = np.zeros((len(held), own[-1].stop))

        def read(bins: Sequence[PackingBin]) -> torch.Tensor:
            loss, logits = loss_of(held, model, bins, None)
            told[[at for each in bins for at in each]] = logits.float().cpu().numpy()
            return torch.as_tensor(loss)

        # Every process reads all rows, so that each has all logits.
        alone = replace(devices, rank=0, world_size=1)
        loss = summed_loss(read, [len(row.ids) for row in held], settings.max_batch_tokens, alone)
        return {"loss": loss / len(held), **mean_and_set_f1(heads, told, held)}

    return Objective(
        lengths=[len(row.ids) for row in train],
        loss=lambda model, bins: loss_of(train, model, bins, weights)[0],
        normalizer=lambda bins: float(sum(map(len, bins))),
        evaluate=measure,
        lr_multiplier=partial(_lr_multiplier, settings.head_lr_multiplier),
    )


def label_loss(
    logits: torch.Tensor,
    rows: Sequence[EncoderRow],
    head_columns: Sequence[slice],
    weights: LabelWeights | None,
) -> torch.Tensor:
    """Cross-entropy in nats: the mean over a row's questions, summed over rows.

    Parameters
    ----------
    logits
        Shape (rows, labels of all heads).
    own
        Each head's labels among them.
    """
    summed = logits.sum() * 0.0
    for head in sorted({head for row in rows for head in row.targets}):
        places = [at for at, row in enumerate(rows) if head in row.targets]
        targets = torch.tensor([rows[at].targets[head] for at in places], device=logits.device)
        shares = torch.tensor([1 / len(rows[at].targets) for at in places], device=logits.device)
        losses = cross_entropy(logits[places, head_columns[head]].float(), targets, reduction="none")
        if weights is not None:
            shares = shares * torch.tensor(weights[head], device=logits.device)[targets]
        summed = summed + (losses * shares).sum()
    return summed


def balanced_label_weights(rows: Sequence[EncoderRow], heads: Sequence[EncoderHead]) -> LabelWeights:
    """rows / (labels that occur x rows of the label): each label weighs as much as another, a row 1 in the mean."""
    found = {}
    for at, head in enumerate(heads):
        targets = [row.targets[at] for row in rows if at in row.targets]
        counts = np.bincount(targets, minlength=len(head.labels))
        occur = np.count_nonzero(counts)
        found[at] = [len(targets) / (occur * count) if count else 0.0 for count in counts.tolist()]
    return found


def mean_and_set_f1(heads: Sequence[EncoderHead], logits: Logits, rows: Sequence[EncoderRow]) -> Metrics:
    """Weighted F1 in percent: `weighted_f1`, the mean over sets, and `weighted_f1 SET` of each."""
    pairs: dict[str, list[tuple[str, str]]] = {}
    for at, (head, own) in enumerate(zip(heads, head_slices(heads), strict=True)):
        places, truth = _targets_of_head(rows, at)
        told = logits[places, own].argmax(axis=1)
        named = [(head.labels[right], head.labels[said]) for right, said in zip(truth, told, strict=True)]
        pairs.setdefault(head.set, []).extend(named)
    by_set = weighted_f1_by_set(pairs)
    mean = sum(by_set.values()) / len(by_set)
    return {"weighted_f1": mean, **{f"weighted_f1 {name}": score for name, score in by_set.items()}}


def heads_with_temperature(
    heads: Sequence[EncoderHead], logits: Logits, rows: Sequence[EncoderRow]
) -> tuple[EncoderHead, ...]:
    """The heads with the temperatures that validation rows ask for."""
    found = []
    for at, (head, own) in enumerate(zip(heads, head_slices(heads), strict=True)):
        places, truth = _targets_of_head(rows, at)
        temperature = fit_calibration(logits[places, own], truth, shift_intercepts=False).temperature
        found.append(head.model_copy(update={"temperature": round(temperature, 4)}))
    return tuple(found)


def _targets_of_head(rows: Sequence[EncoderRow], head: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Places of the rows that answer a question, and their labels' places."""
    places = [at for at, row in enumerate(rows) if head in row.targets]
    return np.array(places, np.int64), np.array([rows[at].targets[head] for at in places], np.int64)


def _lr_multiplier(of_heads: float, name: str) -> float:
    return of_heads if name.startswith("heads.") else 1.0


def save_encoder(model: Any, opened: LoadedModel, devices: DistributedContext, out: Path) -> None:
    """Write encoder, heads and tokenizer, safetensors only; all processes call it."""
    weights = full_state_dict(model, devices)
    if devices.is_main:
        parts = {part: {} for part in ("encoder", "heads")}  # type: dict[str, dict[str, torch.Tensor]]
        for name, tensor in weights.items():
            part, _, own = name.partition(".")
            parts[part][own] = tensor.contiguous()
        opened.model.encoder.save_pretrained(out, state_dict=parts["encoder"], safe_serialization=True)
        save_heads(out, parts["heads"])
        opened.tokenizer.save_pretrained(out)
    devices.barrier()


def encoder_summary(
    texts: LabelledData,
    train: Sequence[EncoderRow],
    held: Sequence[EncoderRow],
    n_truncated: int,
    state: TrainingState,
) -> dict[str, Any]:
    """What was learnt from, and how it went."""
    return {
        "rows": {"train": len(train), "validation": len(held)},
        "tokens": {"train": sum(len(row.ids) for row in train)},
        "truncated_posts": n_truncated,
        "skipped": texts.skipped,
        "source_file": texts.source_file,
        **training_history(state),
    }
