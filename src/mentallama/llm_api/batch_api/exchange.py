"""Ask by a provider's batch files instead of calling: read the results there are, write requests for what is open.

A run in this mode is rounds of one command. Each reads every file in `results/` again, commits what is new to the
ledger, and writes request files for calls that have neither an answer nor a request whose result is still out. When
nothing is open, the run goes on. A request file that is deleted is no longer out: its calls are written anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mentallama.errors import MentallamaError
from mentallama.llm_api.batch_api.request_files import Again, write_requests
from mentallama.llm_api.batch_api.result_files import RESULTS, Found, Index, open_index, read_outcome
from mentallama.llm_api.endpoint import Endpoint
from mentallama.llm_api.finish_reason import finish
from mentallama.llm_api.ledger.ledger import Ledger
from mentallama.llm_api.limits.budget import Account, cost_of, worst_case
from mentallama.llm_api.run_stats import Limits, Tally
from mentallama.llm_api.transport.http import Failure, Outcome, Reply, write_body
from mentallama.llm_api.types import Answer, Call
from mentallama.parallel import batches

GROUP = 256
"""Calls looked up, and results committed, at a time."""

RETRY = ".retry"

Asked = tuple[Endpoint, Callable[[], Iterable[Call]]]
"""An endpoint, and its calls: a fresh stream of the same ones each time."""


@dataclass
class Round:
    """What one round came to.

    `tally` counts the results read now. `open`: calls to be written, `out`: calls whose results have not come.
    `held`: the most that those out can cost, and tries of open calls that may have been paid for. `foreign`: results
    of no call of this run. `stops`: what would have ended live calls, by sentence. `files`: request files written now,
    with their numbers of requests.
    """

    tally: Tally = field(default_factory=Tally)
    open: int = 0
    out: int = 0
    held: float = 0.0
    foreign: int = 0
    stops: Counter[str] = field(default_factory=Counter)
    files: list[tuple[Path, int]] = field(default_factory=list)

    @property
    def written(self) -> int:
        return sum(count for _, count in self.files)


def retry_aside(folder: Path) -> None:
    """See to it that the next round writes calls again that their results would set aside.

    The results stay in their files, so it is not enough to take the calls out of the ledger.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RETRY).touch()


def exchange(folder: Path, asked: Sequence[Asked], ledger: Ledger, limits: Limits) -> Round:
    """One round; returns where every call has an answer. Of the limits, `attempts` and `budget` are looked at.

    Raises
    ------
    MentallamaError
        Calls have no answer yet: the sentence says what to upload, and what the budget has no room for.
    BadData
        A result file is damaged: what stands before that line is committed, and nothing is written.
    """
    attempts = None if (folder / RETRY).exists() else limits.attempts
    with open_index(folder) as index:
        now = read_results(index, asked, ledger, attempts)
        if index.fault is not None:
            raise index.fault
        account = Account(limits.budget, now.tally.spent + now.held)
        for endpoint, calls in asked if now.open else ():
            (folder / RESULTS).mkdir(parents=True, exist_ok=True)
            now.files += write_requests(folder, _to_write(index, endpoint, calls(), ledger, account))
    if now.written == now.open:
        (folder / RETRY).unlink(missing_ok=True)
    if now.open or now.out:
        raise MentallamaError(_sentence(folder, now, limits.budget))
    return now


def read_results(index: Index, asked: Sequence[Asked], ledger: Ledger, attempts: int | None) -> Round:
    """Commit what the results say; reading them again changes nothing.

    `attempts`: failed results after which a call is set aside; None sets none aside.
    """
    reading = _Reading(index, ledger, attempts)
    try:
        for endpoint, calls in asked:
            for part in batches(calls(), GROUP):
                reading.part(endpoint, index.fresh(part))
    finally:
        ledger.release(reading.account, 0.0)
    reading.now.foreign = index.foreign()
    reading.now.tally.spent = ledger.spent()
    return reading.now


class _Reading:
    def __init__(self, index: Index, ledger: Ledger, attempts: int | None) -> None:
        self.index, self.ledger, self.attempts = index, ledger, attempts
        self.account, self.now = ledger.open_account(), Round()

    def part(self, endpoint: Endpoint, calls: Sequence[Call]) -> None:
        """Commit the ends of some calls in one go."""
        found, answers = self.index.look(calls), self.ledger.read([call.hash for call in calls])
        done: list[tuple[Call, Answer]] = []
        uncertain = 0.0
        for call in calls:
            known, here = answers.get(call.hash), found[call.hash]
            if known is not None and (known.state != "aside" or not here.places):
                self.now.tally.known += 1
                continue
            end, perhaps = self._end(endpoint, call, here)
            if end is not None and (known is None or end.state != "aside"):
                done.append((call, end))
                uncertain += perhaps
            elif known is not None:
                self.now.tally.known += 1
            else:
                self._count_open(endpoint, call, here, perhaps)
        if done:
            self.ledger.commit(done, self.account, uncertain)
            self._count_done(done, uncertain)

    def _end(self, endpoint: Endpoint, call: Call, found: Found) -> tuple[Answer | None, float]:
        """The end that a call's results come to, if any; and what the other results may have cost."""
        outcomes = [read_outcome(endpoint, call, line, self.now.stops) for line in found.lines()]
        end = judge(outcomes, found.out, self.attempts)
        amount = _worst(endpoint, call)
        perhaps = sum(_paid(endpoint, each, amount) for each in outcomes if each is not end)
        if end is None:
            return None, perhaps
        answer, lost = finish(endpoint, call, end, sum(_ran(each) for each in outcomes))
        return answer, perhaps + (amount if lost else 0.0)

    def _count_open(self, endpoint: Endpoint, call: Call, found: Found, perhaps: float) -> None:
        self.now.held += perhaps + (_worst(endpoint, call) if found.out else 0.0)
        self.now.out += found.out
        self.now.open += not found.out

    def _count_done(self, done: Sequence[tuple[Call, Answer]], uncertain: float) -> None:
        tally = self.now.tally
        for _, answer in done:
            tally.add(answer)
            tally.cost += answer.cost or 0.0
        tally.uncertain += uncertain


def judge(outcomes: Sequence[Outcome], out: bool, attempts: int | None) -> Outcome | None:
    """What a call's results come to, in their order; None where it must be waited for or asked again.

    A call none of whose requests is `out` is set aside: by a result that the next request would meet again, or by
    `attempts` failures of requests that were executed.
    """
    replies = [each for each in outcomes if isinstance(each, Reply)]
    for state in ("answered", "refused"):
        for reply in replies:
            if reply.state == state:
                return reply
    failures = [each for each in outcomes if isinstance(each, Failure) and each.reached]
    if out or attempts is None:
        return None
    if replies:
        return replies[-1]
    return failures[-1] if len(failures) >= attempts else None


def _ran(outcome: Outcome) -> bool:
    return isinstance(outcome, Reply) or outcome.reached


def _paid(endpoint: Endpoint, outcome: Outcome, most: float) -> float:
    """What a result may have cost beside the one that counts."""
    if isinstance(outcome, Failure):
        return most if outcome.lost else 0.0
    cost = cost_of(endpoint.teacher, outcome.usage)
    return (most if cost is None else cost) if outcome.charged else 0.0


def _worst(endpoint: Endpoint, call: Call) -> float:
    return worst_case(endpoint.teacher, call.body, len(write_body(call.body)))[1]


def _to_write(
    index: Index, endpoint: Endpoint, calls: Iterable[Call], ledger: Ledger, account: Account
) -> Iterator[Again]:
    """Open calls with no request out, as many as fit the budget."""
    for part in batches(calls, GROUP):
        fresh = {call.hash: call for call in part}
        known, found = ledger.known(list(fresh)), index.look(list(fresh.values()))
        for call in fresh.values():
            if call.hash in known or found[call.hash].out:
                continue
            amount = _worst(endpoint, call)
            if not account.fits(amount):
                return
            account.take(amount)
            results = len(found[call.hash].places)
            index.write(call, results)
            yield call, results


def _sentence(folder: Path, now: Round, budget: float | None) -> str:
    left, parts, results = now.open - now.written, [], folder / RESULTS
    if now.files:
        names = " to ".join(dict.fromkeys((now.files[0][0].name, now.files[-1][0].name)))
        parts.append(
            f"{_many(now.written, 'request')} in {_many(len(now.files), 'new file')} in {folder} ({names}): upload "
            f"each as a batch, put the result files into {results}, and run the same command again"
        )
    if now.out:
        parts.append(
            f"{_many(now.out, 'request')} written earlier, without a result so far: put the result files into "
            f"{results} and run the same command again (a request file that you delete is written anew)"
        )
    if left:
        parts.append(
            f"the budget of {budget:g} has no room for {left} more: {now.tally.spent:.6g} is spent and "
            f"{now.held:.6g} may still be, before what is written now; a higher budget goes on"
        )
    parts += [f"{_many(count, 'result')} with this fault: {stop}" for stop, count in now.stops.items()]
    if now.foreign:
        parts.append(f"{_many(now.foreign, 'result')} of no call of this run")
    return "; ".join(parts)


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count != 1)}"
