"""Settings of `teach`: the teachers, the prompts and the limits of the requests."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    field_validator,
    model_validator,
)

from mentallama.config.base import PathList, PositiveInt, Settings, Share
from mentallama.config.endpoint import EndpointSettings, parse_remote_spec
from mentallama.records import SPLITS, Split

TEACHER_KINDS = ("embedded", "linear", "remote", "scripted")
LOCATED_KINDS = ("linear", "scripted")
"""Kinds whose spec has a path after the colon."""


def _as_teacher_list(value: Any) -> Any:
    """Accept one teacher or a list, each as a spec or as a mapping."""
    teachers = value if isinstance(value, (list, tuple)) else [value]
    if not teachers:
        raise ValueError("name a teacher, for example embedded")
    return [{"spec": teacher} if isinstance(teacher, str) else teacher for teacher in teachers]


class Teacher(EndpointSettings):
    """One teacher. A spec alone is enough if the defaults fit; the other keys apply to remote teachers only."""

    spec: str
    """embedded, linear:DIR, remote:MODEL@URL with the URL of an OpenAI-compatible API, for example
    remote:my-model@http://127.0.0.1:8000/v1, or scripted:FILE with replies in a file instead of a server."""

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

    @property
    def takes_requests(self) -> bool:
        """Whether it is asked by requests, which the ledger keeps."""
        return self.kind in {"remote", "scripted"}

    @model_validator(mode="after")
    def _check_spec(self) -> Teacher:
        if self.remote:
            parse_remote_spec(self.spec)
        elif self.kind not in TEACHER_KINDS or (self.kind in LOCATED_KINDS) != bool(self.location):
            shown = self.kind if "@" in self.spec else self.spec  # an @ may be part of a URL with a password
            raise ValueError(f"{shown!r} is not a teacher; choose embedded, linear:DIR or remote:MODEL@URL")
        return self


def _as_teacher(value: Any) -> Any:
    return {"spec": value} if isinstance(value, str) else value


class ScaleSettings(Settings):
    """How a scale is filled item by item (`method: item-by-item`)."""

    pack: str | None = None
    """Criterion pack that is filled before a question of another kind is answered, such as PHQ-9, and by whose rule
    the filled items are summed. A task of kind scale is filled by its own items; with a pack of the same items and
    levels they are summed too."""
    packs: Path | None = None
    """A folder with additional criterion packs."""
    checker: Annotated[Teacher, BeforeValidator(_as_teacher)] | None = None
    """Model that checks the filled items and sends single ones back; default: the teacher itself."""
    max_revisions: NonNegativeInt = 2
    """How often one item may be sent back, by the checker or because its quotations are not in the post. An item that
    is still in dispute is not filled."""
    max_total_revisions: NonNegativeInt = 10
    """The same for all items of a post together."""

    @field_validator("checker")
    @classmethod
    def _takes_requests(cls, checker: Teacher | None) -> Teacher | None:
        if checker is not None and not checker.takes_requests:
            raise ValueError(f"{checker.spec} checks nothing; name a language model as remote:MODEL@URL")
        return checker


class Teach(Settings):
    """How teachers are asked, and the limits of the requests."""

    teacher: Annotated[tuple[Teacher, ...], BeforeValidator(_as_teacher_list)] = (Teacher(spec="embedded"),)
    """One teacher or several; each is asked every question, and disagreements are recorded."""
    method: Literal["single-request", "item-by-item"] = "single-request"
    """single-request: one request for each question. item-by-item: a scale is filled with a request for each item,
    checked, and then the question is answered from it (`scale`)."""
    scale: ScaleSettings = ScaleSettings()
    """How a scale is filled with method: item-by-item."""
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
        unpriced = [each.spec for each in self.endpoints if each.takes_requests and each.input_price is None]
        if self.budget is not None and unpriced:
            raise ValueError(f"a budget needs input_price and output_price of {unpriced[0]}")
        if self.examples and not all(teacher.takes_requests for teacher in self.teacher):
            raise ValueError("few-shot needs a remote teacher; the others ignore examples")
        return self

    @model_validator(mode="after")
    def _check_method(self) -> Teach:
        if self.method == "single-request":
            if "scale" in self.model_fields_set:
                raise ValueError("scale: a scale is filled with method: item-by-item")
            return self
        if self.prompt != "zero-shot":
            raise ValueError("method: item-by-item fills a scale from the post alone; use prompt: zero-shot")
        if self.use_batch_api:
            raise ValueError("method: item-by-item asks step by step, which batch files do not allow")
        without = [teacher.spec for teacher in self.teacher if not teacher.takes_requests]
        if without:
            raise ValueError(f"method: item-by-item asks a language model; {without[0]} is none")
        if len({each.spec.rstrip("/") for each in self.endpoints}) < len(self.endpoints):
            raise ValueError(
                "scale.checker: the checker is a teacher too; leave it out if it checks its own items"
            )
        return self

    @property
    def endpoints(self) -> tuple[Teacher, ...]:
        """All models that may be asked: the teachers, and the checker if there is one besides."""
        return (*self.teacher, *([] if self.scale.checker is None else [self.scale.checker]))
