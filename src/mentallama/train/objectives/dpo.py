"""Preference tuning (direct preference optimisation, Rafailov et al. 2023): `train.analyst: causal` with
`learns: preferences`.

The model learns to find the better of two responses likelier, measured against how likely it found each when it began.
What it began with is computed once, before the first step, and kept: a killed training goes on from later weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import cross_entropy, logsigmoid

from mentallama.analysts.checkpoints.device import choose_dtype
from mentallama.analysts.checkpoints.metadata import ModelFile
from mentallama.analysts.inference.prompt_encoding import Prompter
from mentallama.config import Causal, Recipe
from mentallama.errors import WrongUse
from mentallama.tasks import Task
from mentallama.train.data.preference_pairs import Preference, read_preferences
from mentallama.train.loop.baseline import kept_before
from mentallama.train.loop.batching import Bin
from mentallama.train.loop.distributed import Devices, join_devices, shard
from mentallama.train.loop.loop import Measures, Objective, computing, fit
from mentallama.train.loop.session import fingerprint, hand_over, how_it_went, on_the_way
from mentallama.train.loop.validation import summed_loss
from mentallama.train.objectives.causal_sft import UNLEARNT, Batch, Row, collate, only
from mentallama.train.objectives.language import begin, save


@dataclass(frozen=True)
class PairRows:
    """Pairs as tokens, each with one prompt; `cut` of them lost the end of their post."""

    chosen: list[Row]
    rejected: list[Row]
    cut: int

    @property
    def lengths(self) -> list[int]:
        """Tokens of each pair when both rows stand side by side."""
        return [2 * max(len(a.ids), len(b.ids)) for a, b in zip(self.chosen, self.rejected, strict=True)]

    @property
    def ids(self) -> list[Sequence[int]]:
        """The tokens of every row."""
        return [row.ids for row in (*self.chosen, *self.rejected)]


Reference = list[list[float]]
"""Log-probabilities of each pair's responses by the model as it began, shape (pairs, 2): chosen, rejected."""


def train_preferences(recipe: Recipe, folder: Path, out: Path) -> dict[str, Any]:
    """Tune on pairs; returns the counts of the manifest.

    Raises
    ------
    WrongUse
        As `read_preferences` and `open_weights`; a question and its answer are longer than the model can hold.
    BadData
        As `read_preferences`.
    MentallamaError
        As `fit`.
    """
    settings = recipe.train
    assert isinstance(settings, Causal)
    if settings.best_by != "loss":
        raise WrongUse(
            "best_by: weighted_f1 is for learns: responses; with learns: preferences use best_by: loss"
        )
    devices = join_devices(settings.device)
    pairs = read_preferences(recipe, folder)
    start = begin(settings, recipe, (), devices)
    prompter = Prompter(
        start.tokenizer, recipe.form, settings.template, min(settings.max_tokens, start.context)
    )
    train, held = (
        tokenise_pairs(part, recipe.catalogue(), prompter) for part in (pairs.train, pairs.validation)
    )
    mark = fingerprint(recipe, (*train.ids, *held.ids), start.base)
    dtype = choose_dtype(settings.dtype, devices.device)
    model = shard(start.model, devices, dtype)

    def refer() -> dict[str, Any]:
        model.eval()
        with torch.no_grad(), computing(devices, dtype):
            found = [reference_of(model, rows, settings.tokens_at_once, devices) for rows in (train, held)]
            begun = preference_objective((train, held), found, settings, devices).measure(model)
        return {"references": found, "before": begun}

    known = kept_before(folder, devices, mark, refer)
    objective = preference_objective((train, held), known["references"], settings, devices)
    with on_the_way(recipe, folder, devices, objective, mark) as way:
        state = fit(model, objective, way)
    save(start, model, devices, out)
    file = ModelFile(
        analyst="causal",
        fingerprint=mark,
        form=recipe.form,
        max_tokens=prompter.longest,
        sets=pairs.sets,
        template="chat" if prompter.chat else "plain",
        base=start.base,
    )
    counts = {
        "pairs": {"train": len(train.chosen), "validation": len(held.chosen)},
        "cut_posts": train.cut + held.cut,
        "skipped": dict(pairs.skipped),
        "origin": pairs.origin,
        "before": known["before"],
        **how_it_went(state),
    }
    hand_over(way, recipe, out, file, pairs.seen(), counts)
    return counts


def tokenise_pairs(pairs: Sequence[Preference], tasks: dict[str, Task], prompter: Prompter) -> PairRows:
    """Turn pairs into tokens.

    Raises
    ------
    WrongUse
        A response leaves no room for its question.
    """
    rows, cut = PairRows([], [], 0), 0
    for pair in pairs:
        chosen, rejected = (prompter.answer(" ".join(text.split())) for text in (pair.chosen, pair.rejected))
        # One prompt for both, or a post that is cut would be another for the longer response.
        longer = max(len(chosen), len(rejected))
        prompt = prompter.prompt(pair.example, tasks[pair.example.task], longer)
        cut += prompt.cut > 0
        for each, response in ((rows.chosen, chosen), (rows.rejected, rejected)):
            each.append(Row([*prompt.ids, *response], len(prompt.ids)))
    return replace(rows, cut=cut)


def log_probabilities(model: Any, batch: Batch) -> torch.Tensor:
    """Of each row's response, summed over its tokens, in nats; shape (rows,)."""
    learnt = batch.targets != UNLEARNT
    with only(model, learnt):
        logits = model(input_ids=batch.ids, use_cache=False).logits
    chances = -cross_entropy(logits.float(), batch.targets[learnt], reduction="none")
    summed = torch.zeros(len(batch.ids), device=chances.device)
    return summed.index_add(0, learnt.nonzero()[:, 0], chances)


def both(model: Any, rows: PairRows, bins: Sequence[Bin], devices: Devices) -> torch.Tensor:
    """Log-probabilities of the chosen and the rejected response of each bin's pair, shape (pairs, 2)."""
    places = [at for each in bins for at in each]
    side_by_side = [each[at] for each in (rows.chosen, rows.rejected) for at in places]
    batch = collate(side_by_side, [(at,) for at in range(len(side_by_side))], devices.device)
    return log_probabilities(model, batch).view(2, -1).T


def reference_of(model: Any, rows: PairRows, room: int, devices: Devices) -> Reference:
    """What the model finds as it is. Every process computes all pairs, so that each knows them."""
    found: Reference = [[0.0, 0.0] for _ in rows.chosen]

    def read(bins: Sequence[Bin]) -> torch.Tensor:
        told = both(model, rows, bins, devices)
        for (at,), pair in zip(bins, told.tolist(), strict=True):
            found[at] = pair
        return told.sum()

    summed_loss(read, rows.lengths, room, replace(devices, rank=0, world=1))
    return found


def margins(policy: torch.Tensor, reference: torch.Tensor, beta: float) -> torch.Tensor:
    """How much more than the reference the policy prefers the chosen response: the argument of the sigmoid in
    equation 7 of Rafailov et al. 2023. Both of shape (pairs, 2), chosen and rejected, in nats; the result, (pairs,).
    """
    gained = policy - reference
    return beta * (gained[:, 0] - gained[:, 1])


def preference_objective(
    rows: tuple[PairRows, PairRows], known: Sequence[Reference], settings: Causal, devices: Devices
) -> Objective:
    """The loss of equation 7, of training and validation pairs with their references."""
    references = [torch.tensor(each, device=devices.device) for each in known]

    def margins_of(split: int, model: Any, bins: Sequence[Bin]) -> torch.Tensor:
        places = [at for each in bins for at in each]
        return margins(both(model, rows[split], bins, devices), references[split][places], settings.beta)

    def measure(model: Any) -> Measures:
        told = torch.zeros(len(rows[1].chosen))

        def read(bins: Sequence[Bin]) -> torch.Tensor:
            found = margins_of(1, model, bins)
            told[[at for (at,) in bins]] = found.float().cpu()
            return -logsigmoid(found).sum()

        # Every process measures all pairs, so that each knows all margins.
        alone = replace(devices, rank=0, world=1)
        loss = summed_loss(read, rows[1].lengths, settings.tokens_at_once, alone) / len(told)
        return {
            "loss": loss,
            "margin": float(told.mean()),
            "accuracy": 100 * float((told > 0).float().mean()),
        }

    return Objective(
        lengths=rows[0].lengths,
        loss=lambda model, bins: -logsigmoid(margins_of(0, model, bins)).sum(),
        weight=lambda bins: float(len(bins)),
        measure=measure,
    )
