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
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from mentallama.errors import UsageError
from mentallama.files.atomic import write_json
from mentallama.files.record_files import read_records
from mentallama.llm_api.data_agreements import refuse_posts_under_agreement
from mentallama.llm_api.ledger.ledger import Ledger
from mentallama.progress import LogFn
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
from mentallama.teach.answer_source import AnswerSource
from mentallama.teach.remote_teachers import (
    FROM_THIS_PROCESS,
    DispatchMode,
    RequestSender,
    query_teachers,
)
from mentallama.teach.requests import TeachJob, count_real_posts, labelled_questions
from mentallama.teach.responses import compose_responses
from mentallama.teach.scales.run import ask_scale_teachers
from mentallama.teach.summary import TeachSummary
from mentallama.teach.teachers import AnalystLoader, answer_sources, open_endpoints, with_settled_options


def run(  # noqa: PLR0913, PLR0917 - everything that a stage cannot know by itself
    job: TeachJob,
    out: Path,
    ledger_path: Path,
    load_analyst: AnalystLoader,
    environ: Mapping[str, str],
    log: LogFn,
    dispatch_mode: DispatchMode = FROM_THIS_PROCESS,
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
    endpoints = open_endpoints(job.settings.endpoints, environ)
    with ExitStack() as stack:
        ledger = stack.enter_context(Ledger(ledger_path)) if endpoints else None
        sources: Sequence[AnswerSource]
        if ledger is None:
            sources = answer_sources(job, {}, None, load_analyst)
        else:
            sender = RequestSender(job, endpoints, ledger, counts.total(), log, dispatch_mode)
            ask = ask_scale_teachers if job.settings.method == "item-by-item" else _ask_in_single_requests
            sources = ask(sender, load_analyst)
        summary = compose_responses(job, sources, out, counts.total()).summary(job)
    write_json(out / SUMMARY_FILE, summary.model_dump(mode="json"))
    return summary


def _ask_in_single_requests(sender: RequestSender, load_analyst: AnalystLoader) -> list[AnswerSource]:
    """Ask the teachers that take requests; returns all teachers as sources of their answers."""
    sources = answer_sources(sender.job, sender.endpoints, sender.ledger, load_analyst)
    return with_settled_options(sources, sender.endpoints.values(), query_teachers(sender))


def _refuse_posts_under_agreement(job: TeachJob, few_shot_rows: Sequence[FewShotRow]) -> None:
    n_real_texts = count_real_posts(labelled_questions(job)) + count_real_examples(few_shot_rows)
    remote_models = [teacher.spec for teacher in job.settings.endpoints if teacher.remote]
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
