"""Who sends a call: this process, or workers of a cluster (`on_ray`). Pace, budget, retries, ledger stay in `ask`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

from yarl import URL

from mentallama.llm_api.endpoint import Endpoint
from mentallama.llm_api.run_stats import Limits
from mentallama.llm_api.transport.http import AttemptOutcome, open_session, send_once

SendRequest = Callable[[bytes], Awaitable[AttemptOutcome]]
"""Sends the bytes of one call once; raises what `send_once` raises."""

Transport = Callable[[Endpoint, Limits], AbstractAsyncContextManager[SendRequest]]
"""Opens a way of sending for one endpoint, and closes it."""


@asynccontextmanager
async def local_transport(endpoint: Endpoint, limits: Limits) -> AsyncIterator[SendRequest]:
    """Over HTTP from this process."""
    async with open_session(endpoint, limits.timeout, limits.max_concurrency) as session:
        yield partial(send_once, session, endpoint, URL(endpoint.request_url))
