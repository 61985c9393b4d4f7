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

from mentallama.analysts.checkpoints.loading import Opened, open_weights
from mentallama.analysts.checkpoints.metadata import ModelFile
from mentallama.analysts.inference.seq2seq_encoding import Sides
from mentallama.analysts.language_model.seq2seq import Seq2seqAnalyst
from mentallama.analysts.registry import Analyst
from mentallama.config import Recipe, Seq2seq
from mentallama.records import Example
from mentallama.tasks import Task
from mentallama.train.data.instructions import read_lessons
from mentallama.train.loop.batching import Bin
from mentallama.train.loop.distributed import join_devices
from mentallama.train.loop.session import fingerprint
from mentallama.train.objectives.causal_sft import UNLEARNT, Tokenised, only
from mentallama.train.objectives.language import (
    Job,
    Material,
    Start,
    checkpoint_activations,
    label_asking,
    learn,
    responses_objective,
    with_weighted_f1,
)


@dataclass(frozen=True)
class Pair:
    """Tokens of one row: what the encoder reads, and what the decoder is to write behind `start`."""

    prompt: Sequence[int]
    target: Sequence[int]
    start: int

    @property
    def ids(self) -> Sequence[int]:
        """The tokens of both sides."""
        return [*self.prompt, *self.target]

    @property
    def learnt(self) -> int:
        return len(self.target)


def train_seq2seq(recipe: Recipe, folder: Path, out: Path) -> dict[str, Any]:
    """Tune on responses; returns the counts of the manifest.

    Raises
    ------
    WrongUse
        As `read_lessons`, `open_weights`, `Sides`; a question or a response is longer than the model can hold.
    MentallamaError
        As `fit`.
    """
    settings = recipe.train
    assert isinstance(settings, Seq2seq)
    devices = join_devices(settings.device)
    lessons = read_lessons(recipe, folder)
    opened = open_weights(settings.base, "seq2seq", torch.float32, None)
    checkpoint_activations(opened.model, settings)
    start = Start(opened.model, opened.tokenizer, opened.context, opened.name)
    longest = min(settings.max_tokens, opened.context)
    sides = Sides(opened.model, opened.tokenizer, recipe.form, "plain", longest)
    tasks = recipe.catalogue()
    train, held = (tokenise(rows, tasks, sides) for rows in (lessons.train, lessons.validation))
    material = Material(lessons, train, held)

    def loss_of(rows: Sequence[Pair], model: Any, bins: Sequence[Bin]) -> torch.Tensor:
        return response_loss(model, collate([rows[at] for each in bins for at in each], devices.device))

    objective = responses_objective(material, loss_of, settings, devices)
    if settings.best_by == "weighted_f1":
        asking = label_asking("plain")

        def analyst_of(model: Any) -> Analyst:
            return Seq2seqAnalyst(Opened(model, start.tokenizer, start.context, "trained", None), asking)

        objective = with_weighted_f1(objective, lessons.validation, analyst_of, devices)
    file = ModelFile(
        analyst="seq2seq",
        fingerprint=fingerprint(recipe, material.ids, start.base),
        form=recipe.form,
        max_tokens=longest,
        sets=lessons.sets,
        base=start.base,
    )
    return learn(Job(recipe, folder, out, devices), start, objective, material, file)


def tokenise(examples: Sequence[Example], tasks: dict[str, Task], sides: Sides) -> Tokenised[Pair]:
    """Turn examples with their responses into tokens.

    Raises
    ------
    WrongUse
        A question or a response does not fit.
    """
    rows, cut = [], 0
    for example in examples:
        prompt = sides.prompt(example, tasks[example.task])
        cut += prompt.cut > 0
        rows.append(Pair(prompt.ids, sides.target(example.response or ""), sides.start))
    return Tokenised(rows, cut)


@dataclass(frozen=True)
class Batch:
    """Rows side by side: `read` and `mask` (rows, encoder tokens), `given` and `targets` (rows, decoder tokens).

    `targets` holds the token that should follow each that is given, or UNLEARNT. What fills up the decoder's rows
    stands behind them, where none of their tokens looks.
    """

    read: torch.Tensor
    mask: torch.Tensor
    given: torch.Tensor
    targets: torch.Tensor


def collate(rows: Sequence[Pair], device: torch.device) -> Batch:
    """Lay rows side by side; they need no padding token, as no place that is filled up is looked at."""
    reads, writes = max(len(row.prompt) for row in rows), max(len(row.target) for row in rows)

    def laid(lines: Sequence[Sequence[int]], width: int, filler: int) -> torch.Tensor:
        return torch.tensor([[*line, *[filler] * (width - len(line))] for line in lines], device=device)

    return Batch(
        read=laid([row.prompt for row in rows], reads, 0),
        mask=laid([[1] * len(row.prompt) for row in rows], reads, 0),
        given=laid([[row.start, *row.target[:-1]] for row in rows], writes, 0),
        targets=laid([row.target for row in rows], writes, UNLEARNT),
    )


def response_loss(model: Any, batch: Batch) -> torch.Tensor:
    """Summed cross-entropy of all targets, in nats."""
    learnt = batch.targets != UNLEARNT
    with only(model, learnt):
        logits = model(
            input_ids=batch.read, attention_mask=batch.mask, decoder_input_ids=batch.given, use_cache=False
        ).logits
    return cross_entropy(logits.float(), batch.targets[learnt], reduction="sum")
