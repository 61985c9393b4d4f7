"""Protocols of analysts and label readers, the spec that names an analyst, and the options of inference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from mentallama.errors import MentallamaError
from mentallama.progress import LogFn, log_to_stderr
from mentallama.records import Example, Prediction
from mentallama.tasks import Task, load_tasks

InferenceMode = Literal["answer-first", "free"]
Template = Literal["auto", "chat", "plain"]
Device = Literal["auto", "cpu", "cuda"]
Dtype = Literal["auto", "float32", "bfloat16"]


class Analyst(Protocol):
    """Answers questions about posts: one prediction per example, in their order.

    An analyst may also have `supported_questions` (pairs of set and question; without it, all questions are supported)
    and `counts` (a Counter of events to report to users, such as truncated posts).
    """

    def predict(self, examples: Sequence[Example]) -> Iterator[Prediction]: ...


class NonFiniteOutputError(MentallamaError):
    """A model computed NaN or infinity, which is never a prediction."""

    def __init__(self, name: str = "the model") -> None:
        super().__init__(
            f"{name}: it computed NaN or infinite scores, which are no prediction; use dtype: float32, and if that "
            "does not help, its weights are damaged: copy the model again, or train again"
        )
        self.name = name

    def __reduce__(self) -> tuple[type[NonFiniteOutputError], tuple[str]]:
        return NonFiniteOutputError, (self.name,)


class LabelReader(Protocol):
    """Predicts labels from explanations alone, with their answers stripped (`answers.strip_label`).

    `seen` holds hashes (`checkpoints.metadata.seen_hash`) of the posts whose explanations it was trained on or
    selected by.
    """

    name: str
    seen: frozenset[str]

    def supports(self, task: Task, question: str) -> bool: ...

    def label_probabilities(
        self, task: Task, question: str, explanations: Sequence[str]
    ) -> list[dict[str, float]]: ...


@dataclass(frozen=True)
class AnalystSpec:
    """The name of an analyst in recipes and commands: `KIND:LOCATION`, such as `linear:runs/sample-linear/train`."""

    kind: str
    location: str

    @classmethod
    def parse(cls, spec: str) -> AnalystSpec:
        """Split at the first colon; without one, the location is empty. Whether the kind exists is not checked."""
        kind, _, location = spec.partition(":")
        return cls(kind, location)

    @property
    def folder(self) -> Path | None:
        """The model's folder, or None if the location is not a folder on this machine."""
        path = Path(self.location)
        return path if self.location and path.is_dir() else None


@dataclass(frozen=True)
class InferenceOptions:
    """The settings of `predict` that analysts read; `config.Predict` describes them.

    `log` receives messages while the work goes on, for example about a smaller batch or truncated posts. A linear
    model uses `tasks` only, an encoder the device, dtype and batch size as well.
    """

    mode: InferenceMode = "answer-first"
    labels_only: bool = False
    template: Template = "auto"
    max_new_tokens: int = 256
    max_batch_tokens: int = 8192
    dtype: Dtype = "auto"
    device: Device = "auto"
    max_concurrency: int = 64
    timeout: float = 120.0
    max_attempts: int = 6
    key_env_var: str = "MENTALLAMA_API_KEY"
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    system_role: Literal["system", "developer", "user"] = "system"
    temperature: float = 0.0
    extra_body: Mapping[str, Any] = field(default_factory=dict)
    tasks: Mapping[str, Task] = field(default_factory=load_tasks)
    log: LogFn = log_to_stderr
