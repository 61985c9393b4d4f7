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

from mentallama.analysts.base import tell
from mentallama.analysts.checkpoints.device import choose_dtype
from mentallama.analysts.checkpoints.loading import Opened, open_weights
from mentallama.analysts.checkpoints.metadata import Head, ModelFile
from mentallama.analysts.encoder.model import HeadedEncoder, Logits, TextReader, columns, pad, save_heads
from mentallama.analysts.inference.batching import Budget
from mentallama.config import Encoder, Recipe
from mentallama.metrics.temperature import calibrate
from mentallama.train.data.labelled_texts import Labelled, Texts, labelled_explanations, labelled_posts
from mentallama.train.loop.batching import Bin
from mentallama.train.loop.checkpointing import State
from mentallama.train.loop.distributed import Devices, join_devices, shard
from mentallama.train.loop.loop import Measures, Objective, fit
from mentallama.train.loop.session import fingerprint, hand_over, how_it_went, on_the_way, whole_weights
from mentallama.train.loop.validation import summed_loss, weighted_f1_by_set

READ = {"posts": labelled_posts, "explanations": labelled_explanations}
"""By `train.reads`."""

Weights = dict[int, list[float]]
"""What each label of each head weighs in the loss."""


@dataclass(frozen=True)
class Row:
    """A text's tokens, and its label's place in each head that it teaches."""

    ids: Sequence[int]
    targets: Mapping[int, int]


def train_encoder(recipe: Recipe, folder: Path, out: Path) -> dict[str, Any]:
    """Fine-tune an encoder; returns the counts of the manifest.

    Raises
    ------
    WrongUse
        As `labelled_posts`, `labelled_explanations` and `open_weights`.
    MentallamaError
        As `fit`.
    """
    settings = recipe.train
    assert isinstance(settings, Encoder)
    devices = join_devices(settings.device)
    texts = READ[settings.reads](recipe, folder)
    opened = begin(settings, recipe.seed, sum(len(head.labels) for head in texts.heads))
    reader = TextReader(opened.model, opened.tokenizer, min(settings.max_tokens, opened.context))
    (train, cut), (held, cut_held) = (
        read_rows(part, texts.heads, reader) for part in (texts.train, texts.validation)
    )
    objective = encoder_objective(train, held, texts.heads, reader, settings, devices)
    mark = fingerprint(
        recipe, ((list(row.ids), sorted(row.targets.items())) for row in (*train, *held)), opened.name
    )
    model = shard(opened.model, devices, choose_dtype(settings.dtype, devices.device))
    with on_the_way(recipe, folder, devices, objective, mark) as way:
        state = fit(model, objective, way)
    logits = reader.logits([row.ids for row in held], Budget(settings.tokens_at_once, tell))
    file = ModelFile(
        analyst="encoder",
        fingerprint=mark,
        form=recipe.form,
        max_tokens=reader.longest,
        sets=texts.sets,
        base=opened.name,
        reads=settings.reads,
        pooling=settings.pooling,
        heads=calibrated(texts.heads, logits, held),
    )
    save(model, opened, devices, out)
    counts = summary(texts, train, held, cut + cut_held, state)
    hand_over(way, recipe, out, file, texts.seen(), counts)
    return counts


def begin(settings: Encoder, seed: int, labels: int) -> Opened:
    """The base with new heads; what does not learn is frozen."""
    opened = open_weights(settings.base, "encoder", torch.float32, None, dropout=settings.base_dropout)
    if settings.gradient_checkpointing:
        opened.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    torch.manual_seed(seed)
    model = HeadedEncoder(opened.model, labels, settings.pooling, settings.dropout)
    still = ("encoder.pooler.", *(("encoder.embeddings.",) if settings.freeze_embeddings else ()))
    for name, parameter in model.named_parameters():
        parameter.requires_grad = not name.startswith(still)
    return replace(opened, model=model)


def read_rows(texts: Sequence[Labelled], heads: Sequence[Head], reader: TextReader) -> tuple[list[Row], int]:
    """Texts as rows, and how many lost their end."""
    place = {(head.set, head.question): at for at, head in enumerate(heads)}
    ids, cut = reader.tokens([each.text for each in texts])
    rows = []
    for each, own in zip(texts, ids, strict=True):
        asked = {place[each.set, question]: label for question, label in each.labels.items()}
        rows.append(Row(own, {at: heads[at].labels.index(label) for at, label in asked.items()}))
    return rows, cut


def encoder_objective(
    train: Sequence[Row],
    held: Sequence[Row],
    heads: Sequence[Head],
    reader: TextReader,
    settings: Encoder,
    devices: Devices,
) -> Objective:
    """Cross-entropy of the labels, weighted in training; validation rows are measured without weights."""
    weights = balanced(train, heads) if settings.class_weights == "balanced" else None
    own = columns(heads)

    def loss_of(
        rows: Sequence[Row], model: Any, bins: Sequence[Bin], weights: Weights | None
    ) -> tuple[Any, Any]:
        chosen = [rows[at] for each in bins for at in each]
        logits = model(*pad([row.ids for row in chosen], reader.pad, devices.device))
        return label_loss(logits, chosen, own, weights), logits

    def measure(model: Any) -> Measures:
        told: Logits = np.zeros((len(held), own[-1].stop))

        def read(bins: Sequence[Bin]) -> torch.Tensor:
            loss, logits = loss_of(held, model, bins, None)
            told[[at for each in bins for at in each]] = logits.float().cpu().numpy()
            return torch.as_tensor(loss)

        # Every process reads all rows, so that each has all logits.
        alone = replace(devices, rank=0, world=1)
        loss = summed_loss(read, [len(row.ids) for row in held], settings.tokens_at_once, alone)
        return {"loss": loss / len(held), **scores(heads, told, held)}

    return Objective(
        lengths=[len(row.ids) for row in train],
        loss=lambda model, bins: loss_of(train, model, bins, weights)[0],
        weight=lambda bins: float(sum(map(len, bins))),
        measure=measure,
        rates=partial(_rate, settings.head_rate),
    )


def label_loss(
    logits: torch.Tensor, rows: Sequence[Row], own: Sequence[slice], weights: Weights | None
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
        losses = cross_entropy(logits[places, own[head]].float(), targets, reduction="none")
        if weights is not None:
            shares = shares * torch.tensor(weights[head], device=logits.device)[targets]
        summed = summed + (losses * shares).sum()
    return summed


def balanced(rows: Sequence[Row], heads: Sequence[Head]) -> Weights:
    """rows / (labels that occur x rows of the label): each label weighs as much as another, a row 1 in the mean."""
    found = {}
    for at, head in enumerate(heads):
        targets = [row.targets[at] for row in rows if at in row.targets]
        counts = np.bincount(targets, minlength=len(head.labels))
        occur = np.count_nonzero(counts)
        found[at] = [len(targets) / (occur * count) if count else 0.0 for count in counts.tolist()]
    return found


def scores(heads: Sequence[Head], logits: Logits, rows: Sequence[Row]) -> Measures:
    """Weighted F1 in percent: `weighted_f1`, the mean over sets, and `weighted_f1 SET` of each."""
    pairs: dict[str, list[tuple[str, str]]] = {}
    for at, (head, own) in enumerate(zip(heads, columns(heads), strict=True)):
        places, truth = _answered(rows, at)
        told = logits[places, own].argmax(axis=1)
        named = [(head.labels[right], head.labels[said]) for right, said in zip(truth, told, strict=True)]
        pairs.setdefault(head.set, []).extend(named)
    by_set = weighted_f1_by_set(pairs)
    mean = sum(by_set.values()) / len(by_set)
    return {"weighted_f1": mean, **{f"weighted_f1 {name}": score for name, score in by_set.items()}}


def calibrated(heads: Sequence[Head], logits: Logits, rows: Sequence[Row]) -> tuple[Head, ...]:
    """The heads with the temperatures that validation rows ask for."""
    found = []
    for at, (head, own) in enumerate(zip(heads, columns(heads), strict=True)):
        places, truth = _answered(rows, at)
        temperature = calibrate(logits[places, own], truth, shift=False).temperature
        found.append(head.model_copy(update={"temperature": round(temperature, 4)}))
    return tuple(found)


def _answered(rows: Sequence[Row], head: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Places of the rows that answer a question, and their labels' places."""
    places = [at for at, row in enumerate(rows) if head in row.targets]
    return np.array(places, np.int64), np.array([rows[at].targets[head] for at in places], np.int64)


def _rate(of_heads: float, name: str) -> float:
    return of_heads if name.startswith("heads.") else 1.0


def save(model: Any, opened: Opened, devices: Devices, out: Path) -> None:
    """Write encoder, heads and tokenizer, safetensors only; all processes call it."""
    weights = whole_weights(model, devices)
    if devices.first:
        parts = {part: {} for part in ("encoder", "heads")}  # type: dict[str, dict[str, torch.Tensor]]
        for name, tensor in weights.items():
            part, _, own = name.partition(".")
            parts[part][own] = tensor.contiguous()
        opened.model.encoder.save_pretrained(out, state_dict=parts["encoder"], safe_serialization=True)
        save_heads(out, parts["heads"])
        opened.tokenizer.save_pretrained(out)
    devices.barrier()


def summary(
    texts: Texts, train: Sequence[Row], held: Sequence[Row], cut: int, state: State
) -> dict[str, Any]:
    """What was learnt from, and how it went."""
    return {
        "rows": {"train": len(train), "validation": len(held)},
        "tokens": {"train": sum(len(row.ids) for row in train)},
        "cut_posts": cut,
        "skipped": texts.skipped,
        "origin": texts.origin,
        **how_it_went(state),
    }
