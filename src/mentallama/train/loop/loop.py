"""The optimiser loop that all neural trainers share.

A step's loss is the sum over all its rows, over all devices and passes, divided by their whole weight (tokens, or
rows): how a step is divided among passes and devices changes nothing but rounding. Chance (dropout) hangs on the seed
and the step alone, so that a resumed training goes on as if it had not been killed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from mentallama.config import NeuralSettings
from mentallama.errors import MentallamaError
from mentallama.progress import ProgressCallback
from mentallama.train.loop.batching import MicroBatch, PackingBin, plan_micro_batches, plan_steps
from mentallama.train.loop.checkpointing import Checkpoints, Evaluation, TrainingState
from mentallama.train.loop.distributed import DistributedContext
from mentallama.train.loop.ema import WeightEMA

ADAMW_BETAS = (0.9, 0.95)
"""Of AdamW; the second as usual for language models (Llama, Touvron et al. 2023)."""

Metrics = dict[str, float]


@dataclass(frozen=True)
class Objective:
    """What is to be made small.

    Attributes
    ----------
    lengths
        Tokens of each training row.
    loss
        The summed loss of some bins of rows.
    weight
        What that sum counts as: its tokens, or its rows.
    measure
        A look at the validation rows: `loss`, and what else there is.
    capacity
        Pack rows into sequences of so many tokens.
    rates
        How many learning rates a parameter has, by its name; None: one.
    """

    lengths: Sequence[int]
    loss: Callable[[torch.nn.Module, Sequence[PackingBin]], torch.Tensor]
    normalizer: Callable[[Sequence[PackingBin]], float]
    evaluate: Callable[[torch.nn.Module], Metrics]
    packed_length: int | None = None
    lr_multiplier: Callable[[str], float] | None = None


@dataclass(frozen=True)
class TrainingSession:
    """How the loop goes: its settings, devices, checkpoints, and who hears of it.

    `inherited` holds hashes of the posts that the base was trained on: what comes of it has seen them too.
    """

    settings: NeuralSettings
    devices: DistributedContext
    dtype: torch.dtype
    checkpoints: Checkpoints
    fingerprint: str
    seed: int
    advance: ProgressCallback
    log: Callable[[str], None]
    base_seen_hashes: frozenset[str] = frozenset()

    def autocast(self) -> AbstractContextManager[Any]:
        """As `computing`."""
        return computing(self.devices, self.dtype)


def computing(devices: DistributedContext, dtype: torch.dtype) -> AbstractContextManager[Any]:
    """bfloat16 in passes on one device; sharded weights bring their own policy."""
    if devices.world_size > 1 or dtype == torch.float32:
        return nullcontext()
    return torch.autocast(devices.device.type, dtype)


def fit(model: torch.nn.Module, objective: Objective, session: TrainingSession) -> TrainingState:
    """Train, from the last checkpoint if there is one; the model ends with its best weights.

    Raises
    ------
    MentallamaError
        The loss is no number any more, or one row does not fit into memory. The last good checkpoint is kept.
    """
    run = _TrainingLoop(model, objective, session)
    run.run()
    return run.state


def total_steps(objective: Objective, settings: NeuralSettings) -> int:
    """Optimiser steps of a whole training."""
    pool = len(objective.lengths)
    every = settings.epochs * math.ceil(pool / settings.batch_size)
    return min(every, settings.max_steps or every)


def learning_rate_at(step: int, steps: int, settings: NeuralSettings) -> float:
    """The learning rate of step 0, 1, …: linear warm-up, then the schedule down to 0."""
    warmup = math.ceil(settings.warmup_ratio * steps)
    if step < warmup:
        return settings.learning_rate * (step + 1) / warmup
    done = (step - warmup) / max(1, steps - warmup)
    falls = {"constant": 1.0, "linear": 1 - done, "cosine": (1 + math.cos(math.pi * done)) / 2}
    return settings.learning_rate * falls[settings.schedule]


def parameter_groups(
    model: torch.nn.Module, settings: NeuralSettings, lr_multiplier: Callable[[str], float] | None
) -> list[Any]:
    """Parameters that learn, by decay (only matrices have one) and by how many learning rates they have."""
    groups: dict[tuple[bool, float], list[torch.nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            key = (parameter.ndim > 1, 1.0 if lr_multiplier is None else lr_multiplier(name))
            groups.setdefault(key, []).append(parameter)
    return [
        {
            "params": parameters,
            "weight_decay": settings.weight_decay if matrix else 0.0,
            "lr_multiplier": rate,
        }
        for (matrix, rate), parameters in sorted(groups.items())
    ]


class _TrainingLoop:
    def __init__(self, model: torch.nn.Module, objective: Objective, way: TrainingSession) -> None:
        self.model, self.objective, self.way, self.settings = model, objective, way, way.settings
        groups = parameter_groups(model, self.settings, objective.lr_multiplier)
        self.trainable = [parameter for group in groups for parameter in group["params"]]
        self.optimiser = torch.optim.AdamW(
            groups, lr=self.settings.learning_rate, betas=ADAMW_BETAS, fused=way.devices.device.type == "cuda"
        )
        self.steps = total_steps(objective, self.settings)
        self.ema = None if self.settings.ema_decay is None else WeightEMA(model, self.settings.ema_decay)
        found = way.checkpoints.resume_state(way.fingerprint)
        if found is not None:
            way.checkpoints.load(found, model, self.optimiser, self._ema_weights())
            way.log(f"train: going on from step {found.step} of {self.steps}")
            way.advance(found.step)
        self.state = found or TrainingState(
            fingerprint=way.fingerprint, token_budget=self.settings.max_batch_tokens
        )
        self.last_save_time = time.monotonic()

    def run(self) -> None:
        for epoch, last, rows in self._remaining_steps():
            loss = self._train_step(rows)
            self.state = self.state.model_copy(
                update={"step": self.state.step + 1, "losses": (*self.state.losses, loss)}
            )
            self.way.advance(1, f"epoch {epoch + 1}, loss {loss:.3f}")
            looked = self._is_eval_step(last) and self._evaluate()
            if looked or self._checkpoint_due():
                self._save_checkpoint()
            if self._should_stop_early():
                self.way.log(
                    f"train: ends at step {self.state.step}, no better look since {self._best_step()}"
                )
                break
        if self.state.best is not None:
            self.way.checkpoints.load_best(self.state, self.model)

    def _remaining_steps(self) -> Iterator[tuple[int, bool, tuple[int, ...]]]:
        """The steps that are left: epoch, whether it is the epoch's last, rows."""
        number = 0
        for epoch in range(self.settings.epochs):
            plan = plan_steps(self.objective.lengths, self.settings.batch_size, self.way.seed, epoch)
            for at, rows in enumerate(plan):
                if number == self.steps or (number == self.state.step and self._should_stop_early()):
                    return
                if number >= self.state.step:
                    yield epoch, at == len(plan) - 1 or number == self.steps - 1, rows
                number += 1

    def _train_step(self, rows: tuple[int, ...]) -> float:
        """One optimiser step; returns its mean loss."""
        self.model.train()
        rate = learning_rate_at(self.state.step, self.steps, self.settings)
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group["lr_multiplier"]
        loss = self._accumulate_gradient(rows)
        norm = float(_full_norm(torch.nn.utils.clip_grad_norm_(self.trainable, self.settings.max_grad_norm)))
        if not (math.isfinite(loss) and math.isfinite(norm)):
            self.optimiser.zero_grad(set_to_none=True)
            raise self._non_finite_error()
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        if self.ema is not None:
            self.ema.update(self.model, self.state.step + 1)
        return loss

    def _accumulate_gradient(self, rows: tuple[int, ...]) -> float:
        """Sum the gradient over a step's passes, with less at once where memory is short."""
        lengths, capacity = self.objective.lengths, self.objective.packed_length
        while True:
            room = self.state.token_budget
            fits = None if capacity is None else min(capacity, max(room, *(lengths[row] for row in rows), 1))
            passes = plan_micro_batches(rows, lengths, room, self.way.devices.world_size, fits)
            try:
                return self._run_micro_batches(passes)
            except torch.OutOfMemoryError:
                self.optimiser.zero_grad(set_to_none=True)
                self._halve_token_budget(max(len(part) for each in passes for part in each))

    def _run_micro_batches(self, passes: Sequence[MicroBatch]) -> float:
        """The mean loss over all devices; gradients are left in the parameters."""
        devices, objective = self.way.devices, self.objective
        whole = sum(objective.normalizer(part) for each in passes for part in each)
        summed = torch.zeros((), device=devices.device)
        for number, each in enumerate(passes):
            torch.manual_seed(_micro_batch_seed(self.way.seed, self.state.step, number, devices.rank))
            mine = each[devices.rank]
            # All devices take part in every pass, or sharded weights could not be gathered.
            with self.way.autocast():
                loss = objective.loss(self.model, mine or each[0]) * bool(mine) / max(whole, 1.0)
            (loss * devices.world_size).backward()  # type: ignore[no-untyped-call]  # FSDP averages over devices
            summed += loss.detach()  # read once a step: a GPU need not wait in between
        return devices.all_reduce_sum(float(summed))[0]

    def _halve_token_budget(self, bins: int) -> None:
        room, longest = self.state.token_budget, max(self.objective.lengths)
        if (bins == 1 and room <= longest) or self.way.devices.world_size > 1:
            raise MentallamaError(
                f"train: out of memory at step {self.state.step + 1} with {room} tokens at once; the last checkpoint "
                "is kept. Use a smaller max_tokens or max_batch_tokens, gradient_checkpointing: true, or adapters"
            )
        self.state = self.state.model_copy(update={"token_budget": room // 2})
        self.way.log(f"train: out of memory; goes on with {room // 2} tokens at once instead of {room}")

    def _non_finite_error(self) -> MentallamaError:
        step = self.state.step + 1
        if self.state.step:
            self._save_checkpoint()
        kept = f"the weights after step {self.state.step} are kept in {self.way.checkpoints.folder}"
        return MentallamaError(
            f"train: the loss is no number at step {step}; "
            f"{kept if self.state.step else 'nothing was learnt yet'}. Use a lower learning rate or dtype: float32"
        )

    def _is_eval_step(self, last: bool) -> bool:
        every = self.settings.eval_steps
        return last if every is None else self.state.step % every == 0 or self.state.step == self.steps

    def _evaluate(self) -> bool:
        """Measure the validation rows; the best weights are kept."""
        self.model.eval()
        with nullcontext() if self.ema is None else self.ema.applied_to(self.model):
            with torch.no_grad(), self.way.autocast():
                look = Evaluation(step=self.state.step, metrics=self.objective.evaluate(self.model))
            better = self.state.best is None or self._selection_metric(look) > self._selection_metric(
                self.state.best
            )
            best = look if better else self.state.best
            self.state = self.state.model_copy(
                update={"evaluations": (*self.state.evaluations, look), "best": best}
            )
            if better:
                self.way.checkpoints.save_best(self.state, self.model)
        return True

    def _selection_metric(self, look: Evaluation) -> float:
        by = self.settings.metric_for_best
        return -look.metrics["loss"] if by == "loss" else look.metrics[by]

    def _best_step(self) -> int:
        return 0 if self.state.best is None else self.state.best.step

    def _should_stop_early(self) -> bool:
        since = [look for look in self.state.evaluations if look.step > self._best_step()]
        return (
            self.settings.early_stopping_patience is not None
            and len(since) >= self.settings.early_stopping_patience
        )

    def _ema_weights(self) -> dict[str, torch.Tensor]:
        return {} if self.ema is None else self.ema.averages

    def _checkpoint_due(self) -> bool:
        over = time.monotonic() - self.last_save_time > 60 * self.settings.checkpoint_minutes
        return bool(self.way.devices.broadcast(over))

    def _save_checkpoint(self) -> None:
        self.way.checkpoints.save(self.state, self.model, self.optimiser, self._ema_weights())
        self.last_save_time = time.monotonic()


def _micro_batch_seed(seed: int, step: int, number: int, rank: int) -> int:
    return hash((seed, step, number, rank)) % (1 << 62)  # of integers, so the same in every process


def _full_norm(norm: torch.Tensor) -> torch.Tensor:
    """A norm over sharded gradients as one number."""
    return norm.full_tensor() if hasattr(norm, "full_tensor") else norm
