"""The requests that ask a judge for one verdict each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mentallama.explanation_metrics.base import ExplanationCase
from mentallama.explanation_metrics.llm_judge.rubric import judge_prompt, verdict_schema
from mentallama.llm_api.chat_body import chat_body
from mentallama.llm_api.endpoint import Endpoint
from mentallama.llm_api.types import Request, request_hash
from mentallama.prompts import json_response_format
from mentallama.tasks import Task

Key = tuple[int, int]
"""The number of a case, and the number of a sample of it."""


def judge_requests(
    endpoint: Endpoint, cases: Sequence[ExplanationCase], tasks: Mapping[str, Task], samples: int
) -> Iterator[tuple[Key, Request]]:
    """Yield the requests for `samples` verdicts on each case."""
    for number, case in enumerate(cases):
        body = _request_body(endpoint, case, tasks[case.example.task])
        for sample in range(samples):
            yield (number, sample), _build_request(endpoint, case, body, sample)


def _request_body(endpoint: Endpoint, case: ExplanationCase, task: Task) -> dict[str, Any]:
    response_format = json_response_format("verdict", verdict_schema(), endpoint.settings.schema_mode)
    return chat_body(endpoint, judge_prompt(case, task), response_format)


def _build_request(endpoint: Endpoint, case: ExplanationCase, body: dict[str, Any], sample: int) -> Request:
    """One request; those for the samples of a case differ in their hash alone, so that each is asked and kept."""
    example = case.example
    return Request(
        hash=request_hash(endpoint.base_url, {"example": example.id, "sample": sample, **body}),
        body=body,
        example_id=example.id,
        post_id=example.post_id,
        task=example.task,
        question=example.question,
        label=case.reading.label,
    )
