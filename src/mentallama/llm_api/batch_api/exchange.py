"""Exchange files with a provider's batch API: read result files, write request files for what is still open.

A run in this mode takes several rounds of the same command. Each round reads every file in `results/` again, commits
new completions to the ledger, and writes request files for requests that have neither a completion nor a pending
result. When nothing is left, the run continues. Deleting a request file makes its requests open again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mentallama.errors import MentallamaError, counted
from mentallama.llm_api.batch_api.request_files import (
    RESULTS_FOLDER,
    RETRY_MARKER,
    UnansweredRequest,
    write_requests,
)
from mentallama.llm_api.batch_api.result_files import (
    BatchIndex,
    RequestResults,
    open_index,
    parse_batch_result,
)
from mentallama.llm_api.endpoint import Endpoint
from mentallama.llm_api.ledger.ledger import Ledger
from mentallama.llm_api.limits.budget import BudgetAccount, actual_cost, worst_case
from mentallama.llm_api.transport.http import (
    AttemptOutcome,
    FinalOutcome,
    RetryableFailure,
    encode_body,
    make_completion,
)
from mentallama.llm_api.types import Completion, Limits, Request, RunStats
from mentallama.parallel import batched

LOOKUP_BATCH = 256
"""Requests looked up, and completions committed, at a time."""

EndpointRequests = tuple[Endpoint, Callable[[], Iterable[Request]]]
"""An endpoint, and a function that returns a new iterator over its requests."""


@dataclass
class BatchRound:
    """Result of one round.

    Attributes
    ----------
    stats
        Totals of the completions read in this round.
    unsubmitted, pending
        Open requests without, and with, a result to wait for.
    reserved
        Worst-case cost of pending requests, and of results of open requests that may be billed.
    unmatched
        Results that belong to no request of this run.
    fatal_errors
        Errors that would have ended a run of live requests, by message.
    files
        Request files written in this round, with their numbers of requests.
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
    """Make the next round write failed requests again.

    Their results stay in the result files, so deleting them from the ledger is not enough.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RETRY_MARKER).touch()


def run_batch_round(
    folder: Path, endpoint_requests: Sequence[EndpointRequests], ledger: Ledger, limits: Limits
) -> BatchRound:
    """Run one round; return if every request has a completion. Only `max_attempts` and `budget` of `limits` apply.

    Raises
    ------
    MentallamaError
        Requests are open or pending: the message says what to upload, and what the budget does not cover.
    DataError
        A result file is damaged: results before that line are committed, and no request file is written.
    """
    max_attempts = None if (folder / RETRY_MARKER).exists() else limits.max_attempts
    with open_index(folder) as index:
        batch_round = commit_results(index, endpoint_requests, ledger, max_attempts)
        if index.error is not None:
            raise index.error
        account = BudgetAccount(limits.budget, batch_round.stats.ledger_spent + batch_round.reserved)
        for endpoint, open_requests in endpoint_requests if batch_round.unsubmitted else ():
            (folder / RESULTS_FOLDER).mkdir(parents=True, exist_ok=True)
            unsubmitted = _unsubmitted_requests(index, endpoint, open_requests(), ledger, account)
            batch_round.files += write_requests(folder, unsubmitted)
    if batch_round.n_written == batch_round.unsubmitted:
        (folder / RETRY_MARKER).unlink(missing_ok=True)
    if batch_round.unsubmitted or batch_round.pending:
        raise MentallamaError(_status_message(folder, batch_round, limits.budget))
    return batch_round


def commit_results(
    index: BatchIndex,
    endpoint_requests: Sequence[EndpointRequests],
    ledger: Ledger,
    max_attempts: int | None,
) -> BatchRound:
    """Commit the completions that the results determine; committing the same results again changes nothing.

    A request fails after `max_attempts` failed results; None: never.
    """
    reader = _ResultReader(index, ledger, max_attempts)
    try:
        for endpoint, open_requests in endpoint_requests:
            for batch in batched(open_requests(), LOOKUP_BATCH):
                reader.commit_chunk(endpoint, index.drop_repeated(batch))
    finally:
        ledger.release(reader.account, 0.0)
    reader.batch_round.unmatched = index.count_unmatched()
    reader.batch_round.stats.ledger_spent = ledger.total_spent()
    return reader.batch_round


class _ResultReader:
    """Commits completions chunk by chunk, and counts what is still open."""

    def __init__(self, index: BatchIndex, ledger: Ledger, max_attempts: int | None) -> None:
        self.index, self.ledger, self.max_attempts = index, ledger, max_attempts
        self.account, self.batch_round = ledger.open_account(), BatchRound()

    def commit_chunk(self, endpoint: Endpoint, requests: Sequence[Request]) -> None:
        """Commit the completions of some requests in one transaction."""
        results = self.index.lookup(requests)
        completions = self.ledger.get_completions([request.hash for request in requests])
        completed: list[tuple[Request, Completion]] = []
        uncertain = 0.0
        for request in requests:
            known, request_results = completions.get(request.hash), results[request.hash]
            if known is not None and (known.state != "failed" or not request_results.locations):
                self.batch_round.stats.cached += 1
                continue
            final, uncertain_cost = self._final_completion(endpoint, request, request_results)
            if final is not None and (known is None or final.state != "failed"):
                completed.append((request, final))
                uncertain += uncertain_cost
            elif known is not None:
                self.batch_round.stats.cached += 1
            else:
                self._count_unfinished(endpoint, request, request_results, uncertain_cost)
        if completed:
            self.ledger.commit(completed, self.account, uncertain)
            self._count_finished(completed, uncertain)

    def _final_completion(
        self, endpoint: Endpoint, request: Request, results: RequestResults
    ) -> tuple[Completion | None, float]:
        """The completion that a request's results determine, if any, and what else they may have cost."""
        outcomes = [
            parse_batch_result(endpoint, request, line, self.batch_round.fatal_errors)
            for line in results.lines()
        ]
        final = resolve_outcomes(outcomes, results.is_pending, self.max_attempts)
        worst_cost = _worst_cost(endpoint, request)
        uncertain = sum(
            _possible_cost(endpoint, outcome, worst_cost) for outcome in outcomes if outcome is not final
        )
        if final is None:
            return None, uncertain
        attempts = sum(_was_executed(outcome) for outcome in outcomes)
        completion, cost_unknown = make_completion(endpoint, request, final, attempts)
        return completion, uncertain + (worst_cost if cost_unknown else 0.0)

    def _count_unfinished(
        self, endpoint: Endpoint, request: Request, results: RequestResults, uncertain: float
    ) -> None:
        pending_cost = _worst_cost(endpoint, request) if results.is_pending else 0.0
        self.batch_round.reserved += uncertain + pending_cost
        self.batch_round.pending += results.is_pending
        self.batch_round.unsubmitted += not results.is_pending

    def _count_finished(self, completed: Sequence[tuple[Request, Completion]], uncertain: float) -> None:
        stats = self.batch_round.stats
        for _, completion in completed:
            stats.add(completion)
            stats.cost += completion.cost or 0.0
        stats.uncertain += uncertain


def resolve_outcomes(
    outcomes: Sequence[AttemptOutcome], pending: bool, max_attempts: int | None
) -> AttemptOutcome | None:
    """Choose the outcome that ends a request; None if it must be waited for or written again.

    The first answer counts, else the first refusal. A request that is not `pending` fails by an outcome that a retry
    would not change, or by `max_attempts` failures of attempts that were executed (None: never).
    """
    final = [outcome for outcome in outcomes if isinstance(outcome, FinalOutcome)]
    for state in ("answered", "refused"):
        for outcome in final:
            if outcome.state == state:
                return outcome
    if pending or max_attempts is None:
        return None
    if final:
        return final[-1]
    failures = [outcome for outcome in outcomes if _was_executed(outcome)]
    return failures[-1] if len(failures) >= max_attempts else None


def _was_executed(outcome: AttemptOutcome) -> bool:
    return isinstance(outcome, FinalOutcome) or outcome.connected


def _possible_cost(endpoint: Endpoint, outcome: AttemptOutcome, worst_cost: float) -> float:
    """Possible cost of a result that is not used."""
    if isinstance(outcome, RetryableFailure):
        return worst_cost if outcome.maybe_billed else 0.0
    cost = actual_cost(endpoint.settings, outcome.usage)
    return (worst_cost if cost is None else cost) if outcome.billed else 0.0


def _worst_cost(endpoint: Endpoint, request: Request) -> float:
    return worst_case(endpoint.settings, request.body, len(encode_body(request.body)))[1]


def _unsubmitted_requests(
    index: BatchIndex,
    endpoint: Endpoint,
    requests: Iterable[Request],
    ledger: Ledger,
    account: BudgetAccount,
) -> Iterator[UnansweredRequest]:
    """Yield open requests without a pending result, as many as fit the budget."""
    for batch in batched(requests, LOOKUP_BATCH):
        by_hash = {request.hash: request for request in batch}
        known, results = ledger.known_hashes(list(by_hash)), index.lookup(list(by_hash.values()))
        for request in by_hash.values():
            if request.hash in known or results[request.hash].is_pending:
                continue
            cost = _worst_cost(endpoint, request)
            if not account.fits(cost):
                return
            account.add_in_flight(cost)
            n_results = len(results[request.hash].locations)
            index.add_submitted(request, n_results)
            yield request, n_results


def _status_message(folder: Path, batch_round: BatchRound, budget: float | None) -> str:
    results_folder, parts = folder / RESULTS_FOLDER, []
    if batch_round.files:
        first, last = batch_round.files[0][0].name, batch_round.files[-1][0].name
        names = first if first == last else f"{first} to {last}"
        parts.append(
            f"{counted(batch_round.n_written, 'request')} in {counted(len(batch_round.files), 'new file')} in "
            f"{folder} ({names}): upload each as a batch, put the result files into {results_folder}, and run the same "
            "command again"
        )
    if batch_round.pending:
        parts.append(
            f"{counted(batch_round.pending, 'request')} written earlier without a result yet: put the result files "
            f"into {results_folder} and run the same command again (a request file that you delete is written again)"
        )
    if over_budget := batch_round.unsubmitted - batch_round.n_written:
        parts.append(
            f"the budget of {budget:g} does not cover {over_budget} more: {batch_round.stats.ledger_spent:.6g} "
            "is spent "
            f"and {batch_round.reserved:.6g} reserved, not counting the new files; a higher budget resumes"
        )
    parts += [
        f"{counted(count, 'result')} with this error: {message}"
        for message, count in batch_round.fatal_errors.items()
    ]
    if batch_round.unmatched:
        parts.append(f"{counted(batch_round.unmatched, 'result')} of no request of this run")
    return "; ".join(parts)
