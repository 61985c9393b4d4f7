"""The second pass: responses from what was answered, in the order of posts, questions and teachers.

It reads the ledger and calls nobody, so a change in how answers are read is a matter of this pass alone. Memory holds
one batch of questions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from pydantic import BaseModel

from mentallama.answers.parse import read_answer
from mentallama.files.record_files import record_writer
from mentallama.llm_api.types import Completion
from mentallama.parallel import batched
from mentallama.progress import progress_bar
from mentallama.records import Reading, Record, Response
from mentallama.run_files import FAILED_REQUESTS_FILE, RESPONSES_FILE, TEACHER_DISAGREEMENTS_FILE
from mentallama.teach.requests import LabelledQuestion, TeachJob, labelled_questions
from mentallama.teach.summary import TeachCounter
from mentallama.teach.teachers import CompletionSource

QUESTION_BATCH = 256
"""Questions whose answers are looked up together."""


class FailedRequest(Record):
    """A question without an answer, and why."""

    example_id: str
    model: str
    reason: str


class Disagreement(Record):
    """A question that teachers answer differently: each one's label, where its answer could be read."""

    example_id: str
    labels: dict[str, str]


WriteRecord = Callable[[BaseModel], None]


def compose_responses(
    lesson: TeachJob, sources: Sequence[CompletionSource], out: Path, questions: int
) -> TeachCounter:
    """Write the stage's files; returns the counts."""
    tallied = TeachCounter()
    with ExitStack() as files:
        writers = [
            files.enter_context(record_writer(out / name))
            for name in (RESPONSES_FILE, FAILED_REQUESTS_FILE, TEACHER_DISAGREEMENTS_FILE)
        ]
        advance = files.enter_context(progress_bar("teach: write", questions))
        for batch in batched(labelled_questions(lesson), QUESTION_BATCH):
            answers = [teacher.completions_for(batch) for teacher in sources]
            for each, *given in zip(batch, *answers, strict=True):
                models = [teacher.model for teacher in sources]
                _write_question(each, dict(zip(models, given, strict=True)), writers, tallied)
            advance(len(batch))
    return tallied


def _write_question(
    each: LabelledQuestion,
    answers: dict[str, Completion],
    writers: Sequence[WriteRecord],
    tallied: TeachCounter,
) -> None:
    """All answers to one question."""
    respond, set_aside, disagree = writers
    labels = {}
    tallied.questions += 1
    for model, answer in answers.items():
        if answer.state == "failed":
            set_aside(
                FailedRequest(example_id=each.example.id, model=model, reason=answer.reason or "no reason")
            )
            tallied.add(model, each, answer, "failed")
            continue
        response = make_response(each, model, answer)
        reading = _parse_response(each, response)
        respond(response)
        tallied.add(model, each, answer, reading.status)
        if reading.label is not None:
            labels[model] = reading.label
    if len(set(labels.values())) > 1:
        disagree(Disagreement(example_id=each.example.id, labels=labels))
        tallied.disagreements += 1


def make_response(each: LabelledQuestion, model: str, answer: Completion) -> Response:
    """An answer as a response. A provider tells of a refusal in many ways; the record has two words for it."""
    finish = answer.finish_reason
    if answer.state == "refused":
        finish = "refusal" if answer.reason == "refusal" else "content_filter"
    return Response(
        example_id=each.example.id,
        text=answer.text,
        model=model,
        finish_reason=finish,
        usage=answer.usage,
        request_hash=answer.hash or None,
    )


def _parse_response(each: LabelledQuestion, response: Response) -> Reading:
    return read_answer(each.task, response.text, each.example.form, response.finish_reason)
