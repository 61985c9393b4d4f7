"""Estimate the cost of a run before anything is sent."""

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
"""UTF-8 bytes per token: about four letters of English, two of Urdu, one and a third of Chinese. Tokenizers differ by
about a fifth, and by more for languages that they were hardly trained on."""

TYPICAL_ANSWER_TOKENS = 135
"""Mean length of the 7,685 answers of the published release, at the same bytes per token."""

TYPICAL_EVIDENCE_TOKENS = 40
"""Additional tokens of a structured answer: its list of quotations and the JSON syntax."""

MAX_SAMPLED_QUESTIONS = 2000
"""Questions that the estimate is based on; more would not help, given the error of `BYTES_PER_TOKEN`."""


@dataclass(frozen=True)
class CostEstimate:
    """Requests still to be sent to one teacher: their number, tokens, and cost if prices are known.

    `cached` counts requests that the ledger has completed. `max_cost` is the cost if every answer had maximal length.
    """

    model: str
    requests: int
    cached: int
    tokens_in: int
    tokens_out: int
    cost: float | None
    max_cost: float | None

    def describe(self) -> str:
        cached = f", {self.cached:,} more are in the ledger" if self.cached else ""
        if not self.requests:
            return f"{self.model}: nothing to send{cached}"
        cost = "" if self.cost is None else f", cost about {self.cost:.4g} and at most {self.max_cost:.4g}"
        return (
            f"{self.model}: an estimated {self.requests:,} requests{cached}; about {self.tokens_in:,} tokens in and "
            f"{self.tokens_out:,} out (at {BYTES_PER_TOKEN} bytes per token){cost}"
        )


def estimate_cost(job: TeachJob, endpoint: Endpoint, ledger: Ledger, n_questions: int) -> CostEstimate:
    """Estimate from up to `MAX_SAMPLED_QUESTIONS` questions, evenly spaced over all `n_questions`.

    The number of requests is exact if that covers all of them.
    """
    settings, step = endpoint.settings, max(1, -(-n_questions // MAX_SAMPLED_QUESTIONS))
    n_sampled = 0
    sizes_and_costs: dict[str, tuple[int, float]] = {}
    for question in islice(labelled_questions(job), 0, None, step):
        request = build_request(job, endpoint, question)
        n_sampled += 1
        n_bytes = len(encode_body(request.body))
        sizes_and_costs[request.hash] = n_bytes, worst_case(settings, request.body, n_bytes)[1]
    known = ledger.known_hashes(list(sizes_and_costs))
    unsent = [value for key, value in sizes_and_costs.items() if key not in known]
    scale = n_questions / n_sampled if n_sampled else 0.0
    total_bytes, total_max_cost = sum(size for size, _ in unsent), sum(cost for _, cost in unsent)
    answer_tokens = TYPICAL_ANSWER_TOKENS + (TYPICAL_EVIDENCE_TOKENS if job.settings.structured else 0)
    tokens = {
        "input": round(scale * total_bytes / BYTES_PER_TOKEN),
        "output": round(scale * len(unsent)) * min(answer_tokens, settings.max_tokens),
    }
    cost = actual_cost(settings, tokens)
    return CostEstimate(
        model=endpoint.model,
        requests=round(scale * len(unsent)),
        cached=round(scale * len(known)),
        tokens_in=tokens["input"],
        tokens_out=tokens["output"],
        cost=cost,
        max_cost=None if cost is None else scale * total_max_cost,
    )


def budget_warning(estimates: Iterable[CostEstimate], budget: float | None, spent: float) -> str | None:
    """Warn if the estimates exceed the budget; `spent` is the total of the ledger."""
    estimated = sum(estimate.cost or 0.0 for estimate in estimates)
    if budget is None or spent + estimated <= budget:
        return None
    already = f", of which {spent:.4g} is spent," if spent else ""
    return (
        f"the budget of {budget:g}{already} will probably not suffice: the estimate is {estimated:.4g}; requests "
        "completed until it is used up are kept"
    )
