"""A teacher that fills scales item by item, as a source of answers; what it was asked is in the ledger."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mentallama.llm_api.dialogues import Dialogue, replay
from mentallama.llm_api.endpoint import Endpoint
from mentallama.llm_api.ledger.ledger import Ledger
from mentallama.teach.answer_source import TeacherAnswer, missing_completion
from mentallama.teach.requests import LabelledQuestion, TeachJob, labelled_questions
from mentallama.teach.scales.definition import QuestionScale
from mentallama.teach.scales.filling import CHECKER, TEACHER, RevisionLimits
from mentallama.teach.scales.questions import ScaleAnswer, ScaleQuestion

ROLES = (TEACHER, CHECKER)


@dataclass(frozen=True)
class ScaleTeacher:
    """A teacher and its checker. `scales` is by set and question, `endpoints` by role."""

    model: str
    job: TeachJob
    scales: Mapping[tuple[str, str], QuestionScale]
    endpoints: Mapping[str, Endpoint]
    ledger: Ledger

    def dialogue(self, question: LabelledQuestion) -> Dialogue[ScaleAnswer]:
        """Start the dialogue about a question."""
        settings = self.job.settings
        asked = ScaleQuestion(
            question,
            self.scales[question.task.set, question.example.question],
            RevisionLimits(settings.scale.max_revisions, settings.scale.max_total_revisions),
            settings.structured,
            self.endpoints,
        )
        return asked.dialogue(self.model)

    def dialogues(self) -> Iterator[Dialogue[ScaleAnswer]]:
        """Start the dialogues about all questions of the job."""
        return map(self.dialogue, labelled_questions(self.job))

    def answers_to(self, batch: Sequence[LabelledQuestion]) -> list[TeacherAnswer]:
        """The answers, replayed from the ledger."""
        return list(map(self._answer_to, batch))

    def _answer_to(self, question: LabelledQuestion) -> TeacherAnswer:
        replayed = replay(self.dialogue(question), self.ledger.get_completions)
        if replayed.result is None:
            raise missing_completion(self.ledger, self.model)
        requests = tuple(completion for _, completion in replayed.completed)
        return TeacherAnswer(replayed.result.completion, requests, replayed.result.trace)
