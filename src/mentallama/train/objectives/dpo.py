"""Direct preference optimisation (DPO, Rafailov et al. 2023): `train.analyst: causal` with `objective: dpo`.

The model is trained to raise the likelihood of the chosen response over that of the rejected one, relative to the
reference model, which is the model before training. The reference log-probabilities are computed once, before the first
step, and stored in a file, because a resumed run has later weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import cross_entropy, logsigmoid

from mentallama.analysts.checkpoints.loading import choose_dtype
from mentallama.analysts.inference.prompt_encoding import PromptEncoder
from mentallama.config import CausalSettings, Recipe
from mentallama.tasks import Task
from mentallama.train.data.preference_pairs import PreferenceData, PreferencePair, load_preferences
from mentallama.train.loop.batching import PackingBin
from mentallama.train.loop.checkpointing import TrainingState
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
    CausalBatch,
    CausalRow,
    causal_metadata,
    causal_prompt_encoder,
    collate_causal,
    prepare_causal_model,
)
from mentallama.train.objectives.sft import IGNORE_INDEX, head_on_positions, save_language_model


@dataclass(frozen=True)
class TokenizedPairs:
    """Pairs as token ids, both responses after the same prompt; `n_truncated` pairs lost the end of their post."""

    chosen: list[CausalRow]
    rejected: list[CausalRow]
    n_truncated: int

    @property
    def lengths(self) -> list[int]:
        """Tokens of each pair when its two rows are padded to one length."""
        return [2 * max(len(a.ids), len(b.ids)) for a, b in zip(self.chosen, self.rejected, strict=True)]

    @property
    def token_ids(self) -> list[Sequence[int]]:
        """Token ids of every row, for the fingerprint."""
        return [row.ids for row in (*self.chosen, *self.rejected)]


ReferenceLogprobs = list[list[float]]
"""Log-probabilities of each pair's responses under the reference model, shape (pairs, 2): chosen, rejected."""


def train_dpo(recipe: Recipe, folder: Path, out: Path) -> dict[str, Any]:
    """Train on preference pairs; returns the counts for the manifest.

    Raises
    ------
    UsageError
        As `load_preferences` and `prepare_causal_model`; a question and its answer exceed the model's context.
    DataError
        As `load_preferences`.
    MentallamaError
        As `fit`.
    """
    settings = recipe.train
    assert isinstance(settings, CausalSettings)
    devices = init_distributed(settings.device)
    pairs = load_preferences(recipe, folder)
    prepared = prepare_causal_model(settings, recipe, (), devices)
    prompter = causal_prompt_encoder(prepared, settings, recipe)
    tasks = recipe.catalogue()
    train, validation = (tokenize_pairs(part, tasks, prompter) for part in (pairs.train, pairs.validation))
    fingerprint = training_fingerprint(recipe, (*train.token_ids, *validation.token_ids), prepared.base)
    dtype = choose_dtype(settings.dtype, devices.device)
    model = shard_model(prepared.model, devices, dtype)

    def reference() -> dict[str, Any]:
        model.eval()
        with torch.no_grad(), mixed_precision(devices, dtype):
            logprobs = [
                reference_logprobs(model, rows, settings.max_batch_tokens, devices)
                for rows in (train, validation)
            ]
            baseline = dpo_objective((train, validation), logprobs, settings, devices).evaluate(model)
        return {"logprobs": logprobs, "baseline": baseline}

    cached = cached_baseline(folder, devices, fingerprint, reference)
    objective = dpo_objective((train, validation), cached["logprobs"], settings, devices)
    with training_session(recipe, folder, devices, objective, fingerprint) as session:
        state = fit(model, objective, session)
    save_language_model(prepared, model, devices, out)
    metadata = causal_metadata(fingerprint, recipe, prompter, pairs.sets, prepared.base)
    counts = dpo_summary(pairs, train, validation, cached["baseline"], state)
    finalize_model(session, recipe, out, metadata, pairs.seen_hashes(), counts)
    return counts


def dpo_summary(
    pairs: PreferenceData,
    train: TokenizedPairs,
    validation: TokenizedPairs,
    baseline: Metrics,
    state: TrainingState,
) -> dict[str, Any]:
    """Counts of the pairs, metrics before the first step, and the training history."""
    return {
        "pairs": {"train": len(train.chosen), "validation": len(validation.chosen)},
        "truncated_posts": train.n_truncated + validation.n_truncated,
        "skipped": dict(pairs.skipped),
        "source_file": pairs.source_file,
        "baseline": baseline,
        **training_history(state),
    }


def tokenize_pairs(
    pairs: Sequence[PreferencePair], tasks: dict[str, Task], prompter: PromptEncoder
) -> TokenizedPairs:
    """Encode pairs.

    Raises
    ------
    UsageError
        A response is so long that its question no longer fits.
    """
    rows, n_truncated = TokenizedPairs([], [], 0), 0
    for pair in pairs:
        chosen, rejected = (
            prompter.encode_answer(" ".join(text.split())) for text in (pair.chosen, pair.rejected)
        )
        # One prompt for both: a truncated post must not differ between the two responses.
        reserved_tokens = max(len(chosen), len(rejected))
        prompt = prompter.encode_prompt(pair.example, tasks[pair.example.task], reserved_tokens)
        n_truncated += prompt.truncated_chars > 0
        rows.chosen.append(CausalRow([*prompt.ids, *chosen], len(prompt.ids)))
        rows.rejected.append(CausalRow([*prompt.ids, *rejected], len(prompt.ids)))
    return replace(rows, n_truncated=n_truncated)


def response_logprobs(model: Any, batch: CausalBatch) -> torch.Tensor:
    """Log-probability of each row's response, summed over its tokens, in nats; shape (rows,)."""
    has_target = batch.targets != IGNORE_INDEX
    with head_on_positions(model, has_target):
        logits = model(input_ids=batch.input_ids, use_cache=False).logits
    logprobs = -cross_entropy(logits.float(), batch.targets[has_target], reduction="none")
    sums = torch.zeros(len(batch.input_ids), device=logprobs.device)
    return sums.index_add(0, has_target.nonzero()[:, 0], logprobs)


def pair_logprobs(
    model: Any, rows: TokenizedPairs, bins: Sequence[PackingBin], devices: DistributedContext
) -> torch.Tensor:
    """Log-probabilities of the chosen and the rejected response of each bin's pair, shape (pairs, 2)."""
    indices = [index for rows_of_bin in bins for index in rows_of_bin]
    responses = [side[index] for side in (rows.chosen, rows.rejected) for index in indices]
    batch = collate_causal(responses, [(index,) for index in range(len(responses))], devices.device)
    return response_logprobs(model, batch).view(2, -1).T


def reference_logprobs(
    model: Any, rows: TokenizedPairs, token_budget: int, devices: DistributedContext
) -> ReferenceLogprobs:
    """Log-probabilities of all pairs, computed in full by every process, because each needs all of them."""
    result: ReferenceLogprobs = [[0.0, 0.0] for _ in rows.chosen]

    def collect(bins: Sequence[PackingBin]) -> torch.Tensor:
        logprobs = pair_logprobs(model, rows, bins, devices)
        for (index,), pair in zip(bins, logprobs.tolist(), strict=True):
            result[index] = pair
        return logprobs.sum()

    summed_loss(collect, rows.lengths, token_budget, devices.single_process())
    return result


def dpo_margins(policy: torch.Tensor, reference: torch.Tensor, beta: float) -> torch.Tensor:
    """How much more than the reference the policy prefers the chosen response: the argument of the sigmoid in
    equation 7 of Rafailov et al. 2023.

    `policy` and `reference` have the shape (pairs, 2), chosen and rejected, in nats; the result has the shape (pairs,).
    """
    gains = policy - reference
    return beta * (gains[:, 0] - gains[:, 1])


def dpo_objective(
    rows: tuple[TokenizedPairs, TokenizedPairs],
    logprobs: Sequence[ReferenceLogprobs],
    settings: CausalSettings,
    devices: DistributedContext,
) -> Objective:
    """The loss of equation 7, mean over pairs. `rows` and `logprobs` hold training pairs, then validation pairs."""
    references = [torch.tensor(pairs, device=devices.device) for pairs in logprobs]
    train, validation = 0, 1

    def margins_of(split: int, model: Any, bins: Sequence[PackingBin]) -> torch.Tensor:
        indices = [index for rows_of_bin in bins for index in rows_of_bin]
        policy = pair_logprobs(model, rows[split], bins, devices)
        return dpo_margins(policy, references[split][indices], settings.beta)

    def evaluate(model: Any) -> Metrics:
        margins = torch.zeros(len(rows[validation].chosen))

        def loss(bins: Sequence[PackingBin]) -> torch.Tensor:
            of_bins = margins_of(validation, model, bins)
            margins[[index for (index,) in bins]] = of_bins.float().cpu()
            return -logsigmoid(of_bins).sum()

        # Every process evaluates all pairs, so that each has all margins.
        total = summed_loss(
            loss, rows[validation].lengths, settings.max_batch_tokens, devices.single_process()
        )
        return {
            "loss": total / len(margins),
            "margin": float(margins.mean()),
            "accuracy": 100 * float((margins > 0).float().mean()),
        }

    return Objective(
        lengths=rows[train].lengths,
        loss=lambda model, bins: -logsigmoid(margins_of(train, model, bins)).sum(),
        normalizer=lambda bins: float(len(bins)),
        evaluate=evaluate,
    )
