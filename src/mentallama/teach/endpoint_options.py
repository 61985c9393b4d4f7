"""Find out with the first requests which options an endpoint's model rejects, before the others are sent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import combinations
from typing import Any

from mentallama.llm_api.endpoint import Endpoint
from mentallama.llm_api.ledger.ledger import Ledger
from mentallama.llm_api.limits.failure_watch import RequestsFailError
from mentallama.llm_api.transport.rejected_options import (
    USER_ROLE,
    RejectedOptionError,
    adapt_endpoint,
    describe_update,
    has_system_message,
)
from mentallama.llm_api.types import Request, RunStats
from mentallama.progress import LogFn

N_FIRST_REQUESTS = 8
"""Requests sent first. If fewer fail, it may be an outage that has passed, so the system role is kept."""

Dispatch = Callable[[Endpoint, Iterable[Request]], RunStats]
"""Sends requests to an endpoint and commits their completions."""

FirstRequests = Callable[[Endpoint], list[Request]]
"""The first requests to an endpoint, at most `N_FIRST_REQUESTS`, whether or not they are completed."""


def settle_options(
    first_requests: FirstRequests, endpoint: Endpoint, ledger: Ledger, dispatch: Dispatch, log: LogFn
) -> Endpoint:
    """Send the first requests and return the endpoint with the settings that its model takes.

    What the server names is changed. If it names nothing and all first requests fail, one is sent without the system
    role. A run that is resumed takes the settings of the completions in the ledger.
    """
    endpoint = _settings_in_ledger(first_requests, endpoint, ledger)
    while True:
        requests = first_requests(endpoint)
        try:
            stats = dispatch(endpoint, requests)
        except RejectedOptionError as rejected:
            endpoint = adapt_endpoint(endpoint, rejected.update)
            log(f"teach: {rejected}; the run goes on with this setting")
            continue
        except RequestsFailError:
            adapted = _without_system_role(first_requests, endpoint, dispatch, log)
            if adapted is None:
                raise
            return adapted
        if stats.failed.total() < N_FIRST_REQUESTS:
            return endpoint
        return _without_system_role(first_requests, endpoint, dispatch, log) or endpoint


def _without_system_role(
    first_requests: FirstRequests, endpoint: Endpoint, dispatch: Dispatch, log: LogFn
) -> Endpoint | None:
    """The endpoint without the system role, if a request is answered that way only."""
    if not any(has_system_message(request.body) for request in first_requests(endpoint)):
        return None
    adapted = adapt_endpoint(endpoint, USER_ROLE)
    stats = dispatch(adapted, first_requests(adapted)[:1])
    if not (stats.answered or stats.refused):
        return None
    log(
        f"teach: {endpoint.model} answers only without the system role: the run goes on with "
        f"{describe_update(USER_ROLE)}"
    )
    return adapted


def _settings_in_ledger(first_requests: FirstRequests, endpoint: Endpoint, ledger: Ledger) -> Endpoint:
    """The endpoint with the settings that an earlier run found out; unchanged if the ledger has none."""
    changes: Sequence[dict[str, Any]] = (
        USER_ROLE,
        {"extra_body": {"max_tokens": None, "max_completion_tokens": endpoint.settings.max_tokens}},
        {"extra_body": {"temperature": None}},
    )
    for count in range(len(changes) + 1):
        for chosen in combinations(changes, count):
            adapted = endpoint
            for change in chosen:
                adapted = adapt_endpoint(adapted, change)
            hashes = [request.hash for request in first_requests(adapted)]
            known = ledger.get_completions(hashes).values()
            if any(completion.state != "failed" for completion in known):
                return adapted
    return endpoint
