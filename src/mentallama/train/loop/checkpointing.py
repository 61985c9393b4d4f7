"""What a killed training goes on from, and the best weights so far.

A checkpoint is a folder that appears whole or not at all; only the newest is kept. It holds the weights that learn, the
optimiser's state and `state.json`. It stands outside the stage's folder, which is replaced whole, and is removed when
training is done.
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch.distributed.checkpoint import state_dict_loader, state_dict_saver
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)

from mentallama.files.record_files import read_json, write_json
from mentallama.records import Record
from mentallama.train.loop.distributed import DistributedContext

STATE_FILE = "state.json"
TRAINABLE_ONLY = StateDictOptions(ignore_frozen_params=True, strict=False)
"""Only weights that learn are saved: an adapter's, not its base's."""


Tensors = dict[str, torch.Tensor]


class Evaluation(Record):
    """One look at the validation rows: after which step, and what was measured."""

    step: int
    metrics: dict[str, float]


class TrainingState(Record):
    """Where a training stands after `step` optimiser steps. `room` is tokens_at_once, perhaps halved."""

    fingerprint: str
    step: int = 0
    token_budget: int
    evaluations: tuple[Evaluation, ...] = ()
    best: Evaluation | None = None
    losses: tuple[float, ...] = ()
    """Training loss of each step."""


@dataclass(frozen=True)
class Checkpoints:
    """The folder of one training's checkpoints."""

    folder: Path
    devices: DistributedContext

    def resume_state(self, fingerprint: str) -> TrainingState | None:
        """Where to go on; what another training left is removed. None: at the beginning."""
        state = self._latest_state(fingerprint) if self.devices.is_main else None
        if self.devices.is_main and state is None and self.folder.exists():
            shutil.rmtree(self.folder)
        agreed: TrainingState | None = self.devices.broadcast(state)
        return agreed

    def _latest_state(self, fingerprint: str) -> TrainingState | None:
        for path in sorted(self.folder.glob("step-*"), reverse=True):
            try:
                state = TrainingState.model_validate(read_json(path / STATE_FILE))
            except (OSError, ValidationError):
                continue
            if state.fingerprint == fingerprint:
                return state
        return None

    def save(
        self,
        state: TrainingState,
        model: torch.nn.Module,
        optimiser: torch.optim.Optimizer,
        ema_weights: Tensors,
    ) -> Path:
        """Write a checkpoint, with the `averaged` weights.

        Once it is whole, older ones go, and best weights that it does not name.
        """
        tensors: dict[str, Any] = {
            "model": get_model_state_dict(model, options=TRAINABLE_ONLY),
            "optimiser": get_optimizer_state_dict(model, optimiser, options=TRAINABLE_ONLY),
            "ema": ema_weights,
        }
        path = self._write(f"step-{state.step:08d}", tensors, state)
        if self.devices.is_main:
            kept = {path.name, *([] if state.best is None else [_best_name(state.best)])}
            for other in self.folder.iterdir():
                if other.name not in kept:
                    shutil.rmtree(other)
        return path

    def load(
        self,
        state: TrainingState,
        model: torch.nn.Module,
        optimiser: torch.optim.Optimizer,
        averaged: Tensors,
    ) -> None:
        """Put a checkpoint's weights, optimiser state and averaged weights in place."""
        tensors: dict[str, Any] = {
            "model": get_model_state_dict(model, options=TRAINABLE_ONLY),
            "optimiser": get_optimizer_state_dict(model, optimiser, options=TRAINABLE_ONLY),
            "ema": averaged,
        }
        with _ignore_single_process_warning():
            state_dict_loader.load(tensors, checkpoint_id=self.folder / f"step-{state.step:08d}")
        set_model_state_dict(model, tensors["model"], options=TRAINABLE_ONLY)
        set_optimizer_state_dict(model, optimiser, tensors["optimiser"], options=TRAINABLE_ONLY)

    def save_best(self, state: TrainingState, model: torch.nn.Module) -> Path:
        """Keep the weights of the best look so far; a checkpoint that names it should follow."""
        assert state.best is not None
        return self._write(
            _best_name(state.best), {"model": get_model_state_dict(model, options=TRAINABLE_ONLY)}, state
        )

    def load_best(self, state: TrainingState, model: torch.nn.Module) -> None:
        """Put the best look's weights in place."""
        assert state.best is not None
        tensors: dict[str, Any] = {"model": get_model_state_dict(model, options=TRAINABLE_ONLY)}
        with _ignore_single_process_warning():
            state_dict_loader.load(tensors, checkpoint_id=self.folder / _best_name(state.best))
        set_model_state_dict(model, tensors["model"], options=TRAINABLE_ONLY)

    def remove(self) -> None:
        if self.devices.is_main:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _write(self, name: str, tensors: dict[str, Any], state: TrainingState) -> Path:
        partial, final = self.folder / f".{name}.partial", self.folder / name
        if self.devices.is_main:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
        self.devices.barrier()
        with _ignore_single_process_warning():
            state_dict_saver.save(tensors, checkpoint_id=partial)
        if self.devices.is_main:
            write_json(partial / STATE_FILE, state.model_dump(mode="json"))
            if final.exists():
                shutil.rmtree(final)
            partial.rename(final)
        self.devices.barrier()
        return final


def _best_name(look: Evaluation) -> str:
    return f"best-{look.step:08d}"


@contextmanager
def _ignore_single_process_warning() -> Iterator[None]:
    """torch warns of every checkpoint that a single process writes."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.distributed is disabled")
        yield
