"""Teach: every labelled question of the posts is asked of each teacher, and answered with an explanation.

    mentallama teach recipes/sample-build.yaml

Reads posts. Writes `responses.jsonl.zst` in the order of posts, questions and teachers, `failed_requests.jsonl` (questions
without an answer, and why), `disagreements.jsonl` (questions that teachers answer differently) and `summary.json`:
counts, refusals by label, cost by task. No file holds a clock.

Every finished call is in the ledger, a file outside the stage's folder, before it counts. What the ledger answers is
not asked again, so a killed run is resumed by the same command.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from mentallama.errors import UsageError
from mentallama.files.record_files import read_records, write_json
from mentallama.llm_api.batch_api.exchange import run_batch_round
from mentallama.llm_api.data_agreements import refuse_posts_under_agreement
from mentallama.llm_api.dispatcher import OnCommit, dispatch_sync
from mentallama.llm_api.endpoint import Endpoint
from mentallama.llm_api.ledger.ledger import Ledger
from mentallama.llm_api.run_stats import Limits, RunStats
from mentallama.llm_api.transport.http import http_transport
from mentallama.llm_api.transport.ray import ray_transport
from mentallama.llm_api.types import Request
from mentallama.progress import LogFn, ProgressCallback, progress_bar
from mentallama.records import Post
from mentallama.run_files import SUMMARY_FILE
from mentallama.teach.cost_estimate import CostEstimate, budget_warning, estimate_cost
from mentallama.teach.few_shot import (
    FewShotRow,
    ShotSampler,
    build_shot_sampler,
    read_few_shot_rows,
    refuse_test_overlap,
)
from mentallama.teach.governance import count_real_examples, count_real_posts
from mentallama.teach.requests import TeachJob, build_requests, labelled_questions
from mentallama.teach.responses import compose_responses
from mentallama.teach.summary import TeachSummary
from mentallama.teach.teachers import AnalystLoader, completion_sources, open_endpoints


@dataclass(frozen=True)
class DispatchMode:
    """How endpoints are asked: by batch files in the folder `batch`, by calls from the Ray cluster at `ray`, or, where
    there is neither, by calls from here."""

    batch_folder: Path | None = None
    ray_address: str | None = None


def run(  # noqa: PLR0913, PLR0917 - what a stage cannot know by itself
    job: TeachJob,
    out: Path,
    ledger: Path,
    open_analyst: AnalystLoader,
    environ: Mapping[str, str],
    log: LogFn,
    dispatch_mode: DispatchMode = DispatchMode(),
) -> TeachSummary:
    """Ask all teachers, and write what they answered.

    Parameters
    ----------
    ledger
        The file of paid answers; made where there is none. Only remote teachers need it.
    open_analyst
        Opens the analyst behind `embedded` or `linear:DIR`.
    environ
        Holds the endpoints' keys.
    say
        Is told the estimate, before anything is sent.

    Raises
    ------
    WrongUse
        There is nothing to ask; a set with an agreement would be sent; a key, a model or an example is wrong.
    MentallamaError
        The endpoint is down or the budget used up: what was answered is kept. Or batch files wait for their results.
    """
    count = Counter((each.task.set, each.example.question) for each in labelled_questions(job))
    if not count:
        raise UsageError(
            f"{job.posts}: no post of {' and '.join(job.settings.splits)} has a label to explain"
        )
    rows = [row for row in _load_few_shot_rows(job) if (row.set, row.question) in count]
    _refuse_posts_under_agreement(job, rows)
    job = replace(job, shot_samplers=_shot_samplers(job, rows, count))
    endpoints = open_endpoints(job.settings.teacher, environ)
    with ExitStack() as opened:
        kept = opened.enter_context(Ledger(ledger)) if endpoints else None
        teachers = completion_sources(job, endpoints, kept, open_analyst)
        if kept is not None:
            _query_remote_teachers(job, list(endpoints.values()), kept, count.total(), log, dispatch_mode)
        summary = compose_responses(job, teachers, out, count.total()).summary(job)
    write_json(out / SUMMARY_FILE, summary.model_dump(mode="json"))
    return summary


def _refuse_posts_under_agreement(lesson: TeachJob, rows: Sequence[FewShotRow]) -> None:
    settings, real = lesson.settings, count_real_posts(labelled_questions(lesson)) + count_real_examples(rows)
    remote = [teacher.spec for teacher in settings.teacher if teacher.remote]
    instead = "choose other sets or teacher: embedded"
    refuse_posts_under_agreement(real, lesson.tasks, remote, settings.allow_remote, instead)


def _load_few_shot_rows(lesson: TeachJob) -> list[FewShotRow]:
    """The examples of few-shot prompts; none of them may stand in a test split."""
    if lesson.settings.examples is None:
        return []
    rows = read_few_shot_rows(lesson.settings.examples, lesson.tasks)
    refuse_test_overlap(rows, read_records(lesson.posts, Post))
    return rows


def _shot_samplers(
    lesson: TeachJob, rows: Sequence[FewShotRow], wanted: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], ShotSampler]:
    settings = lesson.settings
    if settings.prompt != "few-shot":
        return {}
    return {
        (name, question): build_shot_sampler(rows, lesson.tasks[name], question, settings.shots, lesson.seed)
        for name, question in wanted
    }


def _query_remote_teachers(
    lesson: TeachJob,
    endpoints: Sequence[Endpoint],
    ledger: Ledger,
    questions: int,
    say: LogFn,
    dispatch_mode: DispatchMode,
) -> None:
    """Say what it will cost, then ask one endpoint after the other, or all by batch files."""
    settings = lesson.settings
    estimates = [estimate_cost(lesson, endpoint, ledger, questions) for endpoint in endpoints]
    short = budget_warning(estimates, settings.budget, ledger.total_spent())
    for line in [
        *(f"teach: {each.describe()}" for each in estimates),
        *([f"teach: {short}"] if short else []),
    ]:
        say(line)
    limits = Limits(
        settings.max_concurrency, settings.timeout, settings.max_attempts, settings.budget, questions
    )
    if dispatch_mode.batch_folder is not None:
        streams = [(endpoint, partial(_requests, lesson, endpoint)) for endpoint in endpoints]
        if foreign := run_batch_round(dispatch_mode.batch_folder, streams, ledger, limits).unmatched:
            say(f"teach: {foreign} results in {dispatch_mode.batch_folder} are of no request of this run")
        return
    sending = (
        http_transport if dispatch_mode.ray_address is None else ray_transport(dispatch_mode.ray_address, say)
    )
    for endpoint, expected in zip(endpoints, estimates, strict=True):
        with progress_bar(f"teach: ask {endpoint.model}", questions) as advance:
            told = _progress_callback(advance, expected)
            dispatch_sync(_requests(lesson, endpoint), endpoint, ledger, limits, told, sending)


def _requests(lesson: TeachJob, endpoint: Endpoint) -> Iterator[Request]:
    return build_requests(lesson, endpoint, labelled_questions(lesson))


def _progress_callback(advance: ProgressCallback, expected: CostEstimate) -> OnCommit:
    """Move the bar by what is done since it was last told, with the money beside it."""
    shown = 0

    def told(tally: RunStats) -> None:
        nonlocal shown
        advance(tally.done - shown, progress_note(tally, expected))
        shown = tally.done

    return told


def progress_note(tally: RunStats, expected: CostEstimate) -> str:
    """What stands behind the bar."""
    parts = [f"{tally.refused} refused"] * bool(tally.refused)
    parts += [f"{tally.failed.total()} failed"] * bool(tally.failed)
    if expected.cost is not None:
        parts.insert(0, f"cost {tally.cost + tally.uncertain:.4g} of about {expected.cost:.4g}")
    return ", ".join(parts)
