"""Preference tuning (direct preference optimisation, Rafailov et al. 2023): `train.analyst: causal` with
`objective: dpo`.

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
from mentallama.analysts.checkpoints.metadata import ModelMetadata
from mentallama.analysts.inference.prompt_encoding import PromptEncoder
from mentallama.config import CausalSettings, Recipe
from mentallama.errors import UsageError
from mentallama.tasks import Task
from mentallama.train.data.preference_pairs import PreferencePair, load_preferences
from mentallama.train.loop.batching import PackingBin
from mentallama.train.loop.distributed import DistributedContext, init_distributed, shard_model
from mentallama.train.loop.loop import Metrics, Objective, fit, mixed_precision
from mentallama.train.loop.session import (
    cached_baseline,
    finalize_model,
    training_fingerprint,
    training_history,
    training_session,
)
from mentallama.train.loop.validation import summed_loss
from mentallama.train.objectives.causal_sft import (
    IGNORE_INDEX,
    CausalBatch,
    CausalRow,
    collate_causal,
    head_on_positions,
)
from mentallama.train.objectives.language import prepare_causal_model, save_language_model


@dataclass(frozen=True)
class TokenizedPairs:
    """Pairs as tokens, each with one prompt; `cut` of them lost the end of their post."""

    chosen: list[CausalRow]
    rejected: list[CausalRow]
    n_truncated: int

    @property
    def lengths(self) -> list[int]:
        """Tokens of each pair when both rows stand side by side."""
        return [2 * max(len(a.ids), len(b.ids)) for a, b in zip(self.chosen, self.rejected, strict=True)]

    @property
    def token_ids(self) -> list[Sequence[int]]:
        """The tokens of every row."""
        return [row.ids for row in (*self.chosen, *self.rejected)]


ReferenceLogprobs = list[list[float]]
"""Log-probabilities of each pair's responses by the model as it began, shape (pairs, 2): chosen, rejected."""


def train_dpo(recipe: Recipe, folder: Path, out: Path) -> dict[str, Any]:
    """Tune on pairs; returns the counts of the manifest.

    Raises
    ------
    WrongUse
        As `load_preferences` and `open_weights`; a question and its answer are longer than the model can hold.
    BadData
        As `load_preferences`.
    MentallamaError
        As `fit`.
    """
    settings = recipe.train
    assert isinstance(settings, CausalSettings)
    if settings.metric_for_best != "loss":
        raise UsageError(
            "metric_for_best: weighted_f1 is for objective: sft; with objective: dpo use metric_for_best: loss"
        )
    devices = init_distributed(settings.device)
    pairs = load_preferences(recipe, folder)
    start = prepare_causal_model(settings, recipe, (), devices)
    prompter = PromptEncoder(
        start.tokenizer, recipe.form, settings.template, min(settings.max_tokens, start.max_context_tokens)
    )
    train, held = (
        tokenize_pairs(part, recipe.catalogue(), prompter) for part in (pairs.train, pairs.validation)
    )
    mark = training_fingerprint(recipe, (*train.token_ids, *held.token_ids), start.base)
    dtype = choose_dtype(settings.dtype, devices.device)
    model = shard_model(start.model, devices, dtype)

    def refer() -> dict[str, Any]:
        model.eval()
        with torch.no_grad(), mixed_precision(devices, dtype):
            found = [
                reference_logprobs(model, rows, settings.max_batch_tokens, devices) for rows in (train, held)
            ]
            begun = dpo_objective((train, held), found, settings, devices).evaluate(model)
        return {"references": found, "baseline": begun}

    known = cached_baseline(folder, devices, mark, refer)
    objective = dpo_objective((train, held), known["references"], settings, devices)
    with training_session(recipe, folder, devices, objective, mark) as way:
        state = fit(model, objective, way)
    save_language_model(start, model, devices, out)
    file = ModelMetadata(
        analyst="causal",
        fingerprint=mark,
        form=recipe.form,
        max_tokens=prompter.context,
        sets=pairs.sets,
        template="chat" if prompter.uses_chat_template else "plain",
        base=start.base,
    )
    counts = {
        "pairs": {"train": len(train.chosen), "validation": len(held.chosen)},
        "truncated_posts": train.n_truncated + held.n_truncated,
        "skipped": dict(pairs.skipped),
        "source_file": pairs.source_file,
        "baseline": known["baseline"],
        **training_history(state),
    }
    finalize_model(way, recipe, out, file, pairs.seen_hashes(), counts)
    return counts


def tokenize_pairs(
    pairs: Sequence[PreferencePair], tasks: dict[str, Task], prompter: PromptEncoder
) -> TokenizedPairs:
    """Turn pairs into tokens.

    Raises
    ------
    WrongUse
        A response leaves no room for its question.
    """
    rows, cut = TokenizedPairs([], [], 0), 0
    for pair in pairs:
        chosen, rejected = (
            prompter.encode_answer(" ".join(text.split())) for text in (pair.chosen, pair.rejected)
        )
        # One prompt for both, or a post that is cut would be another for the longer response.
        longer = max(len(chosen), len(rejected))
        prompt = prompter.encode_prompt(pair.example, tasks[pair.example.task], longer)
        cut += prompt.truncated_chars > 0
        for each, response in ((rows.chosen, chosen), (rows.rejected, rejected)):
            each.append(CausalRow([*prompt.ids, *response], len(prompt.ids)))
    return replace(rows, n_truncated=cut)


def response_logprobs(model: Any, batch: CausalBatch) -> torch.Tensor:
    """Of each row's response, summed over its tokens, in nats; shape (rows,)."""
    learnt = batch.targets != IGNORE_INDEX
    with head_on_positions(model, learnt):
        logits = model(input_ids=batch.input_ids, use_cache=False).logits
    chances = -cross_entropy(logits.float(), batch.targets[learnt], reduction="none")
    summed = torch.zeros(len(batch.input_ids), device=chances.device)
    return summed.index_add(0, learnt.nonzero()[:, 0], chances)


def pair_logprobs(
    model: Any, rows: TokenizedPairs, bins: Sequence[PackingBin], devices: DistributedContext
) -> torch.Tensor:
    """Log-probabilities of the chosen and the rejected response of each bin's pair, shape (pairs, 2)."""
    places = [at for each in bins for at in each]
    side_by_side = [each[at] for each in (rows.chosen, rows.rejected) for at in places]
    batch = collate_causal(side_by_side, [(at,) for at in range(len(side_by_side))], devices.device)
    return response_logprobs(model, batch).view(2, -1).T


def reference_logprobs(
    model: Any, rows: TokenizedPairs, token_budget: int, devices: DistributedContext
) -> ReferenceLogprobs:
    """What the model finds as it is. Every process computes all pairs, so that each knows them."""
    found: ReferenceLogprobs = [[0.0, 0.0] for _ in rows.chosen]

    def read(bins: Sequence[PackingBin]) -> torch.Tensor:
        told = pair_logprobs(model, rows, bins, devices)
        for (at,), pair in zip(bins, told.tolist(), strict=True):
            found[at] = pair
        return told.sum()

    summed_loss(read, rows.lengths, token_budget, replace(devices, rank=0, world_size=1))
    return found


def dpo_margins(policy: torch.Tensor, reference: torch.Tensor, beta: float) -> torch.Tensor:
    """How much more than the reference the policy prefers the chosen response: the argument of the sigmoid in
    equation 7 of Rafailov et al. 2023. Both of shape (pairs, 2), chosen and rejected, in nats; the result, (pairs,).
    """
    gained = policy - reference
    return beta * (gained[:, 0] - gained[:, 1])


def dpo_objective(
    rows: tuple[TokenizedPairs, TokenizedPairs],
    known: Sequence[ReferenceLogprobs],
    settings: CausalSettings,
    devices: DistributedContext,
) -> Objective:
    """The loss of equation 7, of training and validation pairs with their references."""
    references = [torch.tensor(each, device=devices.device) for each in known]

    def margins_of(split: int, model: Any, bins: Sequence[PackingBin]) -> torch.Tensor:
        places = [at for each in bins for at in each]
        return dpo_margins(
            pair_logprobs(model, rows[split], bins, devices), references[split][places], settings.beta
        )

    def measure(model: Any) -> Metrics:
        told = torch.zeros(len(rows[1].chosen))

        def read(bins: Sequence[PackingBin]) -> torch.Tensor:
            found = margins_of(1, model, bins)
            told[[at for (at,) in bins]] = found.float().cpu()
            return -logsigmoid(found).sum()

        # Every process measures all pairs, so that each knows all margins.
        alone = replace(devices, rank=0, world_size=1)
        loss = summed_loss(read, rows[1].lengths, settings.max_batch_tokens, alone) / len(told)
        return {
            "loss": loss,
            "margin": float(told.mean()),
            "accuracy": 100 * float((told > 0).float().mean()),
        }

    return Objective(
        lengths=rows[0].lengths,
        loss=lambda model, bins: -logsigmoid(margins_of(0, model, bins)).sum(),
        normalizer=lambda bins: float(len(bins)),
        evaluate=measure,
    )
