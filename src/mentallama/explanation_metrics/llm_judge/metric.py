"""The metric `llm_judge:remote:MODEL@URL`: ratings of explanations by a language model behind an endpoint.

Its verdicts are numbers of a model. `evaluate` shows them only beside the model's agreement with people, or with the
sentence that this agreement is unknown.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from statistics import fmean, pstdev

from mentallama.errors import MentallamaError, UsageError, counted
from mentallama.explanation_metrics.base import (
    CaseScore,
    ExplanationCase,
    ExplanationMetric,
    MetricOptions,
    unscored,
)
from mentallama.explanation_metrics.llm_judge.requests import Key, judge_requests
from mentallama.explanation_metrics.llm_judge.rubric import ASPECTS, HIGHEST, SPREAD_COLUMN, load_rubric
from mentallama.explanation_metrics.llm_judge.summary import JudgeSummary
from mentallama.explanation_metrics.llm_judge.verdict import Ratings, read_verdict
from mentallama.llm_api.blocking import iter_completions
from mentallama.llm_api.cost_estimate import budget_warning, estimate_requests, sampling_step
from mentallama.llm_api.data_agreements import refuse_posts_under_agreement
from mentallama.llm_api.endpoint import Endpoint, open_endpoint, unset_key_problem
from mentallama.llm_api.ledger.completion_cache import CompletionCache, LedgerCache, MemoryCosts
from mentallama.llm_api.ledger.ledger import Ledger
from mentallama.llm_api.limits.failure_watch import describe_failures
from mentallama.llm_api.transport.http import Transport, http_transport
from mentallama.llm_api.transport.rejected_options import RejectedOptionError, adapt_endpoint
from mentallama.llm_api.types import Completion, Limits, Request, failure_kind
from mentallama.progress import progress_bar
from mentallama.text.fingerprint import key_hash, synthetic_post_hashes, text_key

VERDICT_TOKENS = 40
"""Tokens of a verdict, for the estimate of the cost."""

GIVE_UP_AFTER = 50
"""Calls without a single verdict after which no more are made."""

CALL_FAILED = "call failed"
UNPARSABLE, REFUSED = "no verdict could be read", "refused by the judge"
"""Why an explanation has no score."""


class LlmJudge(ExplanationMetric):
    """Has a language model rate explanations by the rubric, one or more times each.

    Parameters
    ----------
    endpoint
        The model and its address.
    options
        Options of the metric; `options.judge` are those of the judge.
    transport
        Sends the requests.

    Attributes
    ----------
    summary
        What became of all calls so far.
    """

    def __init__(
        self, endpoint: Endpoint, options: MetricOptions, transport: Transport = http_transport
    ) -> None:
        settings = options.judge
        self.name = f"llm_judge:{endpoint.model}"
        self.summary = JudgeSummary(
            model=endpoint.model,
            rubric=load_rubric().version,
            samples=settings.samples,
            temperature=settings.temperature,
        )
        self._endpoint, self._options, self._transport = endpoint, options, transport
        self._is_prepared = False
        self._limits = Limits(
            settings.max_concurrency, settings.timeout, settings.max_attempts, settings.budget
        )

    @classmethod
    def load(cls, location: str, options: MetricOptions, environ: Mapping[str, str] = os.environ) -> LlmJudge:
        """Parse `remote:MODEL@URL` and take the key from the environment; sends nothing.

        Raises
        ------
        UsageError
            The location is no remote model, or contains a secret; the variable named for the key is not set.
        """
        if not location.startswith("remote:"):
            raise UsageError("llm_judge asks a remote model: write llm_judge:remote:MODEL@URL")
        if unset := unset_key_problem(options.judge, environ):
            raise UsageError(f"evaluate.judge.{unset}")
        return cls(open_endpoint(location, options.judge, environ), options)

    def prepare(self, cases: Iterable[ExplanationCase]) -> None:
        """Refuse posts under an agreement, and say what the verdicts will probably cost; nothing is sent."""
        present = [case for case in cases if case.absence is None]
        self._refuse_data_agreements(present)
        with self._open_cache() as cache:
            self._log_cost(present, cache)
        self._is_prepared = True

    def score(self, cases: Sequence[ExplanationCase]) -> list[CaseScore]:
        """The mean rating of each explanation by aspect, and the spread of `overall`.

        Verdicts that cannot be read and refusals leave the mean to the other samples; an explanation with a failed
        call has no score, and is asked about again by the same command.

        Raises
        ------
        UsageError
            Posts are under an agreement, or the key, the model or a field of the request is wrong.
        MentallamaError
            The endpoint cannot be reached, the budget is exhausted, or many verdicts and none that could be read.
        """
        if not self._is_prepared:
            self.prepare(cases)
        with self._open_cache() as cache:
            completions = self._ask(cases, cache)
            spent = None if self._options.judge.input_price is None else cache.total_spent()
        samples = range(self._options.judge.samples)
        by_case = [[completions[number, sample] for sample in samples] for number in range(len(cases))]
        self._count([completion for of_case in by_case for completion in of_case], spent)
        return [_case_score(of_case) for of_case in by_case]

    # Before anything is sent

    def _refuse_data_agreements(self, cases: Sequence[ExplanationCase]) -> None:
        synthetic = synthetic_post_hashes()
        texts = {(case.example.task, case.example.text) for case in cases}
        n_real = Counter(task for task, text in texts if key_hash(text_key(text)) not in synthetic)
        refuse_posts_under_agreement(
            n_real,
            self._options.tasks,
            [self.name],
            self._options.judge.allow_remote,
            "judge other sets, or use a metric on this machine",
            option="--set evaluate.judge.allow_remote=[{}]",
        )

    @contextmanager
    def _open_cache(self) -> Iterator[CompletionCache]:
        if self._options.ledger is None:
            yield MemoryCosts()
            return
        with Ledger(self._options.ledger) as ledger:
            yield LedgerCache(ledger)

    def _log_cost(self, cases: Sequence[ExplanationCase], cache: CompletionCache) -> None:
        total = len(cases) * self._options.judge.samples
        sampled = list(islice(self._requests(cases), 0, None, sampling_step(total)))
        estimate = estimate_requests(
            self._endpoint,
            ((request, VERDICT_TOKENS) for _, request in sampled),
            total / max(1, len(sampled)),
            cache.known_hashes,
        )
        self._options.log(f"llm_judge: {estimate.describe()}")
        if warning := budget_warning([estimate], self._limits.budget, cache.total_spent()):
            self._options.log(f"llm_judge: {warning}")

    # Calls

    def _requests(self, cases: Sequence[ExplanationCase]) -> Iterator[tuple[Key, Request]]:
        return judge_requests(self._endpoint, cases, self._options.tasks, self._options.judge.samples)

    def _ask(self, cases: Sequence[ExplanationCase], cache: CompletionCache) -> dict[Key, Completion]:
        """The completion of every case and sample. Options that the model rejects are changed, which is said once."""
        completions: dict[Key, Completion] = {}
        while (rejected := self._send(cases, completions, cache)) is not None:
            self._endpoint = adapt_endpoint(self._endpoint, rejected.update)
            self._options.log(f"{rejected}; this setting is used from here on")
        return completions

    def _send(
        self, cases: Sequence[ExplanationCase], completions: dict[Key, Completion], cache: CompletionCache
    ) -> RejectedOptionError | None:
        """Ask for what `completions` lacks and add it; equal requests are sent once. Returns what the model rejects."""
        keys: dict[str, list[Key]] = {}
        received: dict[str, Completion] = {}
        rejected = None

        def unsent() -> Iterator[Request]:
            for key, request in self._requests(cases):
                if key not in completions:
                    of_request = keys.setdefault(request.hash, [])
                    of_request.append(key)
                    if len(of_request) == 1:
                        yield request

        with progress_bar(
            "evaluate: judge", len(cases) * self._options.judge.samples, len(completions), "verdicts"
        ) as advance:
            try:
                for request, completion in iter_completions(
                    unsent(), self._endpoint, self._limits, cache, self._transport
                ):
                    received[request.hash] = completion
                    advance(1)
            except RejectedOptionError as error:
                rejected = error
        for digest, completion in received.items():
            completions.update(dict.fromkeys(keys[digest], completion))
        return rejected

    # Verdicts

    def _count(self, completions: Sequence[Completion], spent: float | None) -> None:
        outcomes = Counter(map(_outcome, completions))
        failed = Counter(failure_kind(each.reason) for each in completions if each.state == "failed")
        before = self.summary
        self.summary = before.model_copy(
            update={
                "verdicts": before.verdicts + outcomes["verdict"],
                "unparsable": before.unparsable + outcomes[UNPARSABLE],
                "refused": before.refused + outcomes[REFUSED],
                "failed": dict(Counter(before.failed) + failed),
                "cost": spent,
            }
        )
        if self.summary.calls >= GIVE_UP_AFTER:
            self.finish()

    def finish(self) -> None:
        """Raise `MentallamaError` if there were calls and none gave a verdict."""
        summary = self.summary
        if summary.verdicts or not summary.calls:
            return
        if summary.failed:
            raise MentallamaError(
                f"{self.name}: no verdict was given ({describe_failures(summary.failed)}); check the model, the URL "
                "and the options of the request; the same command asks again"
            )
        raise MentallamaError(
            f"{self.name}: none of {counted(summary.calls, 'verdict')} could be read ({summary.unparsable} without "
            f"ratings from 0 to {HIGHEST} of every aspect, {summary.refused} refused); choose a model that follows "
            "instructions, or set evaluate.judge.schema_mode or a larger evaluate.judge.max_tokens"
        )


def _outcome(completion: Completion) -> str:
    if completion.state != "answered":
        return REFUSED if completion.state == "refused" else CALL_FAILED
    return UNPARSABLE if read_verdict(completion.text) is None else "verdict"


def _case_score(completions: Sequence[Completion]) -> CaseScore:
    """The mean of the verdicts on one explanation."""
    failed = next((each for each in completions if each.state == "failed"), None)
    if failed is not None:
        return unscored(f"{CALL_FAILED}: {failure_kind(failed.reason)}")
    verdicts = [
        ratings for each in completions if each.state == "answered" and (ratings := read_verdict(each.text))
    ]
    if not verdicts:
        return unscored(REFUSED if all(each.state == "refused" for each in completions) else UNPARSABLE)
    return CaseScore(values=_mean_ratings(verdicts))


def _mean_ratings(verdicts: Sequence[Ratings]) -> dict[str, float]:
    """Mean by aspect; with several verdicts also the standard deviation of `overall` (of the population)."""
    means = {f"judge_{name}": fmean(ratings[name] for ratings in verdicts) for name in ASPECTS}
    spread = {SPREAD_COLUMN: pstdev(ratings["overall"] for ratings in verdicts)} if len(verdicts) > 1 else {}
    return means | spread
