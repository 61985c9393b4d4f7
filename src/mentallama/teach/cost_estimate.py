"""What a run will cost, estimated before anything is sent."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from mentallama.llm_api.endpoint import Endpoint
from mentallama.llm_api.ledger.ledger import Ledger
from mentallama.llm_api.limits.budget import actual_cost, worst_case
from mentallama.llm_api.transport.http import encode_body
from mentallama.teach.requests import TeachJob, build_request, labelled_questions

BYTES_PER_TOKEN = 4
"""Of UTF-8: about four letters of English, two of Urdu, one and a third of Chinese. Tokenizers differ by a fifth or
so, and by more for languages they saw little of."""

TYPICAL_ANSWER_TOKENS = 135
"""Tokens of an answer: the mean of 7,685 answers of the published release, at the same measure."""

TYPICAL_EVIDENCE_TOKENS = 40
"""Tokens that a structured answer's list of quotations and its braces come to beside."""

MAX_SAMPLED_QUESTIONS = 2000
"""Requests that are written to estimate the rest by; a longer look would not be more exact than the measure is."""


@dataclass(frozen=True)
class CostEstimate:
    """What is still to be sent to one teacher: calls, tokens, and money where prices are known.

    `answered`: calls that the ledger answers. `most`: what the calls cost where each is as long as it may be.
    """

    model: str
    calls: int
    cached: int
    tokens_in: int
    tokens_out: int
    cost: float | None
    max_cost: float | None

    def describe(self) -> str:
        known = f", {self.cached:,} more are answered in the ledger" if self.cached else ""
        if not self.calls:
            return f"{self.model}: nothing to send{known}"
        money = "" if self.cost is None else f", cost about {self.cost:.4g} and at most {self.max_cost:.4g}"
        return (
            f"{self.model}: an estimated {self.calls:,} calls{known}; about {self.tokens_in:,} tokens in and "
            f"{self.tokens_out:,} out (at {BYTES_PER_TOKEN} bytes a token){money}"
        )


def estimate_cost(lesson: TeachJob, endpoint: Endpoint, ledger: Ledger, questions: int) -> CostEstimate:
    """Look at up to `MAX_SAMPLED_QUESTIONS` of the questions, evenly spread; exact in calls where that is all of them."""
    teacher, step = endpoint.settings, max(1, -(-questions // MAX_SAMPLED_QUESTIONS))
    looked = 0
    calls: dict[str, tuple[int, float]] = {}
    for each in islice(labelled_questions(lesson), 0, None, step):
        call = build_request(lesson, endpoint, each)
        looked += 1
        payload = len(encode_body(call.body))
        calls[call.hash] = payload, worst_case(teacher, call.body, payload)[1]
    known = ledger.known_hashes(list(calls))
    left = [call for key, call in calls.items() if key not in known]
    share = questions / looked if looked else 0.0
    sent, worst_cost = sum(size for size, _ in left), sum(cost for _, cost in left)
    written = TYPICAL_ANSWER_TOKENS + (TYPICAL_EVIDENCE_TOKENS if lesson.settings.structured else 0)
    tokens = {
        "input": round(share * sent / BYTES_PER_TOKEN),
        "output": round(share * len(left)) * min(written, teacher.max_tokens),
    }
    cost = actual_cost(teacher, tokens)
    return CostEstimate(
        model=endpoint.model,
        calls=round(share * len(left)),
        cached=round(share * len(known)),
        tokens_in=tokens["input"],
        tokens_out=tokens["output"],
        cost=cost,
        max_cost=None if cost is None else share * worst_cost,
    )


def budget_warning(estimates: Iterable[CostEstimate], budget: float | None, spent: float) -> str | None:
    """A sentence where the budget will not reach, by the estimate; `spent` is what the ledger says."""
    wanted = sum(each.cost or 0.0 for each in estimates)
    if budget is None or spent + wanted <= budget:
        return None
    already = f", of which {spent:.4g} is spent," if spent else ""
    return (
        f"the budget of {budget:g}{already} will hardly reach: the estimate is {wanted:.4g}; what is answered until "
        "it is used up is kept"
    )
