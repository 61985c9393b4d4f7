"""The end of a call: what came back made into what the ledger holds. The same for calls and for batch files."""

from __future__ import annotations

from mentallama.llm_api.endpoint import Endpoint
from mentallama.llm_api.limits.budget import actual_cost
from mentallama.llm_api.transport.http import AttemptOutcome, FinalOutcome, RetryableFailure
from mentallama.llm_api.types import Completion, Request


def make_completion(
    endpoint: Endpoint, call: Request, outcome: AttemptOutcome, attempts: int, seconds: float = 0.0
) -> tuple[Completion, bool]:
    """The answer, and whether it may have cost something that nobody counted. A failure is set aside."""
    reply = outcome if isinstance(outcome, FinalOutcome) else FinalOutcome("failed", reason=outcome.reason)
    cost = actual_cost(endpoint.settings, reply.usage)
    lost = outcome.maybe_billed if isinstance(outcome, RetryableFailure) else reply.billed and cost is None
    answer = Completion(
        hash=call.hash,
        example_id=call.example_id,
        model=endpoint.model,
        state=reply.state,
        text=reply.text,
        finish_reason=reply.finish_reason,
        reason=reply.reason,
        usage=reply.usage,
        cost=cost,
        seconds=round(seconds, 3),
        attempts=attempts,
        token_logprobs=reply.token_logprobs,
    )
    return answer, lost
