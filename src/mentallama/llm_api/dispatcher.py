"""Send many requests to one endpoint concurrently; every completion is committed to the ledger before it counts.

Requests that the ledger has already completed are not sent. Requests are read from their source as needed, so memory
stays flat. Retries are written by hand instead of using stamina: a request that waits for a retry gives up its slot,
obeys the server's Retry-After, and shares pauses with all other requests; a retry loop inside one request cannot.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import count

from mentallama.errors import MentallamaError
from mentallama.llm_api.endpoint import Endpoint, proxy_variable
from mentallama.llm_api.ledger.group_commit import GroupCommitter, LedgerEntry
from mentallama.llm_api.limits.admission import AdmissionControl, BudgetExceeded
from mentallama.llm_api.limits.budget import BudgetAccount, worst_case
from mentallama.llm_api.limits.failure_watch import FailureWatch, RequestsFailError
from mentallama.llm_api.limits.rate_limit import RateLimiter
from mentallama.llm_api.transport.fatal_errors import RESUME_HINT
from mentallama.llm_api.transport.http import (
    NOT_CONNECTED,
    AttemptOutcome,
    FinalOutcome,
    RetryableFailure,
    SendRequest,
    Transport,
    encode_body,
    http_transport,
    make_completion,
)
from mentallama.llm_api.types import CompletionStore, Limits, Request, RunStats
from mentallama.parallel import batched

LOOKUP_BATCH = 128
"""Requests looked up in the ledger at a time; nothing is sent while their prompts are built."""

MAX_RETRY_AFTER_SECONDS = 3600.0
"""Longest Retry-After that is obeyed; beyond it the run ends."""

FIRST_REQUESTS = 8
"""Requests in flight until the first is answered: whatever fails them all is found out before many are sent."""

MIN_OUTAGE_FAILURES = 20
"""Consecutive connection failures after which an endpoint that was reachable before counts as down."""

OnCommit = Callable[[RunStats], None]
"""Called after every commit with the totals so far."""


def dispatch_sync(
    requests: Iterable[Request],
    endpoint: Endpoint,
    ledger: CompletionStore,
    limits: Limits,
    on_commit: OnCommit = lambda _: None,
    transport: Transport = http_transport,
) -> RunStats:
    """Run `dispatch` from code without an event loop."""
    return asyncio.run(dispatch(requests, endpoint, ledger, limits, on_commit, transport))


async def dispatch(
    requests: Iterable[Request],
    endpoint: Endpoint,
    ledger: CompletionStore,
    limits: Limits,
    on_commit: OnCommit = lambda _: None,
    transport: Transport = http_transport,
) -> RunStats:
    """Send every request that the ledger has not completed, and return the totals.

    However the run ends, all completions so far are committed. A single request never ends the run: it is retried, and
    after `limits.max_attempts` its state is `failed`.

    Raises
    ------
    MentallamaError
        The endpoint is unreachable, the budget or the provider's quota is exhausted, or the ledger cannot be written.
        Completed requests are kept, and calling again resumes.
    RequestsFailError
        Nearly all requests fail alike. Failed requests are not kept: calling again sends them again.
    UsageError
        The key, the model or a parameter of the requests is wrong.
    """
    async with transport(endpoint, limits) as send:
        dispatcher = _Dispatcher(endpoint, ledger, limits, on_commit, send)
        await dispatcher.run(requests)
        return dispatcher.stats


@dataclass(slots=True)
class _PendingRequest:
    """A request that was admitted and has no completion yet."""

    request: Request
    payload: bytes
    max_tokens: int
    max_cost: float
    server_attempts: int = 0
    """Attempts that reached the server."""


class _Dispatcher:
    """State of one run: one asyncio task per request, and one that admits new requests."""

    def __init__(
        self,
        endpoint: Endpoint,
        ledger: CompletionStore,
        limits: Limits,
        on_commit: OnCommit,
        send: SendRequest,
    ) -> None:
        self.endpoint, self.ledger, self.limits = endpoint, ledger, limits
        self.on_commit, self.send = on_commit, send
        self.stats = RunStats(ledger_spent=ledger.total_spent())
        self.account_id = ledger.open_account()
        self.account = BudgetAccount(limits.budget, self.stats.ledger_spent)
        self.limiter = RateLimiter(
            limits.max_concurrency,
            endpoint.settings.requests_per_minute,
            endpoint.settings.tokens_per_minute,
        )
        self.committer = GroupCommitter(ledger, self.account_id, self._on_committed)
        self.admission = AdmissionControl(self.limiter, self.account, self.committer)
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.backing_off: set[str] = set()
        self.request_ended = asyncio.Event()
        self.fatal_error: BaseException | None = None
        self.failure_watch = FailureWatch(endpoint.host)
        self.ever_connected = self.never_connected = False
        self.connection_failures, self.outage_start = 0, 0.0
        self.clock = asyncio.get_running_loop().time
        self.sender: asyncio.Task[None] | None = None

    async def run(self, requests: Iterable[Request]) -> None:
        """Send all requests, wait for those in flight, and settle the account."""
        self.sender = asyncio.create_task(self._send_all(requests))
        try:
            await asyncio.wait([self.sender])
            while unfinished := [task for task in self.tasks.values() if not task.done()]:
                await asyncio.wait(unfinished)
        finally:
            await self._close()
        if not self.sender.cancelled() and (error := self.sender.exception()) is not None:
            self.fatal_error = self.fatal_error or self._as_user_error(error)
        if isinstance(self.fatal_error, RequestsFailError):
            self.ledger.delete_failed()
        if self.fatal_error is not None:
            raise self.fatal_error

    async def _close(self) -> None:
        """Cancel unfinished requests, and commit those that have finished."""
        tasks = [task for task in (self.sender, *self.tasks.values()) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.committer.close()
        if self.committer.error is None:
            # a cancelled request may be billed, unless there never was a connection
            self.ledger.release(self.account_id, self.account.close(maybe_billed=not self.never_connected))
            self._report_stats()

    # Sending

    async def _send_all(self, requests: Iterable[Request]) -> None:
        for batch in batched(requests, LOOKUP_BATCH):
            for request in self._uncached(batch):
                payload = encode_body(request.body)
                tokens, cost = worst_case(self.endpoint.settings, request.body, len(payload))
                # requests that wait for a retry hold no slot; this bounds their number too
                while len(self.tasks) >= self._max_tasks():
                    await self._wait_for_any()
                await self.admission.acquire(tokens, cost)
                pending = _PendingRequest(request, payload, tokens, cost)
                self.tasks[request.hash] = asyncio.create_task(self._run_request(pending))
            await asyncio.sleep(0)

    def _max_tasks(self) -> int:
        usual = 2 * self.limits.max_concurrency
        return usual if self.failure_watch.any_answered else min(usual, FIRST_REQUESTS)

    def _uncached(self, requests: list[Request]) -> Iterator[Request]:
        """Requests that are neither in the ledger nor in flight, each once.

        A completion is committed before its request leaves `tasks`, so earlier hashes need not be remembered.
        """
        new = {request.hash: request for request in requests if request.hash not in self.tasks}
        known = self.ledger.known_hashes(list(new))
        self.stats.cached += len(known)
        yield from (request for key, request in new.items() if key not in known)

    async def _wait_for_any(self) -> None:
        self.request_ended.clear()
        await self.request_ended.wait()

    async def _run_request(self, pending: _PendingRequest) -> None:
        """Run one request to its end; an exception ends the run."""
        try:
            await self._attempt_until_done(pending)
        except asyncio.CancelledError:
            pass  # by `_close` or `_stop_sending`
        except Exception as error:
            self._stop_sending(self._as_user_error(error))
        finally:
            del self.tasks[pending.request.hash]
            self.request_ended.set()

    async def _attempt_until_done(self, pending: _PendingRequest) -> None:
        """Retry until the request is completed. The caller has acquired a slot."""
        for number in count(1):
            started = self.clock()
            self.stats.attempts += 1
            self.stats.retries += number > 1
            try:
                outcome = await self.send(pending.payload)
                pause = self._adapt_rate(pending, outcome, started)
                entry = self._ledger_entry(pending, outcome, self.clock() - started, number)
                if entry is None:
                    self.account.settle(pending.max_cost, 0.0, 0.0)
                else:
                    await self.committer.commit(entry)
            except MentallamaError:
                if self.committer.error is None:  # an error response that ends the run is not billed
                    self.account.settle(pending.max_cost, 0.0, 0.0)
                raise
            finally:
                self.admission.release()
            if entry is not None and entry.completed is not None:
                self.failure_watch.record(entry.completed[1])
                return
            if self.fatal_error is not None:
                return
            await self._back_off(pending, pause)

    async def _back_off(self, pending: _PendingRequest, pause: float) -> None:
        """Wait for the retry, without a slot, then acquire one."""
        self.backing_off.add(pending.request.hash)
        await asyncio.sleep(pause)
        await self.admission.acquire(pending.max_tokens, pending.max_cost)
        self.backing_off.remove(pending.request.hash)

    # Outcomes

    def _adapt_rate(self, pending: _PendingRequest, outcome: AttemptOutcome, started: float) -> float:
        """Adapt the rate limit to an outcome; return the seconds before this request may be retried."""
        now, backoff = self.clock(), self.limits.initial_backoff * random.uniform(0.5, 1.5)
        if isinstance(outcome, FinalOutcome):
            self.ever_connected, self.connection_failures = True, 0
            self.limiter.record_success()
            if outcome.usage or not outcome.billed:
                self.limiter.refund_tokens(pending.max_tokens, sum(outcome.usage.values()))
            return 0.0
        if not outcome.connected:
            self._count_connection_failure(now, outcome.reason)
            return 2 * backoff
        self.ever_connected, self.connection_failures = True, 0
        pending.server_attempts += 1
        if (outcome.retry_after or 0.0) > MAX_RETRY_AFTER_SECONDS:
            raise MentallamaError(f"{self.endpoint.host} asks to wait for more than an hour: {RESUME_HINT}")
        if outcome.overloaded:
            self.limiter.record_overload(now, started, outcome.retry_after)
        return max(outcome.retry_after or 0.0, backoff * 2.0 ** min(pending.server_attempts - 1, 7))

    def _count_connection_failure(self, now: float, reason: str) -> None:
        """End the run if the endpoint is down: soon if it was never reachable, else after `max_outage` seconds."""
        if self.connection_failures == 0:
            self.outage_start = now
        self.connection_failures += 1
        concurrency = self.limits.max_concurrency
        at_start = max(min(3, concurrency), min(len(self.tasks), concurrency))
        threshold = max(MIN_OUTAGE_FAILURES, concurrency) if self.ever_connected else at_start
        keep_waiting = self.ever_connected and now - self.outage_start < self.limits.max_outage
        if self.connection_failures >= threshold and not keep_waiting:
            self.never_connected = not self.ever_connected
            variable = proxy_variable(self.endpoint.base_url)
            proxy = f" and the proxy in {variable} (NO_PROXY names hosts without)" if variable else ""
            cause = "" if reason == NOT_CONNECTED.reason else f" ({reason})"
            raise MentallamaError(
                f"no connection to {self.endpoint.host}{cause}: check the URL and the server{proxy}; {RESUME_HINT}"
            )

    def _ledger_entry(
        self, pending: _PendingRequest, outcome: AttemptOutcome, seconds: float, number: int
    ) -> LedgerEntry | None:
        """Entry for a completed request, or for an attempt that may be billed; None if there is nothing to record."""
        if isinstance(outcome, RetryableFailure) and pending.server_attempts < self.limits.max_attempts:
            return LedgerEntry(None, pending.max_cost, pending.max_cost) if outcome.maybe_billed else None
        completion, cost_unknown = make_completion(self.endpoint, pending.request, outcome, number, seconds)
        return LedgerEntry(
            (pending.request, completion), pending.max_cost, pending.max_cost if cost_unknown else 0.0
        )

    def _on_committed(self, entries: list[LedgerEntry], spent_by_others: float) -> None:
        self.account.spent_by_others = spent_by_others
        for entry in entries:
            cost = (entry.completed[1].cost if entry.completed is not None else None) or 0.0
            self.account.settle(entry.reserved, cost, entry.uncertain)
            if entry.completed is not None:
                self.stats.add(entry.completed[1])
        self._report_stats()

    def _report_stats(self) -> None:
        self.stats.cost, self.stats.uncertain = self.account.settled, self.account.uncertain
        self.stats.ledger_spent = self.account.spent
        self.on_commit(self.stats)

    # Stopping

    def _stop_sending(self, error: BaseException) -> None:
        """Send nothing more. Requests in flight may finish, unless there is no server or no ledger to write to."""
        self.fatal_error = self.fatal_error or error
        keys = list(self.tasks) if self.committer.error or self.never_connected else list(self.backing_off)
        for task in (self.sender, *(self.tasks.get(key) for key in keys)):
            if task is not None:
                task.cancel()

    def _as_user_error(self, error: BaseException) -> BaseException:
        if not isinstance(error, BudgetExceeded):
            return error
        done, total = self.stats.done, self.limits.total_requests
        completed = f", {done} of {total} requests completed" if total else "; all answers are kept"
        return MentallamaError(
            f"the budget of {self.limits.budget:g} does not cover the next request: {self.account.spent:.6g} spent "
            f"(of which {self.account.uncertain:.6g} is uncertain){completed}; the same command with a higher budget "
            "resumes"
        )
