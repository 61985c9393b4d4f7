"""Ask an endpoint many calls: each is answered, refused or set aside in the ledger before it counts.

A call that the ledger answers is not sent. Calls are drawn from their source as they are needed, so memory stays flat.
Retries are our own and not stamina's: a call that waits gives its slot to another, waits for the server's word where
there is one, and shares its pause with all others; a loop that raises and sleeps inside one call can do none of that.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import count

from mentallama.errors import MentallamaError
from mentallama.llm_api.endpoint import Endpoint
from mentallama.llm_api.finish_reason import make_completion
from mentallama.llm_api.ledger.completion_store import CompletionStore
from mentallama.llm_api.ledger.group_commit import GroupCommitter, LedgerEntry
from mentallama.llm_api.limits.admission import AdmissionControl, BudgetExceeded
from mentallama.llm_api.limits.budget import BudgetAccount, worst_case
from mentallama.llm_api.limits.rate_limit import RateLimiter
from mentallama.llm_api.run_stats import Limits, RunStats
from mentallama.llm_api.transport.fatal_errors import RESUME_HINT
from mentallama.llm_api.transport.http import AttemptOutcome, FinalOutcome, RetryableFailure, encode_body
from mentallama.llm_api.transport.local import SendRequest, Transport, local_transport
from mentallama.llm_api.types import Request
from mentallama.parallel import batched

__all__ = ["Limits", "RunStats", "dispatch", "dispatch_sync"]

LOOKUP_BATCH = 128
"""Calls looked up in the ledger at a time; while their prompts are written, nothing is sent."""

MAX_RETRY_AFTER_SECONDS = 3600.0
"""A server that asks to wait longer than these seconds has had enough for today."""

MIN_OUTAGE_FAILURES = 20
"""Tries without a connection that say that an endpoint is gone, once it was there."""


OnCommit = Callable[[RunStats], None]


def dispatch_sync(
    requests: Iterable[Request],
    endpoint: Endpoint,
    ledger: CompletionStore,
    limits: Limits,
    on_commit: OnCommit = lambda _: None,
    sending: Transport = local_transport,
) -> RunStats:
    """`dispatch`, where no event loop is running."""
    return asyncio.run(dispatch(requests, endpoint, ledger, limits, on_commit, sending))


async def dispatch(
    calls: Iterable[Request],
    endpoint: Endpoint,
    ledger: CompletionStore,
    limits: Limits,
    told: OnCommit = lambda _: None,
    sending: Transport = local_transport,
) -> RunStats:
    """Ask every call that the ledger does not answer; `told` hears of every commit.

    However it ends, what has finished is committed. A row never ends it.

    Raises
    ------
    MentallamaError
        The endpoint cannot be reached, the budget or the account's quota is used up, or the ledger cannot be written:
        what was answered is kept, and the same call goes on.
    WrongUse
        The key, the model or the way of asking is wrong.
    """
    async with sending(endpoint, limits) as send:
        run = _Dispatcher(endpoint, ledger, limits, told, send)
        await run.run(calls)
        return run.stats


@dataclass(slots=True)
class _PendingRequest:
    """A call on its way."""

    request: Request
    payload: bytes
    max_tokens: int
    max_cost: float
    server_attempts: int = 0
    """Tries that reached the server."""


class _Dispatcher:
    def __init__(
        self, endpoint: Endpoint, ledger: CompletionStore, limits: Limits, told: OnCommit, send: SendRequest
    ) -> None:
        teacher = endpoint.settings
        self.endpoint, self.ledger, self.limits, self.on_commit, self.send = (
            endpoint,
            ledger,
            limits,
            told,
            send,
        )
        self.stats = RunStats(ledger_spent=ledger.total_spent())
        self.account_id = ledger.open_account()
        self.account = BudgetAccount(limits.budget, self.stats.ledger_spent)
        self.limiter = RateLimiter(
            limits.max_concurrency, teacher.requests_per_minute, teacher.tokens_per_minute
        )
        self.committer = GroupCommitter(ledger, self.account_id, self._on_committed)
        self.admission = AdmissionControl(self.limiter, self.account, self.committer)
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.backing_off: set[str] = set()
        self.request_ended = asyncio.Event()
        self.fatal_error: BaseException | None = None
        self.ever_connected = self.never_connected = False
        self.connection_failures, self.outage_start = 0, 0.0
        self.clock = asyncio.get_running_loop().time
        self.sender: asyncio.Task[None] | None = None

    async def run(self, calls: Iterable[Request]) -> None:
        """Send, wait for what is in flight, and close the books."""
        self.sender = asyncio.create_task(self._send_all(calls))
        try:
            await asyncio.wait([self.sender])
            while flying := [task for task in self.tasks.values() if not task.done()]:
                await asyncio.wait(flying)
        finally:
            await self._close()
        if not self.sender.cancelled() and (fault := self.sender.exception()) is not None:
            self.fatal_error = self.fatal_error or self._as_user_error(fault)
        if self.fatal_error is not None:
            raise self.fatal_error

    async def _close(self) -> None:
        """End what is still on its way, and commit what has finished."""
        tasks = [task for task in (self.sender, *self.tasks.values()) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.committer.close()
        if self.committer.fault is None:
            # a call cut short may have been paid for, unless there was never anybody to pay
            self.ledger.release(self.account_id, self.account.close(maybe_billed=not self.never_connected))
            self._report_stats()

    # Sending

    async def _send_all(self, calls: Iterable[Request]) -> None:
        for part in batched(calls, LOOKUP_BATCH):
            for call in self._uncached(part):
                payload = encode_body(call.body)
                tokens, amount = worst_case(self.endpoint.settings, call.body, len(payload))
                while (
                    len(self.tasks) >= 2 * self.limits.max_concurrency
                ):  # those that wait to be repeated are bounded too
                    await self._wait_for_any()
                await self.admission.acquire(tokens, amount)
                going = _PendingRequest(call, payload, tokens, amount)
                self.tasks[call.hash] = asyncio.create_task(self._run_request(going))
            await asyncio.sleep(0)

    def _uncached(self, calls: list[Request]) -> Iterator[Request]:
        """Calls that neither the ledger answers nor this run is asking, each once.

        A call that ends is committed before it leaves `alive`, so no earlier ones need to be remembered.
        """
        fresh = {call.hash: call for call in calls if call.hash not in self.tasks}
        known = self.ledger.known_hashes(list(fresh))
        self.stats.cached += len(known)
        yield from (call for key, call in fresh.items() if key not in known)

    async def _wait_for_any(self) -> None:
        self.request_ended.clear()
        await self.request_ended.wait()

    async def _run_request(self, going: _PendingRequest) -> None:
        """One call to its end; whatever ends the run is noted, and the slot is always given back."""
        key = going.request.hash
        try:
            await self._attempt_until_done(going)
        except asyncio.CancelledError:
            pass  # `through` knows why
        except Exception as fault:
            self._stop_sending(self._as_user_error(fault))
        finally:
            del self.tasks[key]
            self.request_ended.set()

    async def _attempt_until_done(self, going: _PendingRequest) -> None:
        """Try until there is an end; a slot is held on entering."""
        for number in count(1):
            started = self.clock()
            self.stats.attempts += 1
            self.stats.retries += number > 1
            try:
                outcome = await self.send(going.payload)
                pause = self._adapt_rate(going, outcome, started)
                entry = self._ledger_entry(going, outcome, self.clock() - started, number)
                if entry is None:
                    self.account.settle(going.max_cost, 0.0, 0.0)
                else:
                    await self.committer.commit(entry)
            except MentallamaError:
                if self.committer.fault is None:  # what ends the run was no answer, and cost nothing
                    self.account.settle(going.max_cost, 0.0, 0.0)
                raise
            finally:
                self.admission.release()
            if self.fatal_error is not None or (entry is not None and entry.completed is not None):
                return
            await self._back_off(going, pause)

    async def _back_off(self, going: _PendingRequest, pause: float) -> None:
        """Wait without a slot until a call may be tried again."""
        self.backing_off.add(going.request.hash)
        await asyncio.sleep(pause)
        await self.admission.acquire(going.max_tokens, going.max_cost)
        self.backing_off.remove(going.request.hash)

    # What came back

    def _adapt_rate(self, going: _PendingRequest, outcome: AttemptOutcome, started: float) -> float:
        """Fit the pace to what came back; returns the seconds before this call may be tried again."""
        now, first = self.clock(), self.limits.initial_backoff * random.uniform(0.5, 1.5)
        if isinstance(outcome, FinalOutcome):
            self.ever_connected, self.connection_failures = True, 0
            self.limiter.record_success()
            if outcome.usage or not outcome.billed:
                self.limiter.refund_tokens(going.max_tokens, sum(outcome.usage.values()))
            return 0.0
        if not outcome.connected:
            self._count_connection_failure(now)
            return 2 * first
        self.ever_connected, self.connection_failures = True, 0
        going.server_attempts += 1
        if (outcome.retry_after or 0.0) > MAX_RETRY_AFTER_SECONDS:
            raise MentallamaError(
                f"{self.endpoint.host} asks to wait for more than an hour: {RESUME_HINT} then"
            )
        if outcome.overloaded:
            self.limiter.record_overload(now, started, outcome.retry_after)
        return max(outcome.retry_after or 0.0, first * 2.0 ** min(going.server_attempts - 1, 7))

    def _count_connection_failure(self, now: float) -> None:
        """Stop where there is nobody: at once if none of the first calls found anyone, else after an outage."""
        if self.connection_failures == 0:
            self.outage_start = now
        self.connection_failures += 1
        least = MIN_OUTAGE_FAILURES if self.ever_connected else min(3, self.limits.max_concurrency)
        most = (
            self.limits.max_concurrency
            if self.ever_connected
            else min(len(self.tasks), self.limits.max_concurrency)
        )
        patient = self.ever_connected and now - self.outage_start < self.limits.max_outage
        if self.connection_failures >= max(least, most) and not patient:
            self.never_connected = not self.ever_connected
            raise MentallamaError(
                f"no connection to {self.endpoint.host}: check the URL and the server; {RESUME_HINT}"
            )

    def _ledger_entry(
        self, going: _PendingRequest, outcome: AttemptOutcome, seconds: float, number: int
    ) -> LedgerEntry | None:
        """What the ledger must know: the end of a call, or a try that may have been paid for."""
        if isinstance(outcome, RetryableFailure) and going.server_attempts < self.limits.max_attempts:
            return LedgerEntry(None, going.max_cost, going.max_cost) if outcome.maybe_billed else None
        answer, lost = make_completion(self.endpoint, going.request, outcome, number, seconds)
        return LedgerEntry((going.request, answer), going.max_cost, going.max_cost if lost else 0.0)

    def _on_committed(self, entries: list[LedgerEntry], others: float) -> None:
        self.account.spent_by_others = others
        for entry in entries:
            cost = (entry.completed[1].cost if entry.completed is not None else None) or 0.0
            self.account.settle(entry.reserved, cost, entry.uncertain)
            if entry.completed is not None:
                self.stats.add(entry.completed[1])
        self._report_stats()

    def _report_stats(self) -> None:
        account, tally = self.account, self.stats
        tally.cost, tally.uncertain, tally.ledger_spent = account.settled, account.uncertain, account.spent
        self.on_commit(tally)

    # Stopping

    def _stop_sending(self, why: BaseException) -> None:
        """Send nothing more. What is in flight may finish, unless nobody is there or it could not be kept."""
        self.fatal_error = self.fatal_error or why
        keys = list(self.tasks) if self.committer.fault or self.never_connected else list(self.backing_off)
        for task in (self.sender, *(self.tasks.get(key) for key in keys)):
            if task is not None:
                task.cancel()

    def _as_user_error(self, fault: BaseException) -> BaseException:
        if not isinstance(fault, BudgetExceeded):
            return fault
        tally, total = self.stats, self.limits.total_requests
        return MentallamaError(
            f"the budget of {self.limits.budget:g} has no room for the next call: {self.account.spent:.6g} spent "
            f"({self.account.uncertain:.6g} of it perhaps), {tally.done}{f' of {total}' if total else ''} calls "
            "answered; the same command with a higher budget goes on"
        )
