"""What is measured of a model before its first step: once, also where a killed training goes on from later weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mentallama.files.record_files import read_json, write_json
from mentallama.train.loop.distributed import DistributedContext

BASELINE_FILE = "baseline.json"
"""In the run's folder, beside the checkpoints, as long as training goes on."""


def cached_baseline(
    folder: Path, devices: DistributedContext, fingerprint: str, measure: Callable[[], Any]
) -> Any:
    """What `measure` finds, or found when this training, known by its fingerprint, was begun; plain JSON values.

    The model must be as it is before the first step. All processes call it.
    """
    path = folder / BASELINE_FILE
    kept = devices.broadcast(read_json(path) if devices.is_main and path.is_file() else None)
    if isinstance(kept, dict) and kept.get("fingerprint") == fingerprint:
        return kept["metrics"]
    measures = measure()
    if devices.is_main:
        write_json(path, {"fingerprint": fingerprint, "metrics": measures})
    devices.barrier()
    return measures


def remove_baseline(folder: Path) -> None:
    """Remove the file once the model stands."""
    (folder / BASELINE_FILE).unlink(missing_ok=True)
