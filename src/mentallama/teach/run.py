"""Teach: ask each teacher to explain every labelled question of the posts.

    mentallama teach recipes/sample-build.yaml

Reads posts. Writes `responses.jsonl.zst` in the order of posts, questions and teachers, `failed_requests.jsonl`
(questions without an answer, and why), `disagreements.jsonl` (questions that teachers answered with different labels)
and `summary.json` (counts, refusals by label, cost by task). No file contains a time.

Every completion is committed to the ledger, a file outside the stage's folder, before it counts. Requests that the
ledger has completed are not sent again, so the same command resumes a killed run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from mentallama.errors import UsageError
from mentallama.files.atomic import write_json
from mentallama.files.record_files import read_records
from mentallama.llm_api.batch_api.exchange import run_batch_round
from mentallama.llm_api.cost_estimate import CostEstimate, budget_warning
from mentallama.llm_api.data_agreements import refuse_posts_under_agreement
from mentallama.llm_api.dispatcher import OnCommit, dispatch_sync
from mentallama.llm_api.endpoint import Endpoint
from mentallama.llm_api.ledger.ledger import Ledger
from mentallama.llm_api.transport.http import http_transport
from mentallama.llm_api.transport.ray import ray_transport
from mentallama.llm_api.types import Limits, Request, RunStats
from mentallama.progress import LogFn, ProgressCallback, progress_bar
from mentallama.prompts.example_overlap import left_out_examples, without_overlap
from mentallama.prompts.few_shot import (
    FewShotRow,
    ShotSampler,
    build_shot_sampler,
    count_real_examples,
    read_examples,
)
from mentallama.records import Post
from mentallama.run_files import SUMMARY_FILE
from mentallama.teach.cost_estimate import estimate_cost
from mentallama.teach.endpoint_options import settle_options
from mentallama.teach.requests import TeachJob, build_requests, count_real_posts, labelled_questions
from mentallama.teach.responses import compose_responses
from mentallama.teach.summary import TeachSummary
from mentallama.teach.teachers import (
    AnalystLoader,
    completion_sources,
    open_endpoints,
    with_settled_options,
)


@dataclass(frozen=True)
class DispatchMode:
    """How requests are sent: by batch files in `batch_folder`, from the Ray cluster at `ray_address`, or, if both are
    None, from this process."""

    batch_folder: Path | None = None
    ray_address: str | None = None


def run(  # noqa: PLR0913, PLR0917 - everything that a stage cannot know by itself
    job: TeachJob,
    out: Path,
    ledger_path: Path,
    load_analyst: AnalystLoader,
    environ: Mapping[str, str],
    log: LogFn,
    dispatch_mode: DispatchMode = DispatchMode(),
) -> TeachSummary:
    """Ask all teachers, and write their responses into `out`.

    Parameters
    ----------
    ledger_path
        The file of paid completions; created if needed. Used by remote teachers only.
    load_analyst
        Loads the analyst of a teacher `embedded` or `linear:DIR`.
    environ
        Holds the API keys of the endpoints.
    log
        Receives the cost estimate, before anything is sent.

    Raises
    ------
    UsageError
        There is no question to ask; posts under an agreement would be sent; a key, a model or an example is wrong.
    MentallamaError
        The endpoint is down or the budget is used up: completed requests are kept. Or batch requests await results.
    """
    counts = Counter((question.task.set, question.example.question) for question in labelled_questions(job))
    if not counts:
        splits = " and ".join(job.settings.splits)
        raise UsageError(f"{job.posts}: no post of {splits} has a label to explain")
    few_shot_rows = [row for row in _load_few_shot_rows(job, log) if (row.set, row.question) in counts]
    _refuse_posts_under_agreement(job, few_shot_rows)
    job = replace(job, shot_samplers=_shot_samplers(job, few_shot_rows, counts))
    endpoints = open_endpoints(job.settings.teacher, environ)
    with ExitStack() as stack:
        ledger = stack.enter_context(Ledger(ledger_path)) if endpoints else None
        sources = completion_sources(job, endpoints, ledger, load_analyst)
        if ledger is not None:
            settled = _query_remote_teachers(
                job, list(endpoints.values()), ledger, counts.total(), log, dispatch_mode
            )
            sources = with_settled_options(sources, endpoints.values(), settled)
        summary = compose_responses(job, sources, out, counts.total()).summary(job)
    write_json(out / SUMMARY_FILE, summary.model_dump(mode="json"))
    return summary


def _refuse_posts_under_agreement(job: TeachJob, few_shot_rows: Sequence[FewShotRow]) -> None:
    n_real_texts = count_real_posts(labelled_questions(job)) + count_real_examples(few_shot_rows)
    remote_models = [teacher.spec for teacher in job.settings.teacher if teacher.remote]
    alternative = "choose other sets or teacher: embedded"
    refuse_posts_under_agreement(
        n_real_texts, job.tasks, remote_models, job.settings.allow_remote, alternative
    )


def _load_few_shot_rows(job: TeachJob, log: LogFn) -> list[FewShotRow]:
    """Read the examples of prompts, without published ones about test posts; raise if another one is about one."""
    if not job.settings.examples:
        return []
    rows = read_examples(job.settings.examples, job.tasks)
    kept = without_overlap(rows, (post for post in read_records(job.posts, Post) if post.split == "test"))
    if len(kept) < len(rows):
        log(f"teach: {left_out_examples(rows, kept)}")
    return kept


def _shot_samplers(
    job: TeachJob, rows: Sequence[FewShotRow], set_questions: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], ShotSampler]:
    if not job.settings.examples:
        return {}
    return {
        (name, question): build_shot_sampler(rows, job.tasks[name], question, job.settings.shots, job.seed)
        for name, question in set_questions
    }


def _query_remote_teachers(
    job: TeachJob,
    endpoints: Sequence[Endpoint],
    ledger: Ledger,
    n_questions: int,
    log: LogFn,
    dispatch_mode: DispatchMode,
) -> list[Endpoint]:
    """Log the cost estimates, then query one endpoint after the other, or all by batch files.

    Returns the endpoints, with the settings that were found out to be needed.
    """
    settings = job.settings
    estimates = [estimate_cost(job, endpoint, ledger, n_questions) for endpoint in endpoints]
    for estimate in estimates:
        log(f"teach: {estimate.describe()}")
    if warning := budget_warning(estimates, settings.budget, ledger.total_spent()):
        log(f"teach: {warning}")
    limits = Limits(
        settings.max_concurrency, settings.timeout, settings.max_attempts, settings.budget, n_questions
    )
    if dispatch_mode.batch_folder is not None:
        streams = [(endpoint, partial(_requests, job, endpoint)) for endpoint in endpoints]
        batch_round = run_batch_round(dispatch_mode.batch_folder, streams, ledger, limits)
        if batch_round.unmatched:
            log(
                f"teach: {batch_round.unmatched} results in {dispatch_mode.batch_folder} are of no request of this run"
            )
        return list(endpoints)
    address = dispatch_mode.ray_address
    transport = http_transport if address is None else ray_transport(address, log)
    settled = []
    for original, estimate in zip(endpoints, estimates, strict=True):

        def send(to: Endpoint, requests: Iterable[Request]) -> RunStats:
            return dispatch_sync(requests, to, ledger, limits, lambda _: None, transport)

        endpoint = settle_options(job, original, ledger, send, log)
        settled.append(endpoint)
        with progress_bar(f"teach: ask {endpoint.model}", n_questions, unit="questions") as advance:
            on_commit = _progress_callback(advance, estimate)
            dispatch_sync(_requests(job, endpoint), endpoint, ledger, limits, on_commit, transport)
    return settled


def _requests(job: TeachJob, endpoint: Endpoint) -> Iterator[Request]:
    return build_requests(job, endpoint, labelled_questions(job))


def _progress_callback(advance: ProgressCallback, estimate: CostEstimate) -> OnCommit:
    """Advance the progress bar by the requests completed since the last call."""
    shown = 0

    def on_commit(stats: RunStats) -> None:
        nonlocal shown
        advance(stats.done - shown, progress_note(stats, estimate))
        shown = stats.done

    return on_commit


def progress_note(stats: RunStats, estimate: CostEstimate) -> str:
    """Text beside the progress bar: cost, refusals and failures so far."""
    parts = []
    if estimate.cost is not None:
        parts.append(f"cost {stats.cost + stats.uncertain:.4g} of about {estimate.cost:.4g}")
    if stats.refused:
        parts.append(f"{stats.refused} refused")
    if stats.failed:
        parts.append(f"{stats.failed.total()} failed")
    return ", ".join(parts)
