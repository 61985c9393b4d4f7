"""Send the requests of teachers that are language models: directly, from a Ray cluster, or by batch files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

from mentallama.llm_api.batch_api.exchange import run_batch_round
from mentallama.llm_api.cost_estimate import CostEstimate, budget_warning
from mentallama.llm_api.dispatcher import OnCommit, dispatch_sync
from mentallama.llm_api.endpoint import Endpoint
from mentallama.llm_api.ledger.ledger import Ledger
from mentallama.llm_api.transport.http import Transport, http_transport
from mentallama.llm_api.transport.ray import ray_transport
from mentallama.llm_api.transport.scripted import scripted_transport
from mentallama.llm_api.types import Limits, Request, RunStats
from mentallama.progress import LogFn, ProgressCallback, progress_bar
from mentallama.teach.cost_estimate import estimate_cost
from mentallama.teach.endpoint_options import N_FIRST_REQUESTS, settle_options
from mentallama.teach.requests import TeachJob, build_requests, labelled_questions


@dataclass(frozen=True)
class DispatchMode:
    """How requests are sent: by batch files in `batch_folder`, from the Ray cluster at `ray_address`, or, if both are
    None, from this process."""

    batch_folder: Path | None = None
    ray_address: str | None = None


FROM_THIS_PROCESS = DispatchMode()


@dataclass(frozen=True)
class RequestSender:
    """Sends requests of a job, and commits their completions to the ledger. `endpoints` is by spec."""

    job: TeachJob
    endpoints: Mapping[str, Endpoint]
    ledger: Ledger
    n_questions: int
    log: LogFn
    mode: DispatchMode = FROM_THIS_PROCESS

    @property
    def limits(self) -> Limits:
        settings = self.job.settings
        return Limits(
            settings.max_concurrency,
            settings.timeout,
            settings.max_attempts,
            settings.budget,
            self.n_questions if settings.method == "single-request" else None,
        )

    def dispatch(
        self, endpoint: Endpoint, requests: Iterable[Request], on_commit: OnCommit = lambda _: None
    ) -> RunStats:
        """Send what the ledger lacks; see `llm_api.dispatcher.dispatch`."""
        return dispatch_sync(
            requests, endpoint, self.ledger, self.limits, on_commit, self._transport(endpoint)
        )

    def log_estimates(self, estimates: Sequence[CostEstimate]) -> None:
        """Log what will be sent and what it will cost, and a warning if the budget will not suffice."""
        for estimate in estimates:
            self.log(f"teach: {estimate.describe()}")
        budget = self.job.settings.budget
        if warning := budget_warning(estimates, budget, self.ledger.total_spent()):
            self.log(f"teach: {warning}")

    def _transport(self, endpoint: Endpoint) -> Transport:
        for teacher in self.job.settings.endpoints:
            if teacher.kind == "scripted" and self.endpoints[teacher.spec].base_url == endpoint.base_url:
                return scripted_transport(Path(teacher.location))
        address = self.mode.ray_address
        return http_transport if address is None else ray_transport(address, self.log)


def query_teachers(sender: RequestSender) -> list[Endpoint]:
    """Ask every question of every endpoint in one request: one endpoint after the other, or all by batch files.

    Returns the endpoints, with the settings that were found out to be needed.
    """
    job, endpoints = sender.job, list(sender.endpoints.values())
    estimates = [estimate_cost(job, endpoint, sender.ledger, sender.n_questions) for endpoint in endpoints]
    sender.log_estimates(estimates)
    if sender.mode.batch_folder is not None:
        _exchange_batches(sender, sender.mode.batch_folder)
        return endpoints
    settled = []
    for original, estimate in zip(endpoints, estimates, strict=True):
        endpoint = settle_options(
            lambda to: list(islice(_requests(job, to), N_FIRST_REQUESTS)),
            original,
            sender.ledger,
            sender.dispatch,
            sender.log,
        )
        settled.append(endpoint)
        with progress_bar(f"teach: ask {endpoint.model}", sender.n_questions, unit="questions") as advance:
            sender.dispatch(endpoint, _requests(job, endpoint), progress_callback(advance, estimate))
    return settled


def _exchange_batches(sender: RequestSender, folder: Path) -> None:
    streams = [(endpoint, partial(_requests, sender.job, endpoint)) for endpoint in sender.endpoints.values()]
    batch_round = run_batch_round(folder, streams, sender.ledger, sender.limits)
    if batch_round.unmatched:
        sender.log(f"teach: {batch_round.unmatched} results in {folder} are of no request of this run")


def _requests(job: TeachJob, endpoint: Endpoint) -> Iterator[Request]:
    return build_requests(job, endpoint, labelled_questions(job))


def progress_callback(advance: ProgressCallback, estimate: CostEstimate | None) -> OnCommit:
    """Advance the progress bar by the requests completed since the last call."""
    shown = 0

    def on_commit(stats: RunStats) -> None:
        nonlocal shown
        advance(stats.done - shown, progress_note(stats, estimate))
        shown = stats.done

    return on_commit


def progress_note(stats: RunStats, estimate: CostEstimate | None) -> str:
    """Text beside the progress bar: cost, refusals and failures so far."""
    parts = []
    if estimate is not None and estimate.cost is not None:
        parts.append(f"cost {stats.cost + stats.uncertain:.4g} of about {estimate.cost:.4g}")
    if stats.refused:
        parts.append(f"{stats.refused} refused")
    if stats.failed:
        parts.append(f"{stats.failed.total()} failed")
    return ", ".join(parts)
