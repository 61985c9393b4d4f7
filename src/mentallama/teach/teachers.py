"""Teachers of a recipe, each as a source of answers to batches of questions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mentallama.analysts.linear.analyst import LinearAnalyst
from mentallama.config import Teacher
from mentallama.llm_api.endpoint import Endpoint, open_endpoint
from mentallama.llm_api.ledger.ledger import Ledger
from mentallama.llm_api.transport.scripted import open_scripted_endpoint
from mentallama.llm_api.types import Completion
from mentallama.teach.answer_source import AnswerSource, TeacherAnswer, missing_completion
from mentallama.teach.requests import LabelledQuestion, TeachJob, build_request
from mentallama.teach.template_teacher import TemplateTeacher

AnalystLoader = Callable[[Teacher], LinearAnalyst]
"""Loads the analyst of a teacher `embedded` or `linear:DIR`."""

UNTRAINED_REASON = "the linear analyst was not trained on this question"


@dataclass(frozen=True)
class LedgerSource:
    """A remote teacher: its completions are in the ledger."""

    model: str
    job: TeachJob
    endpoint: Endpoint
    ledger: Ledger

    def answers_to(self, batch: Sequence[LabelledQuestion]) -> list[TeacherAnswer]:
        hashes = [build_request(self.job, self.endpoint, question).hash for question in batch]
        completions = self.ledger.get_completions(hashes)
        if not completions.keys() >= set(hashes):
            raise missing_completion(self.ledger, self.model)
        return [TeacherAnswer(completions[key], (completions[key],)) for key in hashes]


@dataclass(frozen=True)
class TemplateSource:
    """A template teacher: its completions are written on demand."""

    teacher: TemplateTeacher

    @property
    def model(self) -> str:
        return self.teacher.model

    def answers_to(self, batch: Sequence[LabelledQuestion]) -> list[TeacherAnswer]:
        return [TeacherAnswer(self._completion(question)) for question in batch]

    def _completion(self, question: LabelledQuestion) -> Completion:
        example = question.example
        if not self.teacher.supports(example):
            return Completion(
                hash="", example_id=example.id, model=self.model, state="failed", reason=UNTRAINED_REASON
            )
        return Completion(
            hash="",
            example_id=example.id,
            model=self.model,
            state="answered",
            text=self.teacher.respond(example, question.task),
            finish_reason="stop",
        )


def open_endpoints(teachers: Sequence[Teacher], environ: Mapping[str, str]) -> dict[str, Endpoint]:
    """Open the endpoints of those that take requests, by spec; nothing is sent."""
    return {
        teacher.spec: open_scripted_endpoint(Path(teacher.location), teacher)
        if teacher.kind == "scripted"
        else open_endpoint(teacher.spec, teacher, environ)
        for teacher in teachers
        if teacher.takes_requests
    }


def answer_sources(
    job: TeachJob, endpoints: Mapping[str, Endpoint], ledger: Ledger | None, load_analyst: AnalystLoader
) -> list[AnswerSource]:
    """One source per teacher, in the recipe's order."""
    names = dict(zip(endpoints, unique_names(list(endpoints.values())), strict=True))
    sources: list[AnswerSource] = []
    for teacher in job.settings.teacher:
        endpoint = endpoints.get(teacher.spec)
        if endpoint is None:
            sources.append(TemplateSource(_template_teacher(job, teacher, load_analyst)))
        else:
            assert ledger is not None
            sources.append(LedgerSource(names[teacher.spec], job, endpoint, ledger))
    return sources


def with_settled_options(
    sources: Sequence[AnswerSource], endpoints: Iterable[Endpoint], settled: Iterable[Endpoint]
) -> list[AnswerSource]:
    """The sources, with remote teachers that look completions up by the settings they were requested with."""
    by_address = {(old.model, old.base_url): new for old, new in zip(endpoints, settled, strict=True)}
    return [
        replace(source, endpoint=by_address[source.endpoint.model, source.endpoint.base_url])
        if isinstance(source, LedgerSource)
        else source
        for source in sources
    ]


def unique_names(endpoints: Sequence[Endpoint]) -> list[str]:
    """Name each endpoint in responses: the model, or MODEL@HOST or MODEL@URL where models have the same name.

    Nothing else distinguishes responses of different endpoints.
    """
    models = [endpoint.model for endpoint in endpoints]
    hosts = [f"{endpoint.model}@{endpoint.host}" for endpoint in endpoints]
    unique = (names for names in (models, hosts) if len(set(names)) == len(names))
    return next(unique, [f"{endpoint.model}@{endpoint.base_url}" for endpoint in endpoints])


def _template_teacher(job: TeachJob, teacher: Teacher, load_analyst: AnalystLoader) -> TemplateTeacher:
    analyst = load_analyst(teacher)
    digest = analyst.name.partition(":")[2]
    return TemplateTeacher(analyst, f"{teacher.kind}:{digest}", job.settings.prompt, job.settings.structured)
