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
from mentallama.files.record_files import writing
from mentallama.llm_api.types import Answer
from mentallama.parallel import batches
from mentallama.progress import progress
from mentallama.records import Reading, Record, Response
from mentallama.teach.requests import Asked, Lesson, asked
from mentallama.teach.summary import Tallied
from mentallama.teach.teachers import Answers

RESPONSES, SET_ASIDE, DISAGREEMENTS = "responses.jsonl.zst", "set_aside.jsonl", "disagreements.jsonl"

BATCH = 256
"""Questions whose answers are looked up together."""


class SetAside(Record):
    """A question without an answer, and why."""

    example_id: str
    model: str
    reason: str


class Disagreement(Record):
    """A question that teachers answer differently: each one's label, where its answer could be read."""

    example_id: str
    labels: dict[str, str]


Write = Callable[[BaseModel], None]


def compose(lesson: Lesson, teachers: Sequence[Answers], out: Path, questions: int) -> Tallied:
    """Write the stage's files; returns the counts."""
    tallied = Tallied()
    with ExitStack() as files:
        writers = [files.enter_context(writing(out / name)) for name in (RESPONSES, SET_ASIDE, DISAGREEMENTS)]
        advance = files.enter_context(progress("teach: write", questions))
        for batch in batches(asked(lesson), BATCH):
            answers = [teacher.read(batch) for teacher in teachers]
            for each, *given in zip(batch, *answers, strict=True):
                models = [teacher.model for teacher in teachers]
                _write(each, dict(zip(models, given, strict=True)), writers, tallied)
            advance(len(batch))
    return tallied


def _write(each: Asked, answers: dict[str, Answer], writers: Sequence[Write], tallied: Tallied) -> None:
    """All answers to one question."""
    respond, set_aside, disagree = writers
    labels = {}
    tallied.questions += 1
    for model, answer in answers.items():
        if answer.state == "aside":
            set_aside(SetAside(example_id=each.example.id, model=model, reason=answer.reason or "no reason"))
            tallied.add(model, each, answer, "aside")
            continue
        response = response_of(each, model, answer)
        reading = _read(each, response)
        respond(response)
        tallied.add(model, each, answer, reading.status)
        if reading.label is not None:
            labels[model] = reading.label
    if len(set(labels.values())) > 1:
        disagree(Disagreement(example_id=each.example.id, labels=labels))
        tallied.disagreements += 1


def response_of(each: Asked, model: str, answer: Answer) -> Response:
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


def _read(each: Asked, response: Response) -> Reading:
    return read_answer(each.task, response.text, each.example.form, response.finish_reason)
