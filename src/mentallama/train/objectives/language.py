"""Train a decoder language model on a run's rows: `train.analyst: causal` with `learns: responses`.

Reads the run's rows (`train.lessons`); writes the model in transformers' layout, or its adapter in peft's, with
`mentallama.json`, `seen.json`, the model card and `summary.json`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from mentallama.analysts.base import Asking
from mentallama.analysts.checkpoints.device import choose_dtype
from mentallama.analysts.checkpoints.loading import ADAPTER, Opened, open_weights
from mentallama.analysts.checkpoints.metadata import ModelFile
from mentallama.analysts.inference.prompt_encoding import Prompter, Template
from mentallama.analysts.language_model.causal import CausalAnalyst
from mentallama.analysts.registry import Analyst
from mentallama.config import Causal, Neural, Recipe
from mentallama.errors import WrongUse
from mentallama.records import Example
from mentallama.train.data.instructions import Lessons, read_lessons
from mentallama.train.loop.batching import Bin
from mentallama.train.loop.checkpointing import State
from mentallama.train.loop.distributed import Devices, join_devices, shard
from mentallama.train.loop.loop import Measures, Objective, fit
from mentallama.train.loop.lora import adapt
from mentallama.train.loop.session import fingerprint, hand_over, how_it_went, on_the_way, whole_weights
from mentallama.train.loop.validation import summed_loss, weighted_f1_by_set
from mentallama.train.objectives.causal_sft import Row, Tokenised, collate, response_loss, tokenise

LABEL_TOKENS = 32
"""Of an answer whose label alone is asked for; the longest answer sentence has some twenty."""


@dataclass(frozen=True)
class Start:
    """A model to train and its tokenizer; `context`: tokens it can hold. `base` names what it was before."""

    model: Any
    tokenizer: Any
    context: int
    base: str


@dataclass(frozen=True)
class Job:
    """One training: its recipe, the run's folder, where the model goes, and what computes it."""

    recipe: Recipe
    folder: Path
    out: Path
    devices: Devices


@dataclass(frozen=True)
class Material:
    """What is learnt from: the examples, and their training and validation rows as tokens."""

    lessons: Lessons
    train: Tokenised[Any]
    held: Tokenised[Any]

    @property
    def ids(self) -> list[Sequence[int]]:
        """The tokens of every row."""
        return [row.ids for row in (*self.train.rows, *self.held.rows)]


def train_responses(recipe: Recipe, folder: Path, out: Path) -> dict[str, Any]:
    """Tune on responses; returns the counts of the manifest.

    Raises
    ------
    WrongUse
        As `read_lessons`, `open_weights`; a question and its answer are longer than the model can hold.
    MentallamaError
        As `fit`.
    """
    settings = recipe.train
    assert isinstance(settings, Causal)
    devices = join_devices(settings.device)
    lessons = read_lessons(recipe, folder)
    texts = (f"{example.text} {example.response}" for example in lessons.train)
    start = begin(settings, recipe, texts, devices)
    prompter = Prompter(
        start.tokenizer, recipe.form, settings.template, min(settings.max_tokens, start.context)
    )
    tasks = recipe.catalogue()
    train, held = (tokenise(rows, tasks, prompter) for rows in (lessons.train, lessons.validation))
    material = Material(lessons, train, held)

    def loss_of(rows: Sequence[Row], model: Any, bins: Sequence[Bin]) -> torch.Tensor:
        return response_loss(model, collate(rows, bins, devices.device))

    objective = responses_objective(material, loss_of, settings, devices)
    if settings.batching == "packed":
        objective = replace(objective, capacity=settings.max_tokens)
    if settings.best_by == "weighted_f1":
        asking = label_asking(settings.template)

        def analyst_of(model: Any) -> Analyst:
            return CausalAnalyst(Opened(model, start.tokenizer, start.context, "trained", None), asking)

        objective = with_weighted_f1(objective, lessons.validation, analyst_of, devices)
    file = ModelFile(
        analyst="causal",
        fingerprint=fingerprint(recipe, material.ids, start.base),
        form=recipe.form,
        max_tokens=prompter.longest,
        sets=lessons.sets,
        template="chat" if prompter.chat else "plain",
        base=start.base,
    )
    return learn(Job(recipe, folder, out, devices), start, objective, material, file)


def learn(
    job: Job, start: Start, objective: Objective, material: Material, file: ModelFile
) -> dict[str, Any]:
    """Fit the model and write its folder; returns the counts of the manifest.

    Raises
    ------
    MentallamaError
        As `fit`.
    """
    recipe, devices, settings = job.recipe, job.devices, job.recipe.train
    assert isinstance(settings, Neural)
    model = shard(start.model, devices, choose_dtype(settings.dtype, devices.device))
    with on_the_way(recipe, job.folder, devices, objective, file.fingerprint) as way:
        state = fit(model, objective, way)
    save(start, model, devices, job.out)
    counts = summary(material, state)
    hand_over(way, recipe, job.out, file, material.lessons.seen(), counts)
    return counts


def begin(settings: Causal, recipe: Recipe, texts: Iterable[str], devices: Devices) -> Start:
    """The model to train, its weights in float32 where they learn; a new one has a tokenizer of the texts.

    Raises
    ------
    WrongUse
        As `open_weights`; the base is an adapter, on which neither weights nor another adapter can be trained.
    """
    if settings.new is not None:
        from mentallama.train.loop.random_init import new_model

        model, tokenizer = new_model(settings.new, texts, settings.max_tokens, recipe.seed)
        return Start(model, tokenizer, settings.max_tokens, "none")
    assert settings.base is not None
    if (Path(settings.base) / ADAPTER).is_file():
        raise WrongUse(
            f"{settings.base}: this base is an adapter; make a model of its own of it first, with mentallama merge "
            f"{settings.base} --out DIR"
        )
    adapter = settings.adapter
    held_in = torch.float32 if adapter is None else choose_dtype(settings.dtype, devices.device)
    opened = open_weights(
        settings.base, "causal", held_in, None, quantised=adapter is not None and adapter.quantised
    )
    model = opened.model if adapter is None else adapt(opened.model, adapter, recipe.seed)
    checkpoint_activations(model, settings)
    return Start(model, opened.tokenizer, opened.context, opened.name)


def checkpoint_activations(model: Any, settings: Neural) -> None:
    """Let the model compute activations twice, where the settings say so."""
    if settings.gradient_checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})


def responses_objective(
    material: Material,
    loss_of: Callable[[Sequence[Any], Any, Sequence[Bin]], torch.Tensor],
    settings: Neural,
    devices: Devices,
) -> Objective:
    """Cross-entropy of the responses' tokens; validation is measured the same way.

    `loss_of(rows, model, bins)` is the summed loss of some bins of rows.
    """
    train, held = material.train, material.held

    def measure(model: Any) -> Measures:
        room = settings.tokens_at_once
        summed = summed_loss(lambda bins: loss_of(held.rows, model, bins), held.lengths, room, devices)
        return {"loss": summed / sum(row.learnt for row in held.rows)}

    return Objective(
        lengths=train.lengths,
        loss=lambda model, bins: loss_of(train.rows, model, bins),
        weight=lambda bins: float(sum(train.rows[at].learnt for each in bins for at in each)),
        measure=measure,
    )


def label_asking(template: Template) -> Asking:
    """How a model in training is asked for labels: it writes freely, no further than a label needs."""
    return Asking(mode="free", template=template, max_new_tokens=LABEL_TOKENS, say=lambda _: None)


def with_weighted_f1(
    objective: Objective, held: Sequence[Example], analyst_of: Callable[[Any], Analyst], devices: Devices
) -> Objective:
    """The objective, with the labels that the model writes on validation rows measured too.

    `weighted_f1`, in percent, is the mean over the sets; an answer that cannot be read is a wrong one.

    Raises
    ------
    WrongUse
        Several processes train: the weights of one alone cannot write.
    """
    if devices.world > 1:
        raise WrongUse(
            "best_by: weighted_f1 needs the whole model in one process; under torchrun use best_by: loss"
        )

    def measure(model: Any) -> Measures:
        told = [prediction.reading.label or "unread" for prediction in analyst_of(model).analyse(held)]
        return {**objective.measure(model), "weighted_f1": mean_weighted_f1(held, told)}

    return replace(objective, measure=measure)


def mean_weighted_f1(held: Sequence[Example], told: Sequence[str]) -> float:
    """Weighted F1 of each set in percent, the mean over sets."""
    sets: dict[str, list[tuple[str, str]]] = {}
    for example, label in zip(held, told, strict=True):
        sets.setdefault(example.task, []).append((example.label or "", label))
    scores = weighted_f1_by_set(sets).values()
    return sum(scores) / len(scores)


def save(start: Start, model: Any, devices: Devices, out: Path) -> None:
    """Write weights and tokenizer, safetensors only; all processes call it."""
    weights = whole_weights(model, devices)
    if devices.first:
        start.model.save_pretrained(out, state_dict=weights, safe_serialization=True)
        start.tokenizer.save_pretrained(out)
    devices.barrier()


def summary(material: Material, state: State) -> dict[str, Any]:
    """What was learnt from, and how it went."""
    lessons, train, held = material.lessons, material.train, material.held
    return {
        "rows": {"train": len(train.rows), "validation": len(held.rows)},
        "tokens": {"train": sum(train.lengths), "learnt": sum(row.learnt for row in train.rows)},
        "cut_posts": train.cut + held.cut,
        "skipped": dict(lessons.skipped),
        "origin": lessons.origin,
        **how_it_went(state),
    }
