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
from mentallama.llm_api.types import Answer
from mentallama.teach.requests import Asked, Lesson, call_of
from mentallama.teach.template_teacher import Embedded

OpenAnalyst = Callable[[str], LinearAnalyst]
"""From a spec, `embedded` or `linear:DIR`, to the analyst behind it."""


class Answers(Protocol):
    """A teacher whose answers are there to be read; `model` is what its responses name."""

    @property
    def model(self) -> str: ...

    def read(self, batch: Sequence[Asked]) -> list[Answer]:
        """One answer a question, in their order."""
        ...


@dataclass(frozen=True)
class FromLedger:
    """A remote teacher: its answers stand in the ledger."""

    model: str
    lesson: Lesson
    endpoint: Endpoint
    ledger: Ledger

    def read(self, batch: Sequence[Asked]) -> list[Answer]:
        hashes = [call_of(self.lesson, self.endpoint, each).hash for each in batch]
        answers = self.ledger.read(hashes)
        if not answers.keys() >= set(hashes):
            raise MentallamaError(
                f"{self.ledger.path}: an answer of {self.model} is no longer in the ledger; the same command asks again"
            )
        return [answers[key] for key in hashes]


@dataclass(frozen=True)
class Written:
    """An embedded teacher: its answers are written as they are read."""

    embedded: Embedded

    @property
    def model(self) -> str:
        return self.embedded.model

    def read(self, batch: Sequence[Asked]) -> list[Answer]:
        return [self._answer(each) for each in batch]

    def _answer(self, each: Asked) -> Answer:
        if not self.embedded.answers(each.example):
            return Answer(
                hash="", example_id=each.example.id, model=self.model, state="aside", reason=UNTRAINED
            )
        text = self.embedded.respond(each.example, each.task)
        return Answer(
            hash="",
            example_id=each.example.id,
            model=self.model,
            state="answered",
            text=text,
            finish_reason="stop",
        )


UNTRAINED = "the linear analyst was not trained on this question"


def open_endpoints(teachers: Sequence[Teacher], environ: Mapping[str, str]) -> dict[str, Endpoint]:
    """The remote teachers' endpoints, by spec; nothing is sent."""
    return {teacher.spec: open_endpoint(teacher, environ) for teacher in teachers if teacher.remote}


def all_answers(
    lesson: Lesson, endpoints: Mapping[str, Endpoint], ledger: Ledger | None, open_analyst: OpenAnalyst
) -> list[Answers]:
    """The teachers in the recipe's order."""
    names = dict(zip(endpoints, names_of(list(endpoints.values())), strict=True))
    teachers: list[Answers] = []
    for teacher in lesson.settings.teacher:
        endpoint = endpoints.get(teacher.spec)
        if endpoint is None:
            teachers.append(Written(_embedded(lesson, teacher.spec, open_analyst)))
        else:
            assert ledger is not None
            teachers.append(FromLedger(names[teacher.spec], lesson, endpoint, ledger))
    return teachers


def names_of(endpoints: Sequence[Endpoint]) -> list[str]:
    """What responses call each endpoint, no two the same: the model, if need be with its host, or with all its URL.

    Responses are told apart by these names alone.
    """
    models = [endpoint.model for endpoint in endpoints]
    hosts = [f"{endpoint.model}@{endpoint.host}" for endpoint in endpoints]
    unlike = (names for names in (models, hosts) if len(set(names)) == len(names))
    return next(unlike, [f"{endpoint.model}@{endpoint.url}" for endpoint in endpoints])


def _embedded(lesson: Lesson, spec: str, open_analyst: OpenAnalyst) -> Embedded:
    kind, analyst = spec.partition(":")[0], open_analyst(spec)
    digest = analyst.name.partition(":")[2]
    return Embedded(analyst, f"{kind}:{digest}", lesson.settings.prompt, lesson.settings.structured)
