"""What every neural trainer does around the loop: devices and checkpoints before it, the model's folder after it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

from mentallama.analysts.base import tell
from mentallama.analysts.checkpoints.device import choose_dtype
from mentallama.analysts.checkpoints.metadata import ModelFile, write_model_file
from mentallama.config import Neural, Recipe
from mentallama.progress import progress
from mentallama.train.data.instructions import POSTS, seen_by_base
from mentallama.train.loop.baseline import forget_before
from mentallama.train.loop.checkpointing import Checkpoints, State
from mentallama.train.loop.distributed import Devices
from mentallama.train.loop.loop import Objective, Way, steps_in_all
from mentallama.train.loop.model_card import write_card

CHECKPOINTS = "checkpoints"
"""In the run's folder."""

NO_RESULT = frozenset(("checkpoint_minutes", "device", "tokens_at_once"))
"""Settings that change how training goes, not what comes of it."""


def fingerprint(recipe: Recipe, rows: Iterable[object], base: str) -> str:
    """16 hexadecimal digits of what a model follows from: its settings, its rows, and the model it began with."""
    assert recipe.train is not None
    settings = recipe.train.model_dump(mode="json", exclude=set(NO_RESULT))
    digest = hashlib.blake2b(json.dumps([settings, recipe.form, recipe.seed, base]).encode(), digest_size=8)
    for row in rows:
        digest.update(repr(row).encode())
    return digest.hexdigest()


@contextmanager
def on_the_way(
    recipe: Recipe, folder: Path, devices: Devices, objective: Objective, mark: str
) -> Iterator[Way]:
    """The loop's surroundings, with progress; `hand_over` ends what is begun here.

    Raises
    ------
    WrongUse, BadData
        As `seen_by_base`.
    """
    settings = recipe.train
    assert isinstance(settings, Neural)
    inherited = seen_by_base(settings.base, folder / POSTS)
    say = tell if devices.first else _unheard
    with progress("train: fit", steps_in_all(objective, settings)) as advance:
        yield Way(
            settings=settings,
            devices=devices,
            dtype=choose_dtype(settings.dtype, devices.device),
            checkpoints=Checkpoints(folder / CHECKPOINTS, devices),
            fingerprint=mark,
            seed=recipe.seed,
            advance=advance,
            say=say,
            inherited=inherited,
        )


def hand_over(
    way: Way, recipe: Recipe, out: Path, file: ModelFile, seen: Collection[str], counts: Mapping[str, Any]
) -> None:
    """Write what stands beside the weights, then remove what a killed training would have gone on from.

    `seen` are hashes of the posts that training or its choices saw; those that the base saw are added.
    """
    if way.devices.first:
        write_model_file(out, file, {*seen, *way.inherited})
        write_card(out, recipe, file, counts)
        way.checkpoints.remove()
        forget_before(way.checkpoints.folder.parent)


def _unheard(line: str) -> None:
    """Of many processes one speaks."""


def how_it_went(state: State) -> dict[str, Any]:
    """The course of a training, for its summary: steps, looks, the best of them, the loss of each step."""
    return {
        "steps": state.step,
        "looks": [look.model_dump(mode="json") for look in state.looks],
        "best": None if state.best is None else state.best.model_dump(mode="json"),
        "losses": [round(loss, 6) for loss in state.losses],
    }


def whole_weights(model: torch.nn.Module, devices: Devices) -> dict[str, Any]:
    """All weights on the CPU of the first process, tied ones once; all processes call it."""
    options = StateDictOptions(full_state_dict=True, cpu_offload=devices.world > 1)
    weights = dict(get_model_state_dict(model, options=options))
    tied = getattr(model, "all_tied_weights_keys", None) or ()  # gathered, they no longer share their memory
    return {name: tensor for name, tensor in weights.items() if name not in tied}
