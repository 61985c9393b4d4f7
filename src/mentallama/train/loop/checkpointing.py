"""Checkpoints to resume from, and the best weights so far.

A checkpoint is a folder that appears whole or not at all; only the newest is kept. It holds the trainable weights, the
optimiser's state and `state.json`. It is stored outside the stage's folder, which is replaced as a whole, and
is removed when training has finished.
"""

from __future__ import annotations

import re
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

from mentallama.analysts.checkpoints.digests import verify_hashes, write_hashes
from mentallama.files.atomic import write_json
from mentallama.files.record_files import read_json
from mentallama.records import Record
from mentallama.train.loop.distributed import DistributedContext

STATE_FILE = "state.json"
_SAVED_NAME = re.compile(r"(?:step|best)-\d{8,}|\.(?:step|best)-\d{8,}\.partial")

TRAINABLE_ONLY = StateDictOptions(ignore_frozen_params=True, strict=False)
"""Save trainable weights only: an adapter's, not its base's."""

Tensors = dict[str, torch.Tensor]


class Evaluation(Record):
    """Validation metrics after `step` optimiser steps."""

    step: int
    metrics: dict[str, float]


class TrainingState(Record):
    """Progress after `step` optimiser steps. `token_budget` is `max_batch_tokens`, halved on every out-of-memory."""

    fingerprint: str
    step: int = 0
    token_budget: int
    evaluations: tuple[Evaluation, ...] = ()
    best: Evaluation | None = None
    losses: tuple[float, ...] = ()
    """Mean training loss of each step."""


@dataclass(frozen=True)
class Checkpoints:
    """Checkpoint folder of one run."""

    folder: Path
    devices: DistributedContext

    def resume_state(self, fingerprint: str) -> TrainingState | None:
        """State to resume from, or None. Checkpoints of a run with another fingerprint are deleted.

        Raises
        ------
        DataError
            A file of the checkpoint, or of the best weights that it refers to, is damaged.
        """
        state = self._latest_state(fingerprint) if self.devices.is_main else None
        if self.devices.is_main and state is None:
            self.remove()
        resumed: TrainingState | None = self.devices.broadcast(state)
        return resumed

    def _latest_state(self, fingerprint: str) -> TrainingState | None:
        checkpoints = (path for path in self._saved() if path.name.startswith("step-"))
        for path in sorted(checkpoints, reverse=True):
            self._verify(path)
            try:
                state = TrainingState.model_validate(read_json(path / STATE_FILE))
            except (OSError, ValidationError):
                continue
            if state.fingerprint == fingerprint:
                if state.best is not None:
                    self._verify(self.folder / _best_name(state.best))
                return state
        return None

    def _verify(self, path: Path) -> None:
        """Raise `DataError` if a file of a checkpoint is not the one that was written."""
        verify_hashes(path, made_here=False, advice=f"delete {self.folder} to train again from the beginning")

    def save(
        self,
        state: TrainingState,
        model: torch.nn.Module,
        optimizer: torch.optim.Optimizer,
        ema_weights: Tensors,
    ) -> Path:
        """Write a checkpoint, then delete older ones and best weights that are no longer the best."""
        tensors = _checkpoint_tensors(model, optimizer, ema_weights)
        path = self._write(_checkpoint_name(state), tensors, state)
        if self.devices.is_main:
            current = {path.name, *([] if state.best is None else [_best_name(state.best)])}
            for other in self._saved():
                if other.name not in current:
                    shutil.rmtree(other)
        return path

    def load(
        self,
        state: TrainingState,
        model: torch.nn.Module,
        optimizer: torch.optim.Optimizer,
        ema_weights: Tensors,
    ) -> None:
        """Load weights, optimiser state and EMA weights of a checkpoint, in place."""
        tensors = _checkpoint_tensors(model, optimizer, ema_weights)
        with _ignore_single_process_warning():
            state_dict_loader.load(tensors, checkpoint_id=self.folder / _checkpoint_name(state))
        set_model_state_dict(model, tensors["model"], options=TRAINABLE_ONLY)
        set_optimizer_state_dict(model, optimizer, tensors["optimizer"], options=TRAINABLE_ONLY)

    def save_best(self, state: TrainingState, model: torch.nn.Module) -> Path:
        """Write the best weights so far; the next checkpoint refers to them."""
        assert state.best is not None
        return self._write(
            _best_name(state.best), {"model": get_model_state_dict(model, options=TRAINABLE_ONLY)}, state
        )

    def load_best(self, state: TrainingState, model: torch.nn.Module) -> None:
        """Load the best weights into the model."""
        assert state.best is not None
        tensors: dict[str, Any] = {"model": get_model_state_dict(model, options=TRAINABLE_ONLY)}
        with _ignore_single_process_warning():
            state_dict_loader.load(tensors, checkpoint_id=self.folder / _best_name(state.best))
        set_model_state_dict(model, tensors["model"], options=TRAINABLE_ONLY)

    def remove(self) -> None:
        """Delete all checkpoints."""
        if self.devices.is_main and self.folder.is_dir():
            for path in self._saved():
                shutil.rmtree(path, ignore_errors=True)
            if not any(self.folder.iterdir()):
                self.folder.rmdir()

    def _saved(self) -> list[Path]:
        """The folders of checkpoints and best weights, whole or not; whatever else is here is not ours."""
        return [path for path in self.folder.glob("*") if path.is_dir() and _SAVED_NAME.fullmatch(path.name)]

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
            write_hashes(partial)
            if final.exists():
                shutil.rmtree(final)
            partial.rename(final)
        self.devices.barrier()
        return final


def _checkpoint_tensors(
    model: torch.nn.Module, optimizer: torch.optim.Optimizer, ema_weights: Tensors
) -> dict[str, Any]:
    return {
        "model": get_model_state_dict(model, options=TRAINABLE_ONLY),
        "optimizer": get_optimizer_state_dict(model, optimizer, options=TRAINABLE_ONLY),
        "ema": ema_weights,
    }


def _checkpoint_name(state: TrainingState) -> str:
    return f"step-{state.step:08d}"


def _best_name(evaluation: Evaluation) -> str:
    return f"best-{evaluation.step:08d}"


@contextmanager
def _ignore_single_process_warning() -> Iterator[None]:
    """Silence torch's warning about every checkpoint that a single process writes."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.distributed is disabled")
        yield
