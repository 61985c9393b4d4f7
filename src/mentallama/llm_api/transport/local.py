"""Who sends a call: this process, or workers of a cluster (`on_ray`). Pace, budget, retries, ledger stay in `ask`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

from yarl import URL

from mentallama.llm_api.endpoint import Endpoint
from mentallama.llm_api.run_stats import Limits
from mentallama.llm_api.transport.http import Outcome, connect, try_once

Send = Callable[[bytes], Awaitable[Outcome]]
"""Sends the bytes of one call once; raises what `try_once` raises."""

Sending = Callable[[Endpoint, Limits], AbstractAsyncContextManager[Send]]
"""Opens a way of sending for one endpoint, and closes it."""


@asynccontextmanager
async def from_here(endpoint: Endpoint, limits: Limits) -> AsyncIterator[Send]:
    """Over HTTP from this process."""
    async with connect(endpoint, limits.timeout, limits.in_flight) as session:
        yield partial(try_once, session, endpoint, URL(endpoint.address))
