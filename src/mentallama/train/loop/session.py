"""Set-up and clean-up around the loop of every neural trainer: fingerprint, session, baseline metrics, model folder."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

from mentallama.analysts.base import NonFiniteOutputError
from mentallama.analysts.checkpoints.loading import choose_dtype
from mentallama.analysts.checkpoints.metadata import ModelMetadata, write_model_metadata
from mentallama.config import NeuralSettings, Recipe
from mentallama.config.train import TRAIN_CACHE_EXCLUDES
from mentallama.errors import UsageError
from mentallama.files.atomic import write_json
from mentallama.files.record_files import read_json
from mentallama.progress import log_to_stderr, progress_bar
from mentallama.run_files import (
    BASELINE_FILE,
    CHECKPOINTS_FOLDER,
    METRICS_FILE,
    POSTS_PATH,
    TENSORBOARD_FOLDER,
)
from mentallama.train.data.leakage import base_seen_hashes
from mentallama.train.loop.checkpointing import Checkpoints, TrainingState
from mentallama.train.loop.distributed import DistributedContext
from mentallama.train.loop.loop import Objective, TrainingSession, total_steps
from mentallama.train.loop.metrics_log import MetricsLog
from mentallama.train.model_card import write_card


def training_fingerprint(recipe: Recipe, rows: Iterable[object], base: str) -> str:
    """Hash (16 hexadecimal digits) of all that determines a trained model: settings, rows and base."""
    assert recipe.train is not None
    settings = recipe.train.model_dump(mode="json", exclude=set(TRAIN_CACHE_EXCLUDES))
    digest = hashlib.blake2b(json.dumps([settings, recipe.form, recipe.seed, base]).encode(), digest_size=8)
    for row in rows:
        digest.update(repr(row).encode())
    return digest.hexdigest()


@contextmanager
def training_session(
    recipe: Recipe, folder: Path, devices: DistributedContext, objective: Objective, fingerprint: str
) -> Iterator[TrainingSession]:
    """Open a session with a progress bar and a log of metrics; end it with `finalize_model`.

    Raises
    ------
    UsageError, DataError
        As `base_seen_hashes`.
    """
    settings = recipe.train
    assert isinstance(settings, NeuralSettings)
    inherited = base_seen_hashes(settings.base, folder / POSTS_PATH)
    events = folder / TENSORBOARD_FOLDER / fingerprint if settings.tensorboard else None
    log_path = folder / CHECKPOINTS_FOLDER / METRICS_FILE
    metrics = MetricsLog(log_path, events) if devices.is_main else MetricsLog(None)
    with progress_bar("train: fit", total_steps(objective, settings), unit="steps") as advance, metrics:
        yield TrainingSession(
            settings=settings,
            devices=devices,
            dtype=choose_dtype(settings.dtype, devices.device),
            checkpoints=Checkpoints(folder / CHECKPOINTS_FOLDER, devices),
            fingerprint=fingerprint,
            seed=recipe.seed,
            advance=advance,
            metrics=metrics,
            log=log_to_stderr if devices.is_main else _ignore_message,
            base_seen_hashes=inherited,
        )


def cached_baseline(
    folder: Path, devices: DistributedContext, fingerprint: str, measure: Callable[[], Any]
) -> Any:
    """Result of `measure()` on the untrained model, as plain JSON values.

    A resumed run, whose model already has later weights, reads it from `BASELINE_FILE`. All processes must call it.

    Raises
    ------
    NonFiniteOutputError
        The untrained model computes NaN.
    """
    path = folder / BASELINE_FILE
    saved = devices.broadcast(_read_baseline(path) if devices.is_main else {})
    if saved.get("fingerprint") == fingerprint:
        return saved["metrics"]
    metrics = measure()
    if not _is_finite(metrics):
        raise NonFiniteOutputError("the base of the training")
    if devices.is_main:
        write_json(path, {"fingerprint": fingerprint, "metrics": metrics})
    devices.barrier()
    return metrics


def _read_baseline(path: Path) -> dict[str, Any]:
    """The content of `BASELINE_FILE`, empty if there is none; a file of this name that is not ours is refused."""
    if not path.is_file():
        return {}
    saved = read_json(path)
    if not (isinstance(saved, dict) and set(saved) == {"fingerprint", "metrics"}):
        raise UsageError(
            f"{path}: training writes a file of this name, and this one is another; move it elsewhere"
        )
    return saved


def _is_finite(value: Any) -> bool:
    """Whether no number in nested lists and dicts is NaN or infinite."""
    if isinstance(value, Mapping):
        return all(map(_is_finite, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_is_finite, value))
    return not isinstance(value, float) or math.isfinite(value)


def finalize_model(
    session: TrainingSession,
    recipe: Recipe,
    out: Path,
    metadata: ModelMetadata,
    seen_hashes: Collection[str],
    counts: Mapping[str, Any],
) -> None:
    """Write metadata, model card and metrics beside the weights, then remove checkpoints and baseline.

    `seen_hashes` are hashes of the posts used for training or model selection; those that the base saw are added.
    """
    if session.devices.is_main:
        write_model_metadata(out, metadata, {*seen_hashes, *session.base_seen_hashes})
        write_card(out, recipe, metadata, counts, session.checkpoints.folder.parent)
        session.metrics.move_to(out / METRICS_FILE)
        session.checkpoints.remove()
        path = session.checkpoints.folder.parent / BASELINE_FILE
        if _read_baseline(path):
            path.unlink()


def _ignore_message(line: str) -> None:
    """Log function of every process but the main one."""


def training_history(state: TrainingState) -> dict[str, Any]:
    """Training history for `summary.json`: steps, evaluations, the best one, and the loss of each step."""
    return {
        "steps": state.step,
        "evaluations": [evaluation.model_dump(mode="json") for evaluation in state.evaluations],
        "best": None if state.best is None else state.best.model_dump(mode="json"),
        "losses": [round(loss, 6) for loss in state.losses],
    }


def full_state_dict(model: torch.nn.Module, devices: DistributedContext) -> dict[str, Any]:
    """All weights, each tied weight once, gathered on the CPU of the main process; all processes must call it."""
    options = StateDictOptions(full_state_dict=True, cpu_offload=devices.world_size > 1)
    weights = dict(get_model_state_dict(model, options=options))
    tied = getattr(model, "all_tied_weights_keys", None) or ()  # once gathered, they no longer share memory
    return {name: tensor for name, tensor in weights.items() if name not in tied}
