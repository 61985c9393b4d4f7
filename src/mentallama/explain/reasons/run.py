"""Write bound reasons: one for each answer, from the evidence of one method.

The model is on this machine or behind an API. The ledger holds every reply, so a killed run pays for nothing twice.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mentallama.config.explain import BoundText
from mentallama.errors import MentallamaError
from mentallama.explain.answers import ExplainedAnswer
from mentallama.explain.reasons.dialogue import WRITER, BoundReason, WrittenReason, reason_dialogue
from mentallama.explain.reasons.verification import BoundAnswer
from mentallama.explain.results import EvidenceRow
from mentallama.files.record_files import record_writer
from mentallama.llm_api.chat_body import chat_body
from mentallama.llm_api.cost_estimate import CostEstimate, budget_warning, estimate_requests
from mentallama.llm_api.dialogues import Ask, Dialogue, SendRequests, replay, run_dialogues
from mentallama.llm_api.dispatcher import dispatch_sync
from mentallama.llm_api.endpoint import Endpoint, open_endpoint
from mentallama.llm_api.ledger.ledger import Ledger
from mentallama.llm_api.limits.failure_watch import describe_failures
from mentallama.llm_api.transport.http import http_transport
from mentallama.llm_api.transport.rejected_options import RejectedOptionError, adapt_endpoint
from mentallama.llm_api.transport.scripted import open_scripted_endpoint, scripted_transport
from mentallama.llm_api.types import Limits, Request, RunStats, request_hash
from mentallama.pipeline.stage import spec_files
from mentallama.progress import LogFn, ProgressCallback, progress_bar
from mentallama.prompts import ChatMessage
from mentallama.records import Span
from mentallama.tasks import Task
from mentallama.text.pii import scrub

TYPICAL_REASON_TOKENS = 80
"""Tokens of a reason with the sentence of the answer, for the estimate of the cost."""


@dataclass(frozen=True)
class EvidencedAnswer:
    """An answer, and the spans that speak for it, the weightiest first."""

    answer: ExplainedAnswer
    method: str
    spans: tuple[Span, ...]

    @property
    def passages(self) -> tuple[str, ...]:
        """The texts of the spans, scrubbed again, wherever the file of posts comes from."""
        text = self.answer.example.text
        return tuple(scrub(text[span.start : span.end])[0] for span in self.spans)


def evidenced(answer: ExplainedAnswer, row: EvidenceRow, top_k: int) -> EvidencedAnswer:
    """The answer with its `top_k` weightiest spans; spans that speak against the answer are left out."""
    supporting = [span for span in row.spans if (span.weight or 0.0) > 0]
    supporting.sort(key=lambda span: (-(span.weight or 0.0), span.start))
    return EvidencedAnswer(answer, row.method, tuple(supporting[:top_k]))


def write_reasons(
    writer: ReasonWriter, answers: Sequence[EvidencedAnswer], out: Path, log: LogFn
) -> Counter[str]:
    """Have a reason written for each answer, and write them into the file `out`; returns counts by status.

    Raises
    ------
    UsageError
        The model does not exist or cannot be asked, or its key or a field of the request is wrong.
    MentallamaError
        The endpoint is down, the budget is used up, or too many requests failed: the same call asks again.
    """
    writer.log_estimate(answers, log)
    writer = writer.ask_all(answers, log)
    counts: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    with record_writer(out) as write:
        for answer in answers:
            reason = writer.reason(answer)
            write(reason)
            counts[reason.status] += 1
            failed.update(reason.faults[-1:] if reason.status == "failed" else ())
    allowed = writer.settings.max_failed_share
    if failed.total() > allowed * len(answers):
        writer.ledger.delete_failed()
        raise MentallamaError(
            f"explain: {failed.total()} of {len(answers)} reasons have a failed request "
            f"({describe_failures(failed)}), more than explain.bound.max_failed_share ({allowed:g}) allows; the same "
            "command sends them again"
        )
    return counts


def open_writer(settings: BoundText, environ: Mapping[str, str]) -> Endpoint:
    """The model of the settings as an endpoint; nothing is loaded or sent.

    Raises
    ------
    UsageError
        There is no such script, or the URL or the key is wrong.
    """
    if settings.kind == "remote":
        return open_endpoint(settings.spec, settings, environ)
    if settings.kind == "scripted":
        return open_scripted_endpoint(Path(settings.location), settings)
    return Endpoint(settings.spec, _local_url(settings.spec), settings)


def _local_url(spec: str) -> str:
    """Stands for a model on this machine in the hashes of requests: another model at the same place writes anew.

    Its files are told apart by path, size and modification time, as by `predict`.
    """
    stats = [(name, path.stat()) for name, path in spec_files(spec, "").items()]
    state = json.dumps([(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats])
    return f"{spec}#{hashlib.sha256(state.encode()).hexdigest()[:16]}"


@dataclass(frozen=True)
class ReasonWriter:
    """The model that writes (`open_writer`); its replies are in the ledger."""

    endpoint: Endpoint
    tasks: Mapping[str, Task]
    settings: BoundText
    ledger: Ledger

    def dialogue(self, evidence: EvidencedAnswer) -> Dialogue[WrittenReason]:
        example = evidence.answer.example
        bound = BoundAnswer(self.tasks[example.task], evidence.answer.label, example.text, evidence.passages)

        def ask(messages: Sequence[ChatMessage]) -> Ask:
            body = chat_body(self.endpoint, messages)
            request = Request(
                hash=request_hash(self.endpoint.base_url, body),
                body=body,
                example_id=example.id,
                post_id=example.post_id,
                task=example.task,
                question=example.question,
                label=evidence.answer.label,
            )
            return Ask(WRITER, request)

        return reason_dialogue(bound, example.question, self.settings.max_attempts, ask)

    def log_estimate(self, answers: Sequence[EvidencedAnswer], log: LogFn) -> None:
        """Say what will be sent if every reason is accepted at once."""
        if self.settings.kind == "causal":
            return
        opened = (replay(self.dialogue(answer), lambda _: {}).first_of(WRITER) for answer in answers)
        first = [(ask.request, TYPICAL_REASON_TOKENS) for ask in opened if ask is not None]
        estimate: CostEstimate = estimate_requests(self.endpoint, first, 1.0, self.ledger.known_hashes)
        log(f"explain: {estimate.describe()}, for one attempt at each reason")
        if warning := budget_warning([estimate], self.settings.budget, self.ledger.total_spent()):
            log(f"explain: {warning}")

    def ask_all(self, answers: Sequence[EvidencedAnswer], log: LogFn) -> ReasonWriter:
        """Ask until every dialogue has ended; returns the writer with the settings that its model was found to need."""
        try:
            self._ask(answers)
        except RejectedOptionError as rejected:
            log(f"explain: {rejected}; this setting is used from here on")
            return replace(self, endpoint=adapt_endpoint(self.endpoint, rejected.update)).ask_all(
                answers, log
            )
        return self

    def _ask(self, answers: Sequence[EvidencedAnswer]) -> None:
        def start() -> Iterator[Dialogue[WrittenReason]]:
            return map(self.dialogue, answers)

        with progress_bar("explain: reasons", None, unit="requests") as advance:
            send = self._local_send(advance) if self.settings.kind == "causal" else self._dispatch(advance)
            run_dialogues(start, (WRITER,), self.ledger.get_completions, send)

    def _dispatch(self, advance: ProgressCallback) -> SendRequests:
        settings, shown = self.settings, 0
        limits = Limits(settings.max_concurrency, settings.timeout, budget=settings.budget)
        transport = (
            scripted_transport(Path(settings.location)) if settings.kind == "scripted" else http_transport
        )

        def on_commit(stats: RunStats) -> None:
            nonlocal shown
            advance(stats.done - shown)
            shown = stats.done

        def send(_: str, requests: Iterable[Request]) -> None:
            nonlocal shown
            shown = 0
            dispatch_sync(requests, self.endpoint, self.ledger, limits, on_commit, transport)

        return send

    def _local_send(self, advance: ProgressCallback) -> SendRequests:
        from mentallama.explain.reasons.local_writer import LocalWriter

        model: LocalWriter | None = None

        def send(_: str, requests: Iterable[Request]) -> None:
            nonlocal model
            model = model or LocalWriter.load(self.settings.location)
            model.complete(requests, self.ledger, advance)

        return send

    def reason(self, evidence: EvidencedAnswer) -> BoundReason:
        """The result of a dialogue that has ended."""
        written = replay(self.dialogue(evidence), self.ledger.get_completions).result
        if written is None:
            raise MentallamaError(
                f"{self.ledger.path}: a reply of {self.endpoint.model} is no longer in the ledger; run the same "
                "command again to request it"
            )
        example, passages = evidence.answer.example, evidence.passages
        spans = zip(evidence.spans, passages, strict=True)
        return BoundReason(
            example_id=example.id,
            post_id=example.post_id,
            set=example.task,
            question=example.question,
            label=evidence.answer.label,
            method=evidence.method,
            model=self.endpoint.model,
            spans=evidence.spans,
            status=written.status,
            text=written.text,
            attempts=written.attempts,
            unused=tuple(span for span, passage in spans if passage in written.unused),
            faults=written.faults,
        )
