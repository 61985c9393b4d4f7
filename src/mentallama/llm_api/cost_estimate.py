"""Estimate the cost of a run before anything is sent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from mentallama.errors import counted
from mentallama.llm_api.endpoint import Endpoint
from mentallama.llm_api.limits.budget import actual_cost, worst_case
from mentallama.llm_api.transport.http import encode_body
from mentallama.llm_api.types import Request

BYTES_PER_TOKEN = 4
"""UTF-8 bytes per token: about four letters of English, two of Urdu, one and a third of Chinese. Tokenizers differ by
about a fifth, and by more for languages that they were hardly trained on."""

TYPICAL_ANSWER_TOKENS = 135
"""Mean length of the 7,685 answers of the published release, at the same bytes per token."""

MAX_SAMPLED_QUESTIONS = 2000
"""Questions that the estimate is based on; more would not help, given the error of `BYTES_PER_TOKEN`."""


@dataclass(frozen=True)
class CostEstimate:
    """Requests still to be sent to one model: their number, tokens, and cost if prices are known.

    `cached` counts requests that the ledger has completed. `max_cost` is the cost if every answer had maximal length;
    None if there is no such bound, or no price.
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
        cost = "" if self.cost is None else f", cost about {self.cost:.4g}"
        cost += "" if self.max_cost is None else f" and at most {self.max_cost:.4g}"
        return (
            f"{self.model}: an estimated {counted(self.requests, 'request')}{cached}; about {self.tokens_in:,} tokens "
            f"in and {self.tokens_out:,} out (at {BYTES_PER_TOKEN} bytes per token){cost}"
        )


def sampling_step(n_questions: int) -> int:
    """Distance of the questions that an estimate looks at, evenly spaced over all."""
    return max(1, -(-n_questions // MAX_SAMPLED_QUESTIONS))


def estimate_requests(
    endpoint: Endpoint,
    sampled: Iterable[tuple[Request, int]],
    scale: float,
    known_hashes: Callable[[Sequence[str]], set[str]],
) -> CostEstimate:
    """Estimate from a sample of the requests.

    Parameters
    ----------
    sampled
        Requests, each with the tokens that its answer is expected to have.
    scale
        All requests by those of the sample.
    known_hashes
        Returns those hashes whose requests need not be sent again.
    """
    settings = endpoint.settings
    by_hash: dict[str, tuple[int, int, float]] = {}
    for request, answer_tokens in sampled:
        n_bytes = len(encode_body(request.body))
        max_cost = worst_case(settings, request.body, n_bytes)[1]
        by_hash[request.hash] = n_bytes, min(answer_tokens, settings.max_tokens), max_cost
    known = known_hashes(list(by_hash))
    unsent = [sizes for key, sizes in by_hash.items() if key not in known]
    tokens = {
        "input": round(scale * sum(n_bytes for n_bytes, _, _ in unsent) / BYTES_PER_TOKEN),
        "output": round(scale * sum(n_tokens for _, n_tokens, _ in unsent)),
    }
    cost = actual_cost(settings, tokens)
    return CostEstimate(
        model=endpoint.model,
        requests=round(scale * len(unsent)),
        cached=round(scale * len(known)),
        tokens_in=tokens["input"],
        tokens_out=tokens["output"],
        cost=cost,
        max_cost=None if cost is None else scale * sum(max_cost for _, _, max_cost in unsent),
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
