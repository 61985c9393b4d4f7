"""Questions that teachers are asked: every labelled question of the posts, and the request that asks it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mentallama.config import Teach
from mentallama.files.record_files import read_records
from mentallama.llm_api.chat_body import chat_body
from mentallama.llm_api.endpoint import Endpoint
from mentallama.llm_api.types import Request, request_hash
from mentallama.prompts import FewShotExample, response_format, teacher_prompt
from mentallama.prompts.few_shot import ShotSampler
from mentallama.records import Example, Form, Post, example_of
from mentallama.tasks import Task, find_task
from mentallama.text.fingerprint import text_key
from mentallama.text.pii import scrub


@dataclass(frozen=True)
class TeachJob:
    """Posts, tasks and settings of a run.

    `posts` is a file of posts; `shot_samplers` draw the examples of few-shot prompts, by set and question.
    """

    posts: Path
    tasks: Mapping[str, Task]
    settings: Teach
    form: Form = "instruction"
    seed: int = 7
    shot_samplers: Mapping[tuple[str, str], ShotSampler] = field(default_factory=dict)


@dataclass(frozen=True)
class LabelledQuestion:
    """One question about one post; `example.label` is the label in the data set."""

    post: Post
    example: Example
    task: Task


def labelled_questions(job: TeachJob) -> Iterator[LabelledQuestion]:
    """Yield every labelled question of the posts in the job's splits, by post, then in the task's order."""
    for post in read_records(job.posts, Post):
        if post.split in job.settings.splits and post.labels:
            task = find_task(post.set, job.tasks)
            for question in task.questions:
                if question in post.labels:
                    yield LabelledQuestion(post, example_of(post, question, job.form), task)


def count_real_posts(questions: Iterable[LabelledQuestion]) -> Counter[str]:
    """Number of questions about posts by real people (not synthetic ones), by set."""
    return Counter(question.post.set for question in questions if not question.post.provenance.synthetic)


def build_requests(
    job: TeachJob, endpoint: Endpoint, questions: Iterable[LabelledQuestion]
) -> Iterator[Request]:
    """Yield the request of each question to one endpoint."""
    for question in questions:
        yield build_request(job, endpoint, question)


def build_request(job: TeachJob, endpoint: Endpoint, question: LabelledQuestion) -> Request:
    """Build the request of one question. Its hash depends on URL and body alone, not on how answers are parsed."""
    return make_request(endpoint, question, build_chat_body(job, endpoint, question))


def make_request(endpoint: Endpoint, question: LabelledQuestion, body: dict[str, Any]) -> Request:
    """The request with this body, as one about the question and its post."""
    return Request(
        hash=request_hash(endpoint.base_url, body),
        body=body,
        example_id=question.example.id,
        post_id=question.post.id,
        author=question.post.author,
        task=question.task.set,
        question=question.example.question,
        label=question.example.label,
    )


def build_chat_body(job: TeachJob, endpoint: Endpoint, question: LabelledQuestion) -> dict[str, Any]:
    """Build the body of a chat completion. The post is scrubbed again, wherever the file of posts comes from."""
    settings, example = job.settings, question.example
    messages = teacher_prompt(
        question.task,
        example.question,
        scrub(example.text)[0],
        settings.prompt,
        label=example.label if settings.prompt == "label-given" else None,
        shots=_sample_shots(job, question),
        structured=settings.structured,
    )
    mode = endpoint.settings.schema_mode
    return chat_body(
        endpoint, messages, response_format(question.task, mode) if settings.structured else None
    )


def _sample_shots(job: TeachJob, question: LabelledQuestion) -> tuple[FewShotExample, ...]:
    sample = job.shot_samplers.get((question.task.set, question.example.question))
    return () if sample is None else sample(text_key(question.example.text))
