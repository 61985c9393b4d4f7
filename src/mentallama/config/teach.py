"""Who explains, and how they are asked."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl, urlsplit

from pydantic import BeforeValidator, Field, PositiveInt, model_validator

from mentallama.config.base import PositiveFloat, Price, Settings
from mentallama.records import SPLITS, Split

TEACHER_KINDS = ("embedded", "linear", "remote")


def _as_teacher_list(value: Any) -> Any:
    """One teacher or several, each by its spec or with its terms."""
    teachers = value if isinstance(value, (list, tuple)) else [value]
    if not teachers:
        raise ValueError("name a teacher, as embedded")
    return [{"spec": each} if isinstance(each, str) else each for each in teachers]


class Teacher(Settings):
    """Who explains, and on what terms. Written as a spec alone where the terms are the usual ones."""

    spec: str
    """embedded, linear:DIR, or remote:MODEL@URL with the URL of an OpenAI-compatible API, as
    remote:my-model@http://127.0.0.1:8000/v1."""
    key_env_var: str = "MENTALLAMA_API_KEY"
    """The environment variable that holds the key; a server that needs none is sent none."""
    input_price: Price | None = None
    output_price: Price | None = None
    """Money per million tokens, in the currency of the budget. Needed for a budget."""
    requests_per_minute: PositiveInt | None = None
    tokens_per_minute: PositiveInt | None = None
    """The provider's limits; None: only what the server's answers say."""
    schema_mode: Literal["json_schema", "json_object", "none"] = "json_schema"
    """How a structured answer is asked for beside the prompt's words."""
    max_tokens: PositiveInt = 512
    temperature: float = Field(default=0.0, ge=0, le=2)
    extra_body: dict[str, Any] = {}
    """Further keys of the request's body, as a provider wants them; null takes out one that is there by default, as
    max_tokens where a model wants max_completion_tokens instead."""

    @property
    def remote(self) -> bool:
        return self.spec.startswith("remote:")

    @property
    def model_and_url(self) -> tuple[str, str]:
        """Of `remote:MODEL@URL`, in which the model's name may hold an @ too; two empty texts where the spec is none.

        >>> Teacher(spec="remote:@cf/meta/llama@https://api.example.org/v1").model_and_url
        ('@cf/meta/llama', 'https://api.example.org/v1')
        """
        found = re.fullmatch(r"remote:(?P<model>.+)@(?P<url>https?://.*)", self.spec, re.DOTALL)
        if found is None or "://" in found["model"]:
            return "", ""
        return found["model"], found["url"]

    @model_validator(mode="after")
    def _check_spec(self) -> Teacher:
        kind, _, rest = self.spec.partition(":")
        model, url = self.model_and_url
        if _holds_secret(url):  # a spec is shown in manifests and reports
            raise ValueError(f"the URL of {model} holds a user, password or key; put it into the environment")
        if kind == "remote" and not model:  # what stands there may hold a password, and is not shown
            raise ValueError("write it as remote:MODEL@URL, the URL with http:// or https://")
        if (kind == "linear" and not rest) or (kind == "embedded" and rest) or kind not in TEACHER_KINDS:
            shown = kind if "@" in self.spec else self.spec
            raise ValueError(f"{shown!r} is no teacher; there are embedded, linear:DIR and remote:MODEL@URL")
        if (self.input_price is None) != (self.output_price is None):
            raise ValueError("input_price and output_price go together")
        taken = sorted(set(self.extra_body) & {"model", "messages", "response_format", "stream", "n"})
        if taken:
            raise ValueError(f"extra_body: {taken[0]} is set by the stage itself")
        secret = [name for name in self.extra_body if _SECRET_NAME.search(name)]
        if secret:  # extra_body is shown in manifests and reports
            raise ValueError(
                f"extra_body: {secret[0]} looks like a secret; a key belongs into the environment"
            )
        return self


_SECRET_NAME = re.compile(r"key|secret|password|credential|auth|token$", re.IGNORECASE)
"""Names of options that no body of a request has, but a careless recipe may."""


def _holds_secret(url: str) -> bool:
    """Whether a URL says more than where something is; Azure's api-version in the query is no secret."""
    try:
        parts = urlsplit(url)
    except ValueError:  # no URL at all; that is told elsewhere
        return False
    asked = parse_qsl(parts.query, keep_blank_values=True)
    return "@" in parts.netloc or bool(parts.fragment) or any(name != "api-version" for name, _ in asked)


class Teach(Settings):
    """How the teacher is asked, and how far it may go."""

    teacher: Annotated[tuple[Teacher, ...], BeforeValidator(_as_teacher_list)] = (Teacher(spec="embedded"),)
    """One teacher or several; all are asked every question, and where they differ is kept."""
    prompt: Literal["zero-shot", "few-shot", "label-given"] = "label-given"
    structured: bool = False
    """Ask for a JSON object: label, explanation, evidence quotes."""
    examples: Path | None = None
    """A table of expert-written examples for few-shot: set, question, text, label, explanation."""
    shots: PositiveInt = 4
    """Examples in a few-shot prompt, drawn by seed, balanced over labels."""
    splits: tuple[Split, ...] = Field(default=SPLITS, min_length=1)
    """Whose posts are asked about."""
    max_concurrency: PositiveInt = 64
    """The most calls at a time; fewer where the server pushes back."""
    timeout: PositiveFloat = 120.0
    """Seconds that one call may take."""
    max_attempts: PositiveInt = 6
    """Attempts per request before it counts as failed."""
    budget: Price | None = None
    """The most that all calls in the ledger may cost; checked before each call is sent."""
    allow_remote: tuple[str, ...] = ()
    """Sets with an agreement that may be sent to a remote teacher all the same."""
    ledger: Path | None = None
    """The file of paid answers; None: ledger.sqlite in the run's folder."""
    use_batch_api: bool = False
    """Write the provider's batch files and read its result files, instead of calling."""

    @model_validator(mode="after")
    def _check_combinations(self) -> Teach:
        if (self.prompt == "few-shot") != (self.examples is not None):
            raise ValueError("few-shot prompts and an examples file go together")
        specs = [teacher.spec.rstrip("/") for teacher in self.teacher]
        if len(set(specs)) < len(specs):
            raise ValueError("the same teacher is named twice")
        unpriced = [each.spec for each in self.teacher if each.remote and each.input_price is None]
        if self.budget is not None and unpriced:
            raise ValueError(f"a budget needs input_price and output_price of {unpriced[0]}")
        if self.prompt == "few-shot" and not all(each.remote for each in self.teacher):
            raise ValueError("few-shot needs a remote teacher; the embedded one reads no examples")
        return self
