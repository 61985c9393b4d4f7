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

from mentallama.analysts.checkpoints.device import choose_dtype
from mentallama.analysts.checkpoints.metadata import ModelMetadata, write_model_metadata
from mentallama.config import NeuralSettings, Recipe
from mentallama.progress import log_to_stderr, progress_bar
from mentallama.run_files import POSTS_PATH
from mentallama.train.data.instructions import base_seen_hashes
from mentallama.train.loop.baseline import remove_baseline
from mentallama.train.loop.checkpointing import Checkpoints, TrainingState
from mentallama.train.loop.distributed import DistributedContext
from mentallama.train.loop.loop import Objective, TrainingSession, total_steps
from mentallama.train.loop.model_card import write_card

CHECKPOINT_FOLDER = "checkpoints"
"""In the run's folder."""

SETTINGS_WITHOUT_EFFECT = frozenset(("checkpoint_minutes", "device", "max_batch_tokens"))
"""Settings that change how training goes, not what comes of it."""


def training_fingerprint(recipe: Recipe, rows: Iterable[object], base: str) -> str:
    """16 hexadecimal digits of what a model follows from: its settings, its rows, and the model it began with."""
    assert recipe.train is not None
    settings = recipe.train.model_dump(mode="json", exclude=set(SETTINGS_WITHOUT_EFFECT))
    digest = hashlib.blake2b(json.dumps([settings, recipe.form, recipe.seed, base]).encode(), digest_size=8)
    for row in rows:
        digest.update(repr(row).encode())
    return digest.hexdigest()


@contextmanager
def training_session(
    recipe: Recipe, folder: Path, devices: DistributedContext, objective: Objective, mark: str
) -> Iterator[TrainingSession]:
    """The loop's surroundings, with progress; `finalize_model` ends what is begun here.

    Raises
    ------
    WrongUse, BadData
        As `base_seen_hashes`.
    """
    settings = recipe.train
    assert isinstance(settings, NeuralSettings)
    inherited = base_seen_hashes(settings.base, folder / POSTS_PATH)
    say = log_to_stderr if devices.is_main else _ignore_message
    with progress_bar("train: fit", total_steps(objective, settings)) as advance:
        yield TrainingSession(
            settings=settings,
            devices=devices,
            dtype=choose_dtype(settings.dtype, devices.device),
            checkpoints=Checkpoints(folder / CHECKPOINT_FOLDER, devices),
            fingerprint=mark,
            seed=recipe.seed,
            advance=advance,
            log=say,
            base_seen_hashes=inherited,
        )


def finalize_model(
    session: TrainingSession,
    recipe: Recipe,
    out: Path,
    file: ModelMetadata,
    seen: Collection[str],
    counts: Mapping[str, Any],
) -> None:
    """Write what stands beside the weights, then remove what a killed training would have gone on from.

    `seen` are hashes of the posts that training or its choices saw; those that the base saw are added.
    """
    if session.devices.is_main:
        write_model_metadata(out, file, {*seen, *session.base_seen_hashes})
        write_card(out, recipe, file, counts)
        session.checkpoints.remove()
        remove_baseline(session.checkpoints.folder.parent)


def _ignore_message(line: str) -> None:
    """Of many processes one speaks."""


def training_history(state: TrainingState) -> dict[str, Any]:
    """The course of a training, for its summary: steps, looks, the best of them, the loss of each step."""
    return {
        "steps": state.step,
        "evaluations": [look.model_dump(mode="json") for look in state.evaluations],
        "best": None if state.best is None else state.best.model_dump(mode="json"),
        "losses": [round(loss, 6) for loss in state.losses],
    }


def full_state_dict(model: torch.nn.Module, devices: DistributedContext) -> dict[str, Any]:
    """All weights on the CPU of the first process, tied ones once; all processes call it."""
    options = StateDictOptions(full_state_dict=True, cpu_offload=devices.world_size > 1)
    weights = dict(get_model_state_dict(model, options=options))
    tied = getattr(model, "all_tied_weights_keys", None) or ()  # gathered, they no longer share their memory
    return {name: tensor for name, tensor in weights.items() if name not in tied}
