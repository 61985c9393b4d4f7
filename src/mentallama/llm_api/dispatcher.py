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
from mentallama.llm_api.finish_reason import finish
from mentallama.llm_api.ledger.completion_store import Books
from mentallama.llm_api.ledger.group_commit import Entry, Writer
from mentallama.llm_api.limits.admission import OutOfBudget, Slots
from mentallama.llm_api.limits.budget import Account, worst_case
from mentallama.llm_api.limits.rate_limit import Pace
from mentallama.llm_api.run_stats import Limits, Tally
from mentallama.llm_api.transport.fatal_errors import RESUME
from mentallama.llm_api.transport.http import Failure, Outcome, Reply, write_body
from mentallama.llm_api.transport.local import Send, Sending, from_here
from mentallama.llm_api.types import Call
from mentallama.parallel import batches

__all__ = ["Limits", "Tally", "ask", "ask_all"]

SLICE = 128
"""Calls looked up in the ledger at a time; while their prompts are written, nothing is sent."""

PATIENCE = 3600.0
"""A server that asks to wait longer than these seconds has had enough for today."""

FEWEST = 20
"""Tries without a connection that say that an endpoint is gone, once it was there."""


Told = Callable[[Tally], None]


def ask_all(
    calls: Iterable[Call],
    endpoint: Endpoint,
    ledger: Books,
    limits: Limits,
    told: Told = lambda _: None,
    sending: Sending = from_here,
) -> Tally:
    """`ask`, where no event loop is running."""
    return asyncio.run(ask(calls, endpoint, ledger, limits, told, sending))


async def ask(
    calls: Iterable[Call],
    endpoint: Endpoint,
    ledger: Books,
    limits: Limits,
    told: Told = lambda _: None,
    sending: Sending = from_here,
) -> Tally:
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
        run = _Run(endpoint, ledger, limits, told, send)
        await run.through(calls)
        return run.tally


@dataclass(slots=True)
class _Try:
    """A call on its way."""

    call: Call
    payload: bytes
    tokens: int
    amount: float
    counted: int = 0
    """Tries that reached the server."""


class _Run:
    def __init__(self, endpoint: Endpoint, ledger: Books, limits: Limits, told: Told, send: Send) -> None:
        teacher = endpoint.teacher
        self.endpoint, self.ledger, self.limits, self.told, self.send = endpoint, ledger, limits, told, send
        self.tally = Tally(spent=ledger.spent())
        self.account_id = ledger.open_account()
        self.account = Account(limits.budget, self.tally.spent)
        self.pace = Pace(limits.in_flight, teacher.requests_per_minute, teacher.tokens_per_minute)
        self.writer = Writer(ledger, self.account_id, self._committed)
        self.slots = Slots(self.pace, self.account, self.writer)
        self.alive: dict[str, asyncio.Task[None]] = {}
        self.waiting: set[str] = set()
        self.ended = asyncio.Event()
        self.stop: BaseException | None = None
        self.reached = self.nobody = False
        self.unreached, self.unreached_since = 0, 0.0
        self.clock = asyncio.get_running_loop().time
        self.sender: asyncio.Task[None] | None = None

    async def through(self, calls: Iterable[Call]) -> None:
        """Send, wait for what is in flight, and close the books."""
        self.sender = asyncio.create_task(self._send_all(calls))
        try:
            await asyncio.wait([self.sender])
            while flying := [task for task in self.alive.values() if not task.done()]:
                await asyncio.wait(flying)
        finally:
            await self._close()
        if not self.sender.cancelled() and (fault := self.sender.exception()) is not None:
            self.stop = self.stop or self._sentence(fault)
        if self.stop is not None:
            raise self.stop

    async def _close(self) -> None:
        """End what is still on its way, and commit what has finished."""
        tasks = [task for task in (self.sender, *self.alive.values()) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.writer.close()
        if self.writer.fault is None:
            # a call cut short may have been paid for, unless there was never anybody to pay
            self.ledger.release(self.account_id, self.account.close(lost=not self.nobody))
            self._tell()

    # Sending

    async def _send_all(self, calls: Iterable[Call]) -> None:
        for part in batches(calls, SLICE):
            for call in self._unanswered(part):
                payload = write_body(call.body)
                tokens, amount = worst_case(self.endpoint.teacher, call.body, len(payload))
                while (
                    len(self.alive) >= 2 * self.limits.in_flight
                ):  # those that wait to be repeated are bounded too
                    await self._one_ended()
                await self.slots.enter(tokens, amount)
                going = _Try(call, payload, tokens, amount)
                self.alive[call.hash] = asyncio.create_task(self._guarded(going))
            await asyncio.sleep(0)

    def _unanswered(self, calls: list[Call]) -> Iterator[Call]:
        """Calls that neither the ledger answers nor this run is asking, each once.

        A call that ends is committed before it leaves `alive`, so no earlier ones need to be remembered.
        """
        fresh = {call.hash: call for call in calls if call.hash not in self.alive}
        known = self.ledger.known(list(fresh))
        self.tally.known += len(known)
        yield from (call for key, call in fresh.items() if key not in known)

    async def _one_ended(self) -> None:
        self.ended.clear()
        await self.ended.wait()

    async def _guarded(self, going: _Try) -> None:
        """One call to its end; whatever ends the run is noted, and the slot is always given back."""
        key = going.call.hash
        try:
            await self._one(going)
        except asyncio.CancelledError:
            pass  # `through` knows why
        except Exception as fault:
            self._halt(self._sentence(fault))
        finally:
            del self.alive[key]
            self.ended.set()

    async def _one(self, going: _Try) -> None:
        """Try until there is an end; a slot is held on entering."""
        for number in count(1):
            started = self.clock()
            self.tally.sent += 1
            self.tally.repeated += number > 1
            try:
                outcome = await self.send(going.payload)
                pause = self._learn(going, outcome, started)
                entry = self._entry(going, outcome, self.clock() - started, number)
                if entry is None:
                    self.account.settle(going.amount, 0.0, 0.0)
                else:
                    await self.writer.keep(entry)
            except MentallamaError:
                if self.writer.fault is None:  # what ends the run was no answer, and cost nothing
                    self.account.settle(going.amount, 0.0, 0.0)
                raise
            finally:
                self.slots.leave()
            if self.stop is not None or (entry is not None and entry.done is not None):
                return
            await self._wait(going, pause)

    async def _wait(self, going: _Try, pause: float) -> None:
        """Wait without a slot until a call may be tried again."""
        self.waiting.add(going.call.hash)
        await asyncio.sleep(pause)
        await self.slots.enter(going.tokens, going.amount)
        self.waiting.remove(going.call.hash)

    # What came back

    def _learn(self, going: _Try, outcome: Outcome, started: float) -> float:
        """Fit the pace to what came back; returns the seconds before this call may be tried again."""
        now, first = self.clock(), self.limits.first_wait * random.uniform(0.5, 1.5)
        if isinstance(outcome, Reply):
            self.reached, self.unreached = True, 0
            self.pace.succeeded()
            if outcome.usage or not outcome.charged:
                self.pace.used(going.tokens, sum(outcome.usage.values()))
            return 0.0
        if not outcome.reached:
            self._count_unreached(now)
            return 2 * first
        self.reached, self.unreached = True, 0
        going.counted += 1
        if (outcome.wait or 0.0) > PATIENCE:
            raise MentallamaError(f"{self.endpoint.host} asks to wait for more than an hour: {RESUME} then")
        if outcome.pushback:
            self.pace.pushed_back(now, started, outcome.wait)
        return max(outcome.wait or 0.0, first * 2.0 ** min(going.counted - 1, 7))

    def _count_unreached(self, now: float) -> None:
        """Stop where there is nobody: at once if none of the first calls found anyone, else after an outage."""
        if self.unreached == 0:
            self.unreached_since = now
        self.unreached += 1
        least = FEWEST if self.reached else min(3, self.limits.in_flight)
        most = self.limits.in_flight if self.reached else min(len(self.alive), self.limits.in_flight)
        patient = self.reached and now - self.unreached_since < self.limits.outage
        if self.unreached >= max(least, most) and not patient:
            self.nobody = not self.reached
            raise MentallamaError(
                f"no connection to {self.endpoint.host}: check the URL and the server; {RESUME}"
            )

    def _entry(self, going: _Try, outcome: Outcome, seconds: float, number: int) -> Entry | None:
        """What the ledger must know: the end of a call, or a try that may have been paid for."""
        if isinstance(outcome, Failure) and going.counted < self.limits.attempts:
            return Entry(None, going.amount, going.amount) if outcome.lost else None
        answer, lost = finish(self.endpoint, going.call, outcome, number, seconds)
        return Entry((going.call, answer), going.amount, going.amount if lost else 0.0)

    def _committed(self, entries: list[Entry], others: float) -> None:
        self.account.others = others
        for entry in entries:
            cost = (entry.done[1].cost if entry.done is not None else None) or 0.0
            self.account.settle(entry.amount, cost, entry.uncertain)
            if entry.done is not None:
                self.tally.add(entry.done[1])
        self._tell()

    def _tell(self) -> None:
        account, tally = self.account, self.tally
        tally.cost, tally.uncertain, tally.spent = account.settled, account.uncertain, account.spent
        self.told(tally)

    # Stopping

    def _halt(self, why: BaseException) -> None:
        """Send nothing more. What is in flight may finish, unless nobody is there or it could not be kept."""
        self.stop = self.stop or why
        keys = list(self.alive) if self.writer.fault or self.nobody else list(self.waiting)
        for task in (self.sender, *(self.alive.get(key) for key in keys)):
            if task is not None:
                task.cancel()

    def _sentence(self, fault: BaseException) -> BaseException:
        if not isinstance(fault, OutOfBudget):
            return fault
        tally, total = self.tally, self.limits.total
        return MentallamaError(
            f"the budget of {self.limits.budget:g} has no room for the next call: {self.account.spent:.6g} spent "
            f"({self.account.uncertain:.6g} of it perhaps), {tally.done}{f' of {total}' if total else ''} calls "
            "answered; the same command with a higher budget goes on"
        )
