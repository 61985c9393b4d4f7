"""Settings of `teach`: the teachers, the prompts and the limits of the requests."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, NonNegativeFloat, PositiveFloat, model_validator

from mentallama.config.base import PathList, PositiveInt, Settings, Share
from mentallama.config.endpoint import EndpointSettings, parse_remote_spec
from mentallama.records import SPLITS, Split

TEACHER_KINDS = ("embedded", "linear", "remote")


def _as_teacher_list(value: Any) -> Any:
    """Accept one teacher or a list, each as a spec or as a mapping."""
    teachers = value if isinstance(value, (list, tuple)) else [value]
    if not teachers:
        raise ValueError("name a teacher, for example embedded")
    return [{"spec": teacher} if isinstance(teacher, str) else teacher for teacher in teachers]


class Teacher(EndpointSettings):
    """One teacher. A spec alone is enough if the defaults fit; the other keys apply to remote teachers only."""

    spec: str
    """embedded, linear:DIR, or remote:MODEL@URL with the URL of an OpenAI-compatible API, for example
    remote:my-model@http://127.0.0.1:8000/v1."""

    @property
    def kind(self) -> str:
        """One of `TEACHER_KINDS`."""
        return self.spec.partition(":")[0]

    @property
    def location(self) -> str:
        """The part of the spec after its kind."""
        return self.spec.partition(":")[2]

    @property
    def remote(self) -> bool:
        return self.kind == "remote"

    @model_validator(mode="after")
    def _check_spec(self) -> Teacher:
        if self.remote:
            parse_remote_spec(self.spec)
        elif self.kind not in TEACHER_KINDS or (self.kind == "linear") != bool(self.location):
            shown = self.kind if "@" in self.spec else self.spec  # an @ may be part of a URL with a password
            raise ValueError(f"{shown!r} is not a teacher; choose embedded, linear:DIR or remote:MODEL@URL")
        return self


class Teach(Settings):
    """How teachers are asked, and the limits of the requests."""

    teacher: Annotated[tuple[Teacher, ...], BeforeValidator(_as_teacher_list)] = (Teacher(spec="embedded"),)
    """One teacher or several; each is asked every question, and disagreements are recorded."""
    prompt: Literal["zero-shot", "few-shot", "label-given"] = "label-given"
    structured: bool = False
    """Request a JSON object with label, explanation and evidence quotes."""
    examples: PathList = ()
    """Expert-written examples, which few-shot needs and label-given may have: a table (set, question, text, label,
    explanation), the release's folder of expert files, or a list of such paths, the preferred first."""
    shots: PositiveInt = 4
    """Examples in a prompt, drawn by seed, balanced over labels."""
    splits: tuple[Split, ...] = Field(default=SPLITS, min_length=1)
    """Splits whose posts are explained."""
    max_concurrency: PositiveInt = 64
    """Maximum number of concurrent requests; lowered automatically when the server is overloaded."""
    timeout: PositiveFloat = 120.0
    """Seconds before one request times out."""
    max_attempts: PositiveInt = 6
    """Attempts per request before it counts as failed."""
    max_failed_share: Share = 0.1
    """Largest share of one teacher's requests that may fail; above it the command ends with exit code 3, and sends the
    failed requests again when it is repeated."""
    budget: NonNegativeFloat | None = None
    """Maximum total cost of the ledger; checked before each request is sent."""
    allow_remote: tuple[str, ...] = ()
    """Sets under an agreement whose posts may be sent to a remote teacher nevertheless."""
    ledger: Path | None = None
    """The file that stores paid completions; None: ledger.sqlite in the run's folder."""
    use_batch_api: bool = False
    """Write request files for the provider's batch API and read its result files, instead of sending requests."""

    @model_validator(mode="after")
    def _check_combinations(self) -> Teach:
        if self.prompt == "few-shot" and not self.examples:
            raise ValueError("few-shot prompts and an examples file go together")
        if self.prompt == "zero-shot" and self.examples:
            raise ValueError("zero-shot prompts have no examples; use prompt: few-shot")
        specs = [teacher.spec.rstrip("/") for teacher in self.teacher]
        if len(set(specs)) < len(specs):
            raise ValueError("the same teacher is named twice")
        unpriced = [
            teacher.spec for teacher in self.teacher if teacher.remote and teacher.input_price is None
        ]
        if self.budget is not None and unpriced:
            raise ValueError(f"a budget needs input_price and output_price of {unpriced[0]}")
        if self.examples and not all(teacher.remote for teacher in self.teacher):
            raise ValueError("few-shot needs a remote teacher; the others ignore examples")
        return self
