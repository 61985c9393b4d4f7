"""Second pass of the stage: write responses from completions, in the order of posts, questions and teachers.

It reads completions and sends nothing, so a change in how answers are parsed affects this pass alone. One batch of
questions is in memory at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from pydantic import BaseModel

from mentallama.answers.parse import read_answer
from mentallama.files.record_files import record_writer
from mentallama.llm_api.types import Completion
from mentallama.parallel import batched
from mentallama.progress import progress_bar
from mentallama.records import FailedRequest, Reading, Record, Response
from mentallama.run_files import (
    FAILED_REQUESTS_FILE,
    RESPONSES_FILE,
    SCALE_TRACES_FILE,
    TEACHER_DISAGREEMENTS_FILE,
)
from mentallama.teach.answer_source import AnswerSource, TeacherAnswer
from mentallama.teach.requests import LabelledQuestion, TeachJob, labelled_questions
from mentallama.teach.summary import TeachCounter

QUESTION_BATCH = 256
"""Questions whose completions are looked up together."""

WriteRecord = Callable[[BaseModel], None]


class Disagreement(Record):
    """A question that teachers answered with different labels: the label of each answer that could be parsed."""

    example_id: str
    labels: dict[str, str]


def compose_responses(
    job: TeachJob, sources: Sequence[AnswerSource], out: Path, n_questions: int
) -> TeachCounter:
    """Write responses, failed requests, disagreements and, if scales were filled, traces; return the counts."""
    counter = TeachCounter()
    models = [source.model for source in sources]
    names = [RESPONSES_FILE, FAILED_REQUESTS_FILE, TEACHER_DISAGREEMENTS_FILE]
    with ExitStack() as files:
        if job.settings.method == "item-by-item":
            names.append(SCALE_TRACES_FILE)
        writers = {name: files.enter_context(record_writer(out / name)) for name in names}
        advance = files.enter_context(progress_bar("teach: write", n_questions, unit="questions"))
        for batch in batched(labelled_questions(job), QUESTION_BATCH):
            by_source = [source.answers_to(batch) for source in sources]
            for question, *answers in zip(batch, *by_source, strict=True):
                _write_question(question, dict(zip(models, answers, strict=True)), writers, counter)
            advance(len(batch))
    return counter


def _write_question(
    question: LabelledQuestion,
    answers: dict[str, TeacherAnswer],
    writers: Mapping[str, WriteRecord],
    counter: TeachCounter,
) -> None:
    """Write and count the answers to one question, by model."""
    example_id, labels = question.example.id, {}
    counter.questions += 1
    for model, answer in answers.items():
        if answer.completion.state == "failed":
            reason = answer.completion.reason or "no reason"
            writers[FAILED_REQUESTS_FILE](FailedRequest(example_id=example_id, model=model, reason=reason))
            counter.add(model, question, answer, "failed")
            continue
        response = make_response(question, model, answer.completion)
        reading = _parse_response(question, response)
        writers[RESPONSES_FILE](response)
        if answer.trace is not None:
            writers[SCALE_TRACES_FILE](answer.trace)
        counter.add(model, question, answer, reading.status)
        if reading.label is not None:
            labels[model] = reading.label
    if len(set(labels.values())) > 1:
        writers[TEACHER_DISAGREEMENTS_FILE](Disagreement(example_id=example_id, labels=labels))
        counter.disagreements += 1


def make_response(question: LabelledQuestion, model: str, completion: Completion) -> Response:
    """Turn a completion into a response. Refusals, which providers report in many ways, get one of two reasons."""
    finish_reason = completion.finish_reason
    if completion.state == "refused":
        finish_reason = "refusal" if completion.reason == "refusal" else "content_filter"
    return Response(
        example_id=question.example.id,
        text=completion.text,
        model=model,
        finish_reason=finish_reason,
        usage=completion.usage,
        request_hash=completion.hash or None,
    )


def _parse_response(question: LabelledQuestion, response: Response) -> Reading:
    return read_answer(question.task, response.text, question.example.form, response.finish_reason)
