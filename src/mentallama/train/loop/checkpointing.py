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
from mentallama.train.loop.distributed import Devices

STATE = "state.json"
LEARNT = StateDictOptions(ignore_frozen_params=True, strict=False)
"""Only weights that learn are saved: an adapter's, not its base's."""


Tensors = dict[str, torch.Tensor]


class Look(Record):
    """One look at the validation rows: after which step, and what was measured."""

    step: int
    measures: dict[str, float]


class State(Record):
    """Where a training stands after `step` optimiser steps. `room` is tokens_at_once, perhaps halved."""

    fingerprint: str
    step: int = 0
    room: int
    looks: tuple[Look, ...] = ()
    best: Look | None = None
    losses: tuple[float, ...] = ()
    """Training loss of each step."""


@dataclass(frozen=True)
class Checkpoints:
    """The folder of one training's checkpoints."""

    folder: Path
    devices: Devices

    def newest(self, fingerprint: str) -> State | None:
        """Where to go on; what another training left is removed. None: at the beginning."""
        state = self._newest(fingerprint) if self.devices.first else None
        if self.devices.first and state is None and self.folder.exists():
            shutil.rmtree(self.folder)
        agreed: State | None = self.devices.agreed(state)
        return agreed

    def _newest(self, fingerprint: str) -> State | None:
        for path in sorted(self.folder.glob("step-*"), reverse=True):
            try:
                state = State.model_validate(read_json(path / STATE))
            except (OSError, ValidationError):
                continue
            if state.fingerprint == fingerprint:
                return state
        return None

    def save(
        self, state: State, model: torch.nn.Module, optimiser: torch.optim.Optimizer, averaged: Tensors
    ) -> Path:
        """Write a checkpoint, with the `averaged` weights.

        Once it is whole, older ones go, and best weights that it does not name.
        """
        tensors: dict[str, Any] = {
            "model": get_model_state_dict(model, options=LEARNT),
            "optimiser": get_optimizer_state_dict(model, optimiser, options=LEARNT),
            "averaged": averaged,
        }
        path = self._write(f"step-{state.step:08d}", tensors, state)
        if self.devices.first:
            kept = {path.name, *([] if state.best is None else [_best(state.best)])}
            for other in self.folder.iterdir():
                if other.name not in kept:
                    shutil.rmtree(other)
        return path

    def load(
        self, state: State, model: torch.nn.Module, optimiser: torch.optim.Optimizer, averaged: Tensors
    ) -> None:
        """Put a checkpoint's weights, optimiser state and averaged weights in place."""
        tensors: dict[str, Any] = {
            "model": get_model_state_dict(model, options=LEARNT),
            "optimiser": get_optimizer_state_dict(model, optimiser, options=LEARNT),
            "averaged": averaged,
        }
        with _alone_is_fine():
            state_dict_loader.load(tensors, checkpoint_id=self.folder / f"step-{state.step:08d}")
        set_model_state_dict(model, tensors["model"], options=LEARNT)
        set_optimizer_state_dict(model, optimiser, tensors["optimiser"], options=LEARNT)

    def save_best(self, state: State, model: torch.nn.Module) -> Path:
        """Keep the weights of the best look so far; a checkpoint that names it should follow."""
        assert state.best is not None
        return self._write(_best(state.best), {"model": get_model_state_dict(model, options=LEARNT)}, state)

    def load_best(self, state: State, model: torch.nn.Module) -> None:
        """Put the best look's weights in place."""
        assert state.best is not None
        tensors: dict[str, Any] = {"model": get_model_state_dict(model, options=LEARNT)}
        with _alone_is_fine():
            state_dict_loader.load(tensors, checkpoint_id=self.folder / _best(state.best))
        set_model_state_dict(model, tensors["model"], options=LEARNT)

    def remove(self) -> None:
        if self.devices.first:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _write(self, name: str, tensors: dict[str, Any], state: State) -> Path:
        partial, final = self.folder / f".{name}.partial", self.folder / name
        if self.devices.first:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
        self.devices.barrier()
        with _alone_is_fine():
            state_dict_saver.save(tensors, checkpoint_id=partial)
        if self.devices.first:
            write_json(partial / STATE, state.model_dump(mode="json"))
            if final.exists():
                shutil.rmtree(final)
            partial.rename(final)
        self.devices.barrier()
        return final


def _best(look: Look) -> str:
    return f"best-{look.step:08d}"


@contextmanager
def _alone_is_fine() -> Iterator[None]:
    """torch warns of every checkpoint that a single process writes."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.distributed is disabled")
        yield
