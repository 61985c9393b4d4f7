"""Answers of a teacher to questions, wherever they come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from mentallama.errors import MentallamaError
from mentallama.llm_api.ledger.ledger import Ledger
from mentallama.llm_api.types import Completion
from mentallama.teach.requests import LabelledQuestion
from mentallama.teach.scales.traces import ScaleTrace


@dataclass(frozen=True)
class TeacherAnswer:
    """A teacher's answer to a question, the requests behind it, and how a scale was filled for it."""

    completion: Completion
    requests: tuple[Completion, ...] = ()
    trace: ScaleTrace | None = None


class AnswerSource(Protocol):
    """A teacher whose answers are available; `model` is its name in responses."""

    @property
    def model(self) -> str: ...

    def answers_to(self, batch: Sequence[LabelledQuestion]) -> list[TeacherAnswer]:
        """One answer per question, in the same order."""
        ...


def missing_completion(ledger: Ledger, model: str) -> MentallamaError:
    """The error of a completion that was in the ledger before, and is needed to write an answer."""
    return MentallamaError(
        f"{ledger.path}: an answer of {model} is no longer in the ledger; run the same command again to request it"
    )
