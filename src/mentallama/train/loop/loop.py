"""The optimiser loop that all neural trainers share.

A step's loss is summed over all its rows, over all devices and micro-batches, and divided by their total weight (tokens
or rows), so that splitting a step differently changes nothing but rounding. Dropout depends on the seed and the step
alone, so that a resumed run continues as if it had never been killed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from mentallama.analysts.inference.batching import torch_errors
from mentallama.config import NeuralSettings
from mentallama.errors import MentallamaError
from mentallama.progress import ProgressCallback
from mentallama.records import TrainingMetrics
from mentallama.train.loop.batching import MicroBatch, PackingBin, plan_micro_batches, plan_steps
from mentallama.train.loop.checkpointing import Checkpoints, Evaluation, TrainingState
from mentallama.train.loop.distributed import DistributedContext
from mentallama.train.loop.ema import WeightEMA
from mentallama.train.loop.metrics_log import MetricsLog

ADAMW_BETAS = (0.9, 0.95)
"""Betas of AdamW; the second is the usual one for language models (Llama, Touvron et al. 2023)."""

Metrics = dict[str, float]


@dataclass(frozen=True)
class Objective:
    """A loss to minimise, and how to validate it.

    Attributes
    ----------
    lengths
        Tokens of each training row.
    loss
        `loss(model, bins)`: loss summed over the rows of some bins, in nats.
    normalizer
        `normalizer(bins)`: the number of targets (tokens or rows) that the summed loss is divided by.
    evaluate
        `evaluate(model)`: metrics on the validation rows; `loss` is always among them.
    packed_length
        Pack rows into sequences of this many tokens; None: each row is its own sequence.
    lr_multiplier
        `lr_multiplier(parameter_name)`: factor on the learning rate; None: 1 for all.
    """

    lengths: Sequence[int]
    loss: Callable[[torch.nn.Module, Sequence[PackingBin]], torch.Tensor]
    normalizer: Callable[[Sequence[PackingBin]], float]
    evaluate: Callable[[torch.nn.Module], Metrics]
    packed_length: int | None = None
    lr_multiplier: Callable[[str], float] | None = None


@dataclass(frozen=True)
class TrainingSession:
    """Settings, devices, checkpoints and callbacks of one run.

    `base_seen_hashes` are hashes of the posts that the base was trained on; the tuned model has seen them too.
    """

    settings: NeuralSettings
    devices: DistributedContext
    dtype: torch.dtype
    checkpoints: Checkpoints
    fingerprint: str
    seed: int
    advance: ProgressCallback
    metrics: MetricsLog
    log: Callable[[str], None]
    base_seen_hashes: frozenset[str] = frozenset()

    def autocast(self) -> AbstractContextManager[Any]:
        """As `mixed_precision`."""
        return mixed_precision(self.devices, self.dtype)


def mixed_precision(devices: DistributedContext, dtype: torch.dtype) -> AbstractContextManager[Any]:
    """Autocast to `dtype` on a single device; sharded weights have a mixed-precision policy of their own."""
    if devices.world_size > 1 or dtype == torch.float32:
        return nullcontext()
    return torch.autocast(devices.device.type, dtype)


def fit(model: torch.nn.Module, objective: Objective, session: TrainingSession) -> TrainingState:
    """Train, from the last checkpoint if there is one; afterwards the model has its best weights.

    Raises
    ------
    MentallamaError
        The loss became NaN or infinite, or a single row does not fit into memory. The last good checkpoint is kept.
    """
    run = _TrainingLoop(model, objective, session)
    run.run()
    return run.state


def total_steps(objective: Objective, settings: NeuralSettings) -> int:
    """Optimiser steps of a whole run without early stopping."""
    steps = settings.epochs * math.ceil(len(objective.lengths) / settings.batch_size)
    return min(steps, settings.max_steps or steps)


def learning_rate_at(step: int, steps: int, settings: NeuralSettings) -> float:
    """Learning rate of step 0, 1, …: linear warm-up, then the schedule down to 0.

    Unlike transformers' schedules, which are the same from the end of the warm-up on, step 0 has a rate above 0.
    """
    warmup = math.ceil(settings.warmup_ratio * steps)
    if step < warmup:
        return settings.learning_rate * (step + 1) / warmup
    progress = (step - warmup) / max(1, steps - warmup)
    factors = {"constant": 1.0, "linear": 1 - progress, "cosine": (1 + math.cos(math.pi * progress)) / 2}
    return settings.learning_rate * factors[settings.schedule]


def parameter_groups(
    model: torch.nn.Module, settings: NeuralSettings, lr_multiplier: Callable[[str], float] | None
) -> list[Any]:
    """Trainable parameters, grouped by weight decay (matrices only) and learning-rate multiplier."""
    groups: dict[tuple[bool, float], list[torch.nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            multiplier = 1.0 if lr_multiplier is None else lr_multiplier(name)
            key = (parameter.ndim > 1, multiplier)
            groups.setdefault(key, []).append(parameter)
    return [
        {
            "params": parameters,
            "weight_decay": settings.weight_decay if matrix else 0.0,
            "lr_multiplier": multiplier,
        }
        for (matrix, multiplier), parameters in sorted(groups.items())
    ]


class _TrainingLoop:
    """A run of `fit`: the optimiser, and the state after the last step."""

    def __init__(self, model: torch.nn.Module, objective: Objective, session: TrainingSession) -> None:
        self.model, self.objective, self.session, self.settings = model, objective, session, session.settings
        groups = parameter_groups(model, self.settings, objective.lr_multiplier)
        self.trainable = [parameter for group in groups for parameter in group["params"]]
        self.optimizer = torch.optim.AdamW(
            groups,
            lr=self.settings.learning_rate,
            betas=ADAMW_BETAS,
            fused=session.devices.device.type == "cuda",
        )
        self.steps = total_steps(objective, self.settings)
        self.ema = None if self.settings.ema_decay is None else WeightEMA(model, self.settings.ema_decay)
        resumed = session.checkpoints.resume_state(session.fingerprint)
        if resumed is not None:
            session.checkpoints.load(resumed, model, self.optimizer, self._ema_weights())
            session.log(f"train: resuming from step {resumed.step} of {self.steps}")
            session.advance(resumed.step)
        if n_missing := session.metrics.resume(0 if resumed is None else resumed.step):
            session.log(
                f"train: the metrics of {n_missing} earlier steps are gone; summary.json has their losses"
            )
        self.state = resumed or TrainingState(
            fingerprint=session.fingerprint, token_budget=self.settings.max_batch_tokens
        )
        self.last_save_time = time.monotonic()

    def run(self) -> None:
        for epoch, last, rows in self._remaining_steps():
            metrics = self._train_step(rows)
            self.state = self.state.model_copy(
                update={"step": metrics.step, "losses": (*self.state.losses, metrics.loss)}
            )
            self.session.metrics.add(metrics)
            self.session.advance(1, _progress_note(epoch, metrics))
            evaluated = self._is_eval_step(last)
            if evaluated:
                self._evaluate()
            if evaluated or self._checkpoint_due():
                self._save_checkpoint()
            if self._should_stop_early():
                self.session.log(
                    f"train: stopping early at step {self.state.step}, no improvement since step {self._best_step()}"
                )
                break
        if self.state.best is not None:
            self.session.checkpoints.load_best(self.state, self.model)

    def _remaining_steps(self) -> Iterator[tuple[int, bool, tuple[int, ...]]]:
        """Yield the remaining steps: epoch, whether the step is the epoch's last, and its rows."""
        number = 0
        for epoch in range(self.settings.epochs):
            plan = plan_steps(self.objective.lengths, self.settings.batch_size, self.session.seed, epoch)
            for index, rows in enumerate(plan):
                if number == self.steps or (number == self.state.step and self._should_stop_early()):
                    return
                if number >= self.state.step:
                    yield epoch, index == len(plan) - 1 or number == self.steps - 1, rows
                number += 1

    def _train_step(self, rows: tuple[int, ...]) -> TrainingMetrics:
        """One optimiser step; returns its metrics."""
        start = time.perf_counter()
        self.model.train()
        rate = learning_rate_at(self.state.step, self.steps, self.settings)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["lr_multiplier"]
        loss = self._accumulate_gradient(rows)
        norm = float(_full_norm(torch.nn.utils.clip_grad_norm_(self.trainable, self.settings.max_grad_norm)))
        if not (math.isfinite(loss) and math.isfinite(norm)):
            self.optimizer.zero_grad(set_to_none=True)
            raise self._non_finite_error()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.ema is not None:
            self.ema.update(self.model, self.state.step + 1)
        n_tokens = sum(self.objective.lengths[row] for row in rows)
        return TrainingMetrics(
            step=self.state.step + 1,
            epoch=self._epochs_after(self.state.step + 1),
            seconds=self.session.metrics.seconds(),
            loss=loss,
            learning_rate=rate,
            grad_norm=norm,
            tokens_per_second=round(n_tokens / (time.perf_counter() - start), 1),
        )

    def _epochs_after(self, step: int) -> float:
        """Passes over the training rows after `step` steps."""
        return round(step / math.ceil(len(self.objective.lengths) / self.settings.batch_size), 4)

    def _accumulate_gradient(self, rows: tuple[int, ...]) -> float:
        """Accumulate the gradient over a step's micro-batches; on out-of-memory, with half the tokens in each."""
        lengths, packed_length = self.objective.lengths, self.objective.packed_length
        while True:
            budget = self.state.token_budget
            if packed_length is not None:
                packed_length = min(packed_length, max(budget, *(lengths[row] for row in rows), 1))
            micro_batches = plan_micro_batches(
                rows, lengths, budget, self.session.devices.world_size, packed_length
            )
            try:
                with torch_errors():
                    return self._run_micro_batches(micro_batches)
            except torch.OutOfMemoryError:
                self.optimizer.zero_grad(set_to_none=True)
                self._halve_token_budget(max(len(bins) for batch in micro_batches for bins in batch))

    def _run_micro_batches(self, micro_batches: Sequence[MicroBatch]) -> float:
        """Mean loss over all devices; gradients are left in the parameters."""
        devices, objective = self.session.devices, self.objective
        total = sum(objective.normalizer(bins) for batch in micro_batches for bins in batch)
        summed = torch.zeros((), device=devices.device)
        for number, batch in enumerate(micro_batches):
            torch.manual_seed(_micro_batch_seed(self.session.seed, self.state.step, number, devices.rank))
            local_bins = batch[devices.rank]
            # Every device takes part in every pass, because sharded weights are gathered from all.
            with self.session.autocast():
                loss = objective.loss(self.model, local_bins or batch[0]) * bool(local_bins) / max(total, 1.0)
            (loss * devices.world_size).backward()  # type: ignore[no-untyped-call]  # FSDP averages over devices
            summed += loss.detach()  # read once per step, so that the GPU is not synchronised in between
        return devices.all_reduce_sum(float(summed))[0]

    def _halve_token_budget(self, n_bins: int) -> None:
        budget, longest = self.state.token_budget, max(self.objective.lengths)
        if (n_bins == 1 and budget <= longest) or self.session.devices.world_size > 1:
            raise MentallamaError(
                f"train: out of memory at step {self.state.step + 1} with {budget} tokens in a batch; the last "
                "checkpoint is kept. Use a smaller max_tokens or max_batch_tokens, gradient_checkpointing: true, "
                "or lora"
            )
        self.state = self.state.model_copy(update={"token_budget": budget // 2})
        self.session.log(
            f"train: out of memory; continuing with {budget // 2} tokens per batch instead of {budget}"
        )

    def _non_finite_error(self) -> MentallamaError:
        step = self.state.step + 1
        if self.state.step:
            self._save_checkpoint()
            saved = f"the weights after step {self.state.step} are kept in {self.session.checkpoints.folder}"
        else:
            saved = "there is no earlier step to keep"
        return MentallamaError(
            f"train: the loss became NaN or infinite at step {step}; {saved}. Use a lower learning_rate, "
            "or dtype: float32"
        )

    def _non_finite_validation_error(self, evaluation: Evaluation) -> MentallamaError:
        names = ", ".join(name for name, value in evaluation.metrics.items() if not math.isfinite(value))
        return MentallamaError(
            f"train: {names} on the validation rows became NaN or infinite after step {evaluation.step}; the last "
            f"checkpoint is kept in {self.session.checkpoints.folder}. Use a lower learning_rate, or dtype: float32"
        )

    def _is_eval_step(self, last: bool) -> bool:
        every = self.settings.eval_steps
        return last if every is None else self.state.step % every == 0 or self.state.step == self.steps

    def _evaluate(self) -> None:
        """Evaluate the validation rows; save the weights if they are the best so far."""
        self.session.advance(0, "evaluating")
        self.model.eval()
        with nullcontext() if self.ema is None else self.ema.applied_to(self.model):
            with torch.no_grad(), self.session.autocast():
                evaluation = Evaluation(step=self.state.step, metrics=self.objective.evaluate(self.model))
            if not all(map(math.isfinite, evaluation.metrics.values())):
                raise self._non_finite_validation_error(evaluation)
            better = self.state.best is None or self._selection_metric(evaluation) > self._selection_metric(
                self.state.best
            )
            best = evaluation if better else self.state.best
            self.state = self.state.model_copy(
                update={"evaluations": (*self.state.evaluations, evaluation), "best": best}
            )
            self.session.metrics.add(
                TrainingMetrics(
                    step=evaluation.step,
                    epoch=self._epochs_after(evaluation.step),
                    seconds=self.session.metrics.seconds(),
                    validation=evaluation.metrics,
                )
            )
            if better:
                self.session.checkpoints.save_best(self.state, self.model)

    def _selection_metric(self, evaluation: Evaluation) -> float:
        name = self.settings.metric_for_best
        return -evaluation.metrics["loss"] if name == "loss" else evaluation.metrics[name]

    def _best_step(self) -> int:
        return 0 if self.state.best is None else self.state.best.step

    def _should_stop_early(self) -> bool:
        patience = self.settings.early_stopping_patience
        since_best = sum(evaluation.step > self._best_step() for evaluation in self.state.evaluations)
        return patience is not None and since_best >= patience

    def _ema_weights(self) -> dict[str, torch.Tensor]:
        return {} if self.ema is None else self.ema.averages

    def _checkpoint_due(self) -> bool:
        elapsed = time.monotonic() - self.last_save_time
        return bool(self.session.devices.broadcast(elapsed > 60 * self.settings.checkpoint_minutes))

    def _save_checkpoint(self) -> None:
        self.session.metrics.sync()  # what a checkpoint has seen must be on disk before it
        self.session.checkpoints.save(self.state, self.model, self.optimizer, self._ema_weights())
        self.last_save_time = time.monotonic()


def _progress_note(epoch: int, metrics: TrainingMetrics) -> str:
    """The note beside the steps of training."""
    return (
        f"epoch {epoch + 1}, loss {metrics.loss:.3f}, learning rate {metrics.learning_rate:.2g}, "
        f"{metrics.tokens_per_second:,.0f} tokens/s"
    )


def _micro_batch_seed(seed: int, step: int, number: int, rank: int) -> int:
    return hash((seed, step, number, rank)) % (1 << 62)  # hashes of integers are the same in every process


def _full_norm(norm: torch.Tensor) -> torch.Tensor:
    """Norm over all shards of the gradients."""
    return norm.full_tensor() if hasattr(norm, "full_tensor") else norm
