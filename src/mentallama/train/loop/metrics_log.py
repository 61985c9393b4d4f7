"""The log of a training: `metrics.jsonl`, and event files of TensorBoard if the recipe asks for them.

A line is written as soon as its step is done, so that a training can be watched. Lines after the checkpoint that a
training resumes from are dropped, because their steps are taken again.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING

from pydantic import ValidationError

from mentallama.errors import UsageError
from mentallama.files.atomic import atomic_write, named_in_errors
from mentallama.records import TrainingMetrics

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class MetricsLog:
    """Metrics of one training, appended to a file; a context manager.

    Parameters
    ----------
    path
        The file; None writes nothing, as in every process but the main one.
    events
        Folder of TensorBoard's event files; None writes none.
    clock
        Returns seconds.
    """

    def __init__(
        self, path: Path | None, events: Path | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._path, self._events, self._clock = path, events, clock
        self._start = clock()
        self._file: IO[str] | None = None
        self._writer: SummaryWriter | None = None
        self._open = ExitStack()

    def __enter__(self) -> MetricsLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def resume(self, step: int) -> int:
        """Open the log after `step` steps, without the lines that an earlier process wrote after them.

        Returns how many of the steps have no line, because somebody removed the file.

        Raises
        ------
        UsageError
            There is a file of this name that no training wrote.
        """
        if self._path is None:
            return 0
        lines = _lines_until(self._path, step)
        with atomic_write(self._path) as partial:
            partial.write_text("".join(f"{_as_json(line)}\n" for line in lines), encoding="utf-8")
        self._start = self._clock() - (lines[-1].seconds if lines else 0.0)
        self._file = self._open.enter_context(self._path.open("a", encoding="utf-8", newline="\n"))
        if self._events is not None:
            from torch.utils.tensorboard import SummaryWriter

            # TensorBoard leaves out what an earlier process wrote from `purge_step` on.
            self._writer = SummaryWriter(str(self._events), purge_step=step + 1)
            self._open.callback(self._writer.close)
        return step - sum(line.loss is not None for line in lines)

    def seconds(self) -> float:
        """Seconds of training so far, those of earlier processes included."""
        return round(self._clock() - self._start, 3)

    def add(self, metrics: TrainingMetrics) -> None:
        """Append the metrics of a step or of an evaluation."""
        if self._path is None or self._file is None:
            return
        with named_in_errors(self._path):
            self._file.write(f"{_as_json(metrics)}\n")
            self._file.flush()
        if self._writer is not None:
            for name, value in _scalars(metrics).items():
                self._writer.add_scalar(name, value, metrics.step)

    def sync(self) -> None:
        """Wait until all lines are on disk."""
        if self._path is None or self._file is None:
            return
        with named_in_errors(self._path):
            os.fsync(self._file.fileno())
        if self._writer is not None:
            self._writer.flush()

    def move_to(self, path: Path) -> None:
        """Give the finished log, which is closed, its final place."""
        if self._path is not None:
            with atomic_write(path) as partial:
                partial.write_bytes(self._path.read_bytes())
            self._path.unlink()


def _lines_until(path: Path, step: int) -> list[TrainingMetrics]:
    """The lines of a log up to `step`; a last line that a kill cut short is none of them."""
    if not path.exists():
        return []
    try:
        whole = path.read_text(encoding="utf-8").rpartition("\n")[0]
        lines = [TrainingMetrics.model_validate_json(line) for line in whole.split("\n") if line]
    except (ValidationError, UnicodeDecodeError):
        raise UsageError(
            f"{path}: training writes a file of this name, and this one is another; move it elsewhere"
        ) from None
    return [line for line in lines if line.step <= step]


def _as_json(metrics: TrainingMetrics) -> str:
    return metrics.model_dump_json(exclude_defaults=True)


def _scalars(metrics: TrainingMetrics) -> dict[str, float]:
    """The values by the names under which TensorBoard groups them: `train/loss`, `validation/loss`."""
    trained = metrics.model_dump(exclude={"step", "seconds", "validation"}, exclude_none=True)
    if metrics.validation:
        return {f"validation/{name}": value for name, value in metrics.validation.items()}
    return {f"train/{name}": value for name, value in trained.items()}
