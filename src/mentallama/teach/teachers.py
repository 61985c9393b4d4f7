"""Who answers: the teachers of a recipe, each with one way to get its answers to a batch of questions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from mentallama.analysts.linear.analyst import LinearAnalyst
from mentallama.config import Teacher
from mentallama.errors import MentallamaError
from mentallama.llm_api.endpoint import Endpoint, open_endpoint
from mentallama.llm_api.ledger.ledger import Ledger
from mentallama.llm_api.types import Completion
from mentallama.teach.requests import LabelledQuestion, TeachJob, build_request
from mentallama.teach.template_teacher import TemplateTeacher

AnalystLoader = Callable[[str], LinearAnalyst]
"""From a spec, `embedded` or `linear:DIR`, to the analyst behind it."""


class CompletionSource(Protocol):
    """A teacher whose answers are there to be read; `model` is what its responses name."""

    @property
    def model(self) -> str: ...

    def completions_for(self, batch: Sequence[LabelledQuestion]) -> list[Completion]:
        """One answer a question, in their order."""
        ...


@dataclass(frozen=True)
class LedgerSource:
    """A remote teacher: its answers stand in the ledger."""

    model: str
    job: TeachJob
    endpoint: Endpoint
    ledger: Ledger

    def completions_for(self, batch: Sequence[LabelledQuestion]) -> list[Completion]:
        hashes = [build_request(self.job, self.endpoint, each).hash for each in batch]
        answers = self.ledger.get_completions(hashes)
        if not answers.keys() >= set(hashes):
            raise MentallamaError(
                f"{self.ledger.path}: an answer of {self.model} is no longer in the ledger; the same command asks again"
            )
        return [answers[key] for key in hashes]


@dataclass(frozen=True)
class TemplateSource:
    """An embedded teacher: its answers are written as they are read."""

    teacher: TemplateTeacher

    @property
    def model(self) -> str:
        return self.teacher.model

    def completions_for(self, batch: Sequence[LabelledQuestion]) -> list[Completion]:
        return [self._completion(each) for each in batch]

    def _completion(self, each: LabelledQuestion) -> Completion:
        if not self.teacher.supports(each.example):
            return Completion(
                hash="", example_id=each.example.id, model=self.model, state="failed", reason=UNTRAINED_REASON
            )
        text = self.teacher.respond(each.example, each.task)
        return Completion(
            hash="",
            example_id=each.example.id,
            model=self.model,
            state="answered",
            text=text,
            finish_reason="stop",
        )


UNTRAINED_REASON = "the linear analyst was not trained on this question"


def open_endpoints(teachers: Sequence[Teacher], environ: Mapping[str, str]) -> dict[str, Endpoint]:
    """The remote teachers' endpoints, by spec; nothing is sent."""
    return {
        teacher.spec: open_endpoint(teacher.spec, teacher, environ) for teacher in teachers if teacher.remote
    }


def completion_sources(
    lesson: TeachJob, endpoints: Mapping[str, Endpoint], ledger: Ledger | None, open_analyst: AnalystLoader
) -> list[CompletionSource]:
    """The teachers in the recipe's order."""
    names = dict(zip(endpoints, unique_names(list(endpoints.values())), strict=True))
    teachers: list[CompletionSource] = []
    for teacher in lesson.settings.teacher:
        endpoint = endpoints.get(teacher.spec)
        if endpoint is None:
            teachers.append(TemplateSource(_template_teacher(lesson, teacher.spec, open_analyst)))
        else:
            assert ledger is not None
            teachers.append(LedgerSource(names[teacher.spec], lesson, endpoint, ledger))
    return teachers


def unique_names(endpoints: Sequence[Endpoint]) -> list[str]:
    """What responses call each endpoint, no two the same: the model, if need be with its host, or with all its URL.

    Responses are told apart by these names alone.
    """
    models = [endpoint.model for endpoint in endpoints]
    hosts = [f"{endpoint.model}@{endpoint.host}" for endpoint in endpoints]
    unlike = (names for names in (models, hosts) if len(set(names)) == len(names))
    return next(unlike, [f"{endpoint.model}@{endpoint.base_url}" for endpoint in endpoints])


def _template_teacher(lesson: TeachJob, spec: str, open_analyst: AnalystLoader) -> TemplateTeacher:
    kind, analyst = spec.partition(":")[0], open_analyst(spec)
    digest = analyst.name.partition(":")[2]
    return TemplateTeacher(analyst, f"{kind}:{digest}", lesson.settings.prompt, lesson.settings.structured)
