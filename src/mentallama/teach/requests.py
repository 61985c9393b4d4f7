"""What a teacher is asked: every labelled question of the posts, and the request that asks it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mentallama.config import EndpointSettings, Teach
from mentallama.files.record_files import read_records
from mentallama.llm_api.endpoint import Endpoint
from mentallama.llm_api.types import Request, request_hash
from mentallama.prompts import FewShotExample, response_format, teacher_prompt
from mentallama.records import Example, Form, Post, example_of
from mentallama.tasks import Task, find_task
from mentallama.teach.few_shot import ShotSampler
from mentallama.text.fingerprint import text_key
from mentallama.text.pii import scrub


@dataclass(frozen=True)
class TeachJob:
    """All that a run asks about, and how.

    `posts` is a file of posts; `draws` draws the examples of a few-shot prompt, by set and question.
    """

    posts: Path
    tasks: Mapping[str, Task]
    settings: Teach
    form: Form = "instruction"
    seed: int = 7
    shot_samplers: Mapping[tuple[str, str], ShotSampler] = field(default_factory=dict)


@dataclass(frozen=True)
class LabelledQuestion:
    """One question about one post; `example.label` is the set's own label."""

    post: Post
    example: Example
    task: Task


def labelled_questions(job: TeachJob) -> Iterator[LabelledQuestion]:
    """Every labelled question of the posts of the lesson's splits, in the order of posts and of a task's questions."""
    for post in read_records(job.posts, Post):
        if post.split in job.settings.splits and post.labels:
            task = find_task(post.set, job.tasks)
            for question in task.questions:
                if question in post.labels:
                    yield LabelledQuestion(post, example_of(post, question, job.form), task)


def build_requests(
    lesson: TeachJob, endpoint: Endpoint, questions: Iterable[LabelledQuestion]
) -> Iterator[Request]:
    """The questions as calls to one endpoint, streaming."""
    for each in questions:
        yield build_request(lesson, endpoint, each)


def build_request(lesson: TeachJob, endpoint: Endpoint, each: LabelledQuestion) -> Request:
    """One question as a call. Its hash follows from the URL and the body alone: how answers are read plays no part."""
    body = build_chat_body(lesson, endpoint, each)
    return Request(
        hash=request_hash(endpoint.base_url, body),
        body=body,
        example_id=each.example.id,
        post_id=each.post.id,
        author=each.post.author,
        task=each.task.set,
        question=each.example.question,
        label=each.example.label,
    )


def build_chat_body(lesson: TeachJob, endpoint: Endpoint, each: LabelledQuestion) -> dict[str, Any]:
    """The body of a chat completion. The post is scrubbed once more, whoever wrote the file of posts."""
    settings, teacher = lesson.settings, endpoint.settings
    messages = teacher_prompt(
        each.task,
        each.example.question,
        scrub(each.example.text)[0],
        settings.prompt,
        label=each.example.label if settings.prompt == "label-given" else None,
        shots=_sample_shots(lesson, each),
        structured=settings.structured,
    )
    body = {
        "model": endpoint.model,
        "messages": messages,
        "max_tokens": teacher.max_tokens,
        "temperature": teacher.temperature,
        **_response_format_field(settings, teacher, each.task),
        **teacher.extra_body,
    }
    return {key: value for key, value in body.items() if value is not None}


def _sample_shots(lesson: TeachJob, each: LabelledQuestion) -> tuple[FewShotExample, ...]:
    draw = lesson.shot_samplers.get((each.task.set, each.example.question))
    return () if draw is None else draw(text_key(each.example.text))


def _response_format_field(settings: Teach, teacher: EndpointSettings, task: Task) -> dict[str, Any]:
    return {"response_format": response_format(task, teacher.schema_mode)} if settings.structured else {}
