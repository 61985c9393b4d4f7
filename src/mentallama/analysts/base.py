"""How a language model is asked, whatever its kind."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from mentallama.tasks import Task, load_tasks

InferenceMode = Literal["answer-first", "free"]


def log_to_stderr(line: str) -> None:
    """Say what must be known before the work is done."""
    print(line, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class InferenceOptions:
    """The settings of `predict` as analysts need them; see `config.Predict` for what they mean.

    `say` hears what must be known while the work goes on: a smaller batch, posts that were cut. A linear model takes
    nothing but `tasks`, an encoder the device, too.
    """

    mode: InferenceMode = "answer-first"
    labels_only: bool = False
    template: Literal["auto", "chat", "plain"] = "auto"
    max_new_tokens: int = 256
    max_batch_tokens: int = 8192
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    max_concurrency: int = 64
    timeout: float = 120.0
    extra_body: Mapping[str, Any] = field(default_factory=dict)
    tasks: Mapping[str, Task] = field(default_factory=load_tasks)
    log: Callable[[str], None] = log_to_stderr
