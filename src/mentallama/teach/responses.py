"""Second pass of the stage: write responses from completions, in the order of posts, questions and teachers.

It reads completions and sends nothing, so a change in how answers are parsed affects this pass alone. One batch of
questions is in memory at a time.
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
from mentallama.records import FailedRequest, Reading, Record, Response
from mentallama.run_files import FAILED_REQUESTS_FILE, RESPONSES_FILE, TEACHER_DISAGREEMENTS_FILE
from mentallama.teach.requests import LabelledQuestion, TeachJob, labelled_questions
from mentallama.teach.summary import TeachCounter
from mentallama.teach.teachers import CompletionSource

QUESTION_BATCH = 256
"""Questions whose completions are looked up together."""

WriteRecord = Callable[[BaseModel], None]


class Disagreement(Record):
    """A question that teachers answered with different labels: the label of each answer that could be parsed."""

    example_id: str
    labels: dict[str, str]


def compose_responses(
    job: TeachJob, sources: Sequence[CompletionSource], out: Path, n_questions: int
) -> TeachCounter:
    """Write responses, failed requests and disagreements into `out`; return the counts."""
    counter = TeachCounter()
    models = [source.model for source in sources]
    with ExitStack() as files:
        writers = [
            files.enter_context(record_writer(out / name))
            for name in (RESPONSES_FILE, FAILED_REQUESTS_FILE, TEACHER_DISAGREEMENTS_FILE)
        ]
        advance = files.enter_context(progress_bar("teach: write", n_questions, unit="questions"))
        for batch in batched(labelled_questions(job), QUESTION_BATCH):
            by_source = [source.completions_for(batch) for source in sources]
            for question, *completions in zip(batch, *by_source, strict=True):
                _write_question(question, dict(zip(models, completions, strict=True)), writers, counter)
            advance(len(batch))
    return counter


def _write_question(
    question: LabelledQuestion,
    completions: dict[str, Completion],
    writers: Sequence[WriteRecord],
    counter: TeachCounter,
) -> None:
    """Write and count the completions of one question, by model."""
    write_response, write_failed, write_disagreement = writers
    example_id, labels = question.example.id, {}
    counter.questions += 1
    for model, completion in completions.items():
        if completion.state == "failed":
            reason = completion.reason or "no reason"
            write_failed(FailedRequest(example_id=example_id, model=model, reason=reason))
            counter.add(model, question, completion, "failed")
            continue
        response = make_response(question, model, completion)
        reading = _parse_response(question, response)
        write_response(response)
        counter.add(model, question, completion, reading.status)
        if reading.label is not None:
            labels[model] = reading.label
    if len(set(labels.values())) > 1:
        write_disagreement(Disagreement(example_id=example_id, labels=labels))
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
