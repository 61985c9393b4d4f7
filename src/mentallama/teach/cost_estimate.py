"""Estimate the cost of a teacher before anything is sent."""

from __future__ import annotations

from itertools import islice

from mentallama.llm_api.cost_estimate import (
    TYPICAL_ANSWER_TOKENS,
    CostEstimate,
    estimate_requests,
    sampling_step,
)
from mentallama.llm_api.endpoint import Endpoint
from mentallama.llm_api.ledger.ledger import Ledger
from mentallama.teach.requests import TeachJob, build_request, labelled_questions

TYPICAL_EVIDENCE_TOKENS = 40
"""Additional tokens of a structured answer: its list of quotations and the JSON syntax."""


def estimate_cost(job: TeachJob, endpoint: Endpoint, ledger: Ledger, n_questions: int) -> CostEstimate:
    """Estimate from questions that are evenly spaced over all `n_questions`.

    The number of requests is exact if that covers all of them.
    """
    questions = islice(labelled_questions(job), 0, None, sampling_step(n_questions))
    answer_tokens = TYPICAL_ANSWER_TOKENS + (TYPICAL_EVIDENCE_TOKENS if job.settings.structured else 0)
    sampled = [(build_request(job, endpoint, question), answer_tokens) for question in questions]
    scale = n_questions / len(sampled) if sampled else 0.0
    return estimate_requests(endpoint, sampled, scale, ledger.known_hashes)
