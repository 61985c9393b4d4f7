"""Estimate the cost of filling scales before anything is sent, as if nothing were sent back."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import replace
from itertools import islice

from mentallama.llm_api.cost_estimate import (
    TYPICAL_ANSWER_TOKENS,
    CostEstimate,
    estimate_requests,
    sampling_step,
)
from mentallama.llm_api.dialogues import Ask
from mentallama.llm_api.endpoint import Endpoint
from mentallama.llm_api.types import Completion, Request
from mentallama.teach.requests import LabelledQuestion, labelled_questions
from mentallama.teach.scales.filling import CHECKER
from mentallama.teach.scales.teacher import ROLES, ScaleTeacher

TYPICAL_ITEM_TOKENS, TYPICAL_CHECK_TOKENS = 60, 10
"""Tokens of a filled item (a level, a sentence and a quotation, as JSON), and of a check without objections."""

QUOTED_WORDS = 6
"""Words of the quotation in a filled item."""


def estimate_scale_costs(teacher: ScaleTeacher, n_questions: int) -> list[CostEstimate]:
    """Estimate from questions that are evenly spaced over all `n_questions`, by endpoint.

    Every item is taken to be filled, and no item to be sent back. There is no maximal cost: see `revisions_note`.
    """
    sampled: dict[str, list[tuple[Request, int]]] = defaultdict(list)
    questions = list(islice(labelled_questions(teacher.job), 0, None, sampling_step(n_questions)))
    for question in questions:
        for role, request, n_tokens in _expected_requests(teacher, question):
            sampled[role].append((request, n_tokens))
    scale = n_questions / len(questions) if questions else 0.0
    return [
        replace(estimate_requests(endpoint, requests, scale, teacher.ledger.known_hashes), max_cost=None)
        for endpoint, requests in _by_endpoint(teacher, sampled)
    ]


def revisions_note(teacher: ScaleTeacher) -> str:
    """A sentence on the requests that an estimate leaves out."""
    total = teacher.job.settings.scale.max_total_revisions
    return (
        f"revisions and further checks come on top: at most {total} revisions a post, each followed by at most one "
        "check; only a budget bounds the cost"
    )


def _by_endpoint(
    teacher: ScaleTeacher, sampled: dict[str, list[tuple[Request, int]]]
) -> list[tuple[Endpoint, list[tuple[Request, int]]]]:
    """The requests of both roles together if one endpoint has both."""
    grouped: list[tuple[Endpoint, list[tuple[Request, int]]]] = []
    for role in ROLES:
        endpoint = teacher.endpoints[role]
        same = next((requests for other, requests in grouped if other == endpoint), None)
        if same is None:
            grouped.append((endpoint, sampled[role]))
        else:
            same.extend(sampled[role])
    return grouped


def _expected_requests(teacher: ScaleTeacher, question: LabelledQuestion) -> list[tuple[str, Request, int]]:
    """Role, request and tokens of the reply, for every request of a question; known completions are used."""
    dialogue, expected = teacher.dialogue(question), []
    scale = teacher.scales[question.task.set, question.example.question].scale
    level = next(iter(scale.levels))
    try:
        asks = next(dialogue)
        while True:
            expected += [(ask.role, ask.request, _reply_tokens(ask)) for ask in asks]
            known = teacher.ledger.get_completions([ask.request.hash for ask in asks])
            asks = dialogue.send(
                [known.get(ask.request.hash) or _guess(ask, question, level) for ask in asks]
            )
    except StopIteration:
        pass
    if question.task.kind != "scale" and expected:
        role, request, _ = expected[-1]
        expected[-1] = (role, request, TYPICAL_ANSWER_TOKENS)
    return expected


def _reply_tokens(ask: Ask) -> int:
    return TYPICAL_CHECK_TOKENS if ask.role == CHECKER else TYPICAL_ITEM_TOKENS


def _guess(ask: Ask, question: LabelledQuestion, level: str) -> Completion:
    """A reply that fills the item with the first words of the post, or has no objections."""
    quotation = " ".join(question.example.text.split()[:QUOTED_WORDS])
    filled: dict[str, object] = {"level": level, "statement": "The writer says so.", "evidence": [quotation]}
    reply = {"objections": []} if ask.role == CHECKER else filled
    return Completion(
        hash=ask.request.hash,
        example_id=ask.request.example_id,
        model="",
        state="answered",
        text=json.dumps(reply, ensure_ascii=False),
        finish_reason="stop",
    )
