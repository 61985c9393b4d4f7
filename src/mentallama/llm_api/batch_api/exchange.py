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
from mentallama.llm_api.batch_api.request_files import UnansweredRequest, write_requests
from mentallama.llm_api.batch_api.result_files import (
    RESULTS_FOLDER,
    BatchIndex,
    RequestResults,
    open_index,
    parse_batch_result,
)
from mentallama.llm_api.endpoint import Endpoint
from mentallama.llm_api.finish_reason import make_completion
from mentallama.llm_api.ledger.ledger import Ledger
from mentallama.llm_api.limits.budget import BudgetAccount, actual_cost, worst_case
from mentallama.llm_api.run_stats import Limits, RunStats
from mentallama.llm_api.transport.http import AttemptOutcome, FinalOutcome, RetryableFailure, encode_body
from mentallama.llm_api.types import Completion, Request
from mentallama.parallel import batched

LOOKUP_BATCH = 256
"""Calls looked up, and results committed, at a time."""

RETRY_MARKER = ".retry"

EndpointRequests = tuple[Endpoint, Callable[[], Iterable[Request]]]
"""An endpoint, and its calls: a fresh stream of the same ones each time."""


@dataclass
class BatchRound:
    """What one round came to.

    `tally` counts the results read now. `open`: calls to be written, `out`: calls whose results have not come.
    `held`: the most that those out can cost, and tries of open calls that may have been paid for. `foreign`: results
    of no call of this run. `stops`: what would have ended live calls, by sentence. `files`: request files written now,
    with their numbers of requests.
    """

    stats: RunStats = field(default_factory=RunStats)
    unsubmitted: int = 0
    pending: int = 0
    reserved: float = 0.0
    unmatched: int = 0
    fatal_errors: Counter[str] = field(default_factory=Counter)
    files: list[tuple[Path, int]] = field(default_factory=list)

    @property
    def n_written(self) -> int:
        return sum(count for _, count in self.files)


def mark_failed_for_retry(folder: Path) -> None:
    """See to it that the next round writes calls again that their results would set aside.

    The results stay in their files, so it is not enough to take the calls out of the ledger.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RETRY_MARKER).touch()


def run_batch_round(
    folder: Path, endpoint_requests: Sequence[EndpointRequests], ledger: Ledger, limits: Limits
) -> BatchRound:
    """One round; returns where every call has an answer. Of the limits, `attempts` and `budget` are looked at.

    Raises
    ------
    MentallamaError
        Calls have no answer yet: the sentence says what to upload, and what the budget has no room for.
    BadData
        A result file is damaged: what stands before that line is committed, and nothing is written.
    """
    attempts = None if (folder / RETRY_MARKER).exists() else limits.max_attempts
    with open_index(folder) as index:
        now = commit_results(index, endpoint_requests, ledger, attempts)
        if index.fault is not None:
            raise index.fault
        account = BudgetAccount(limits.budget, now.stats.ledger_spent + now.reserved)
        for endpoint, calls in endpoint_requests if now.unsubmitted else ():
            (folder / RESULTS_FOLDER).mkdir(parents=True, exist_ok=True)
            now.files += write_requests(
                folder, _unsubmitted_requests(index, endpoint, calls(), ledger, account)
            )
    if now.n_written == now.unsubmitted:
        (folder / RETRY_MARKER).unlink(missing_ok=True)
    if now.unsubmitted or now.pending:
        raise MentallamaError(_status_message(folder, now, limits.budget))
    return now


def commit_results(
    index: BatchIndex, asked: Sequence[EndpointRequests], ledger: Ledger, max_attempts: int | None
) -> BatchRound:
    """Commit what the results say; reading them again changes nothing.

    `attempts`: failed results after which a call is set aside; None sets none aside.
    """
    reading = _ResultReader(index, ledger, max_attempts)
    try:
        for endpoint, calls in asked:
            for part in batched(calls(), LOOKUP_BATCH):
                reading.commit_chunk(endpoint, index.drop_repeated(part))
    finally:
        ledger.release(reading.account, 0.0)
    reading.batch_round.unmatched = index.count_unmatched()
    reading.batch_round.stats.ledger_spent = ledger.total_spent()
    return reading.batch_round


class _ResultReader:
    def __init__(self, index: BatchIndex, ledger: Ledger, attempts: int | None) -> None:
        self.index, self.ledger, self.max_attempts = index, ledger, attempts
        self.account, self.batch_round = ledger.open_account(), BatchRound()

    def commit_chunk(self, endpoint: Endpoint, calls: Sequence[Request]) -> None:
        """Commit the ends of some calls in one go."""
        found, answers = self.index.lookup(calls), self.ledger.get_completions([call.hash for call in calls])
        done: list[tuple[Request, Completion]] = []
        uncertain = 0.0
        for call in calls:
            known, here = answers.get(call.hash), found[call.hash]
            if known is not None and (known.state != "failed" or not here.locations):
                self.batch_round.stats.cached += 1
                continue
            end, perhaps = self._final_completion(endpoint, call, here)
            if end is not None and (known is None or end.state != "failed"):
                done.append((call, end))
                uncertain += perhaps
            elif known is not None:
                self.batch_round.stats.cached += 1
            else:
                self._count_unfinished(endpoint, call, here, perhaps)
        if done:
            self.ledger.commit(done, self.account, uncertain)
            self._count_finished(done, uncertain)

    def _final_completion(
        self, endpoint: Endpoint, call: Request, found: RequestResults
    ) -> tuple[Completion | None, float]:
        """The end that a call's results come to, if any; and what the other results may have cost."""
        outcomes = [
            parse_batch_result(endpoint, call, line, self.batch_round.fatal_errors) for line in found.lines()
        ]
        end = resolve_outcomes(outcomes, found.is_pending, self.max_attempts)
        amount = _worst_cost(endpoint, call)
        perhaps = sum(_possible_cost(endpoint, each, amount) for each in outcomes if each is not end)
        if end is None:
            return None, perhaps
        answer, lost = make_completion(endpoint, call, end, sum(_was_executed(each) for each in outcomes))
        return answer, perhaps + (amount if lost else 0.0)

    def _count_unfinished(
        self, endpoint: Endpoint, call: Request, found: RequestResults, perhaps: float
    ) -> None:
        self.batch_round.reserved += perhaps + (_worst_cost(endpoint, call) if found.is_pending else 0.0)
        self.batch_round.pending += found.is_pending
        self.batch_round.unsubmitted += not found.is_pending

    def _count_finished(self, done: Sequence[tuple[Request, Completion]], uncertain: float) -> None:
        tally = self.batch_round.stats
        for _, answer in done:
            tally.add(answer)
            tally.cost += answer.cost or 0.0
        tally.uncertain += uncertain


def resolve_outcomes(
    outcomes: Sequence[AttemptOutcome], pending: bool, attempts: int | None
) -> AttemptOutcome | None:
    """What a call's results come to, in their order; None where it must be waited for or asked again.

    A call none of whose requests is `out` is set aside: by a result that the next request would meet again, or by
    `attempts` failures of requests that were executed.
    """
    replies = [each for each in outcomes if isinstance(each, FinalOutcome)]
    for state in ("answered", "refused"):
        for reply in replies:
            if reply.state == state:
                return reply
    failures = [each for each in outcomes if isinstance(each, RetryableFailure) and each.connected]
    if pending or attempts is None:
        return None
    if replies:
        return replies[-1]
    return failures[-1] if len(failures) >= attempts else None


def _was_executed(outcome: AttemptOutcome) -> bool:
    return isinstance(outcome, FinalOutcome) or outcome.connected


def _possible_cost(endpoint: Endpoint, outcome: AttemptOutcome, most: float) -> float:
    """What a result may have cost beside the one that counts."""
    if isinstance(outcome, RetryableFailure):
        return most if outcome.maybe_billed else 0.0
    cost = actual_cost(endpoint.settings, outcome.usage)
    return (most if cost is None else cost) if outcome.billed else 0.0


def _worst_cost(endpoint: Endpoint, call: Request) -> float:
    return worst_case(endpoint.settings, call.body, len(encode_body(call.body)))[1]


def _unsubmitted_requests(
    index: BatchIndex, endpoint: Endpoint, calls: Iterable[Request], ledger: Ledger, account: BudgetAccount
) -> Iterator[UnansweredRequest]:
    """Open calls with no request out, as many as fit the budget."""
    for part in batched(calls, LOOKUP_BATCH):
        fresh = {call.hash: call for call in part}
        known, found = ledger.known_hashes(list(fresh)), index.lookup(list(fresh.values()))
        for call in fresh.values():
            if call.hash in known or found[call.hash].is_pending:
                continue
            amount = _worst_cost(endpoint, call)
            if not account.fits(amount):
                return
            account.add_in_flight(amount)
            results = len(found[call.hash].locations)
            index.add_submitted(call, results)
            yield call, results


def _status_message(folder: Path, now: BatchRound, budget: float | None) -> str:
    left, parts, results = now.unsubmitted - now.n_written, [], folder / RESULTS_FOLDER
    if now.files:
        names = " to ".join(dict.fromkeys((now.files[0][0].name, now.files[-1][0].name)))
        parts.append(
            f"{_pluralise(now.n_written, 'request')} in {_pluralise(len(now.files), 'new file')} in {folder} ({names}): upload "
            f"each as a batch, put the result files into {results}, and run the same command again"
        )
    if now.pending:
        parts.append(
            f"{_pluralise(now.pending, 'request')} written earlier, without a result so far: put the result files into "
            f"{results} and run the same command again (a request file that you delete is written anew)"
        )
    if left:
        parts.append(
            f"the budget of {budget:g} has no room for {left} more: {now.stats.ledger_spent:.6g} is spent and "
            f"{now.reserved:.6g} may still be, before what is written now; a higher budget goes on"
        )
    parts += [
        f"{_pluralise(count, 'result')} with this fault: {stop}" for stop, count in now.fatal_errors.items()
    ]
    if now.unmatched:
        parts.append(f"{_pluralise(now.unmatched, 'result')} of no call of this run")
    return "; ".join(parts)


def _pluralise(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count != 1)}"
