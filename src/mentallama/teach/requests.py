"""What a teacher is asked: every labelled question of the posts, and the request that asks it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mentallama.config import Teach, Teacher
from mentallama.files.record_files import read_records
from mentallama.llm_api.endpoint import Endpoint
from mentallama.llm_api.types import Call, call_hash
from mentallama.prompts import Shot, response_format, teacher_prompt
from mentallama.records import Example, Form, Post, example_of
from mentallama.tasks import Task, find_task
from mentallama.teach.few_shot import Draw
from mentallama.text.fingerprint import key_of
from mentallama.text.pii import scrub


@dataclass(frozen=True)
class Lesson:
    """All that a run asks about, and how.

    `posts` is a file of posts; `draws` draws the examples of a few-shot prompt, by set and question.
    """

    posts: Path
    tasks: Mapping[str, Task]
    settings: Teach
    form: Form = "instruction"
    seed: int = 7
    draws: Mapping[tuple[str, str], Draw] = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    """One question about one post; `example.label` is the set's own label."""

    post: Post
    example: Example
    task: Task


def asked(lesson: Lesson) -> Iterator[Asked]:
    """Every labelled question of the posts of the lesson's splits, in the order of posts and of a task's questions."""
    for post in read_records(lesson.posts, Post):
        if post.split in lesson.settings.splits and post.labels:
            task = find_task(post.set, lesson.tasks)
            for question in task.questions:
                if question in post.labels:
                    yield Asked(post, example_of(post, question, lesson.form), task)


def calls(lesson: Lesson, endpoint: Endpoint, questions: Iterable[Asked]) -> Iterator[Call]:
    """The questions as calls to one endpoint, streaming."""
    for each in questions:
        yield call_of(lesson, endpoint, each)


def call_of(lesson: Lesson, endpoint: Endpoint, each: Asked) -> Call:
    """One question as a call. Its hash follows from the URL and the body alone: how answers are read plays no part."""
    body = write_request(lesson, endpoint, each)
    return Call(
        hash=call_hash(endpoint.url, body),
        body=body,
        example_id=each.example.id,
        post_id=each.post.id,
        author=each.post.author,
        task=each.task.set,
        question=each.example.question,
        label=each.example.label,
    )


def write_request(lesson: Lesson, endpoint: Endpoint, each: Asked) -> dict[str, Any]:
    """The body of a chat completion. The post is scrubbed once more, whoever wrote the file of posts."""
    settings, teacher = lesson.settings, endpoint.teacher
    messages = teacher_prompt(
        each.task,
        each.example.question,
        scrub(each.example.text)[0],
        settings.prompt,
        label=each.example.label if settings.prompt == "label-given" else None,
        shots=_shots(lesson, each),
        structured=settings.structured,
    )
    body = {
        "model": endpoint.model,
        "messages": messages,
        "max_tokens": teacher.max_tokens,
        "temperature": teacher.temperature,
        **_format(settings, teacher, each.task),
        **teacher.options,
    }
    return {key: value for key, value in body.items() if value is not None}


def _shots(lesson: Lesson, each: Asked) -> tuple[Shot, ...]:
    draw = lesson.draws.get((each.task.set, each.example.question))
    return () if draw is None else draw(key_of(each.example.text))


def _format(settings: Teach, teacher: Teacher, task: Task) -> dict[str, Any]:
    return {"response_format": response_format(task, teacher.schema_mode)} if settings.structured else {}
