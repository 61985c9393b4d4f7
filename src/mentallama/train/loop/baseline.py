"""What is measured of a model before its first step: once, also where a killed training goes on from later weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mentallama.files.record_files import read_json, write_json
from mentallama.train.loop.distributed import Devices

BEFORE = "before.json"
"""In the run's folder, beside the checkpoints, as long as training goes on."""


def kept_before(folder: Path, devices: Devices, fingerprint: str, measure: Callable[[], Any]) -> Any:
    """What `measure` finds, or found when this training, known by its fingerprint, was begun; plain JSON values.

    The model must be as it is before the first step. All processes call it.
    """
    path = folder / BEFORE
    kept = devices.agreed(read_json(path) if devices.first and path.is_file() else None)
    if isinstance(kept, dict) and kept.get("fingerprint") == fingerprint:
        return kept["measures"]
    measures = measure()
    if devices.first:
        write_json(path, {"fingerprint": fingerprint, "measures": measures})
    devices.barrier()
    return measures


def forget_before(folder: Path) -> None:
    """Remove the file once the model stands."""
    (folder / BEFORE).unlink(missing_ok=True)
