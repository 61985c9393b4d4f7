"""The end of a call: what came back made into what the ledger holds. The same for calls and for batch files."""

from __future__ import annotations

from mentallama.llm_api.endpoint import Endpoint
from mentallama.llm_api.limits.budget import cost_of
from mentallama.llm_api.transport.http import Failure, Outcome, Reply
from mentallama.llm_api.types import Answer, Call


def finish(
    endpoint: Endpoint, call: Call, outcome: Outcome, attempts: int, seconds: float = 0.0
) -> tuple[Answer, bool]:
    """The answer, and whether it may have cost something that nobody counted. A failure is set aside."""
    reply = outcome if isinstance(outcome, Reply) else Reply("aside", reason=outcome.reason)
    cost = cost_of(endpoint.teacher, reply.usage)
    lost = outcome.lost if isinstance(outcome, Failure) else reply.charged and cost is None
    answer = Answer(
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
        chances=reply.chances,
    )
    return answer, lost
