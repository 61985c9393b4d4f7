"""Predict: an analyst answers every labelled question about the posts of a split.

    mentallama predict recipes/imhi-linear.yaml
    mentallama predict --model SPEC --data PATH --out DIR

Reads posts. Writes `predictions.jsonl.zst`, one `Prediction` per line in the order of the posts and of their questions,
`failed_requests.jsonl` (questions whose call failed, and why) and `summary.json`. A failed call is no answer: too many
of them end the command with exit code 3, and the same command asks them again, as `--retry` always does.
Every prediction enters a journal as soon as it is made, so the same command resumes a killed run.
Posts are streamed: memory holds one batch of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from mentallama.analysts.base import BATCH_SIZE
from mentallama.errors import MentallamaError, UsageError, counted
from mentallama.files.atomic import write_json
from mentallama.files.record_files import record_writer
from mentallama.llm_api.limits.failure_watch import describe_failures
from mentallama.llm_api.types import failure_kind
from mentallama.predict.analyst_pool import AnalystPool, PaidAnalyst
from mentallama.predict.journal import Journal
from mentallama.predict.questions import (
    PostQuestions,
    QuestionCounts,
    QuestionSource,
    SampleSizes,
    batches_by_post,
    count_questions,
    only_supported,
)
from mentallama.progress import log_to_stderr, progress_bar
from mentallama.records import Example, FailedRequest, Prediction, Record
from mentallama.run_files import FAILED_REQUESTS_FILE, PREDICTIONS_FILE, SUMMARY_FILE


class QuestionSelection(Record):
    """The questions and examples that were left out before anything was asked.

    `sampled` has the sizes of the samples by split and set, `left_out_examples` the examples of prompts that were about
    posts of the test, by set.
    """

    sampled: SampleSizes = {}
    left_out_examples: dict[str, int] = {}


NOTHING_LEFT_OUT = QuestionSelection()


class PredictSummary(QuestionSelection):
    """Counts of a run.

    `answers` counts predictions by status, `failed` questions without one because their call failed, by reason,
    `unsupported` the questions that the analyst does not support, by set, and `counts` what the analyst reports, such
    as truncated posts. `cost` is what the calls of a remote model cost, in the currency of the prices, with those of
    killed runs and those that may have been billed without an answer; None without prices.
    """

    posts: int
    answers: dict[str, int]
    unsupported: dict[str, int]
    counts: dict[str, int] = {}
    failed: dict[str, int] = {}
    cost: float | None = None

    @property
    def questions(self) -> int:
        """Number of questions that were asked, with or without an answer."""
        return sum(self.answers.values()) + sum(self.failed.values())


def run(
    pool: AnalystPool,
    questions: QuestionSource,
    out: Path,
    journal: Path,
    source: str,
    selection: QuestionSelection = NOTHING_LEFT_OUT,
) -> PredictSummary:
    """Answer all supported questions and write the predictions into `out`.

    Parameters
    ----------
    pool
        The analyst, or several of them.
    questions
        Posts with their questions; iterated several times.
    journal
        File of the predictions made so far. The caller deletes it once `out` is complete.
    source
        Where the posts come from, for messages.
    selection
        What `questions` leaves out, for the summary.

    Raises
    ------
    UsageError
        There is no question that the analyst supports, or one of them cannot be asked.
    MentallamaError
        Some questions were not answered, or the call failed for all of them; all other predictions are in the journal.
    """
    counts = count_questions(questions(), pool.supported_questions)
    if not counts.questions:
        raise UsageError(_nothing_to_answer_message(source, counts))
    pool.prepare(sorted(counts.keys))
    with Journal(journal) as open_journal:
        _answer_remaining(pool, questions, open_journal, counts.questions)
        summary = _write_predictions(pool, questions, open_journal, out, counts)
    summary = summary.model_copy(update=dict(selection))
    write_json(out / SUMMARY_FILE, summary.model_dump(mode="json"))
    return summary


def _answer_remaining(pool: AnalystPool, questions: QuestionSource, journal: Journal, total: int) -> None:
    """Answer the questions that are not in the journal yet."""
    done = sum(example.id in journal for post in _supported(pool, questions) for example in post.examples)
    remaining = (_remaining(post, journal) for post in _supported(pool, questions))
    if pool.remote is not None and done < total:
        _log_expected_cost(pool.remote, _supported(pool, questions), journal, total - done)
    with progress_bar("predict: answer", total, done, "questions") as advance:
        for event in pool.answer(batches_by_post(remaining, BATCH_SIZE)):
            if isinstance(event, Prediction):
                journal.add(event)
                advance(1, _cost_note(pool))
            else:
                journal.add_counts(event)


def _log_expected_cost(
    analyst: PaidAnalyst, posts: Iterable[PostQuestions], journal: Journal, n_remaining: int
) -> None:
    """Say before any call what the remaining questions will probably cost; a sample of them is looked at."""
    from mentallama.llm_api.cost_estimate import sampling_step

    remaining = (example for post in posts for example in _remaining(post, journal))
    sample = list(islice(remaining, 0, None, sampling_step(n_remaining)))
    for line in analyst.describe_cost(sample, n_remaining):
        log_to_stderr(f"predict: {line}")


def _cost_note(pool: AnalystPool) -> str:
    spent = None if pool.remote is None else pool.remote.spent()
    return "" if spent is None else f"cost {spent:.4g}"


def _supported(pool: AnalystPool, questions: QuestionSource) -> Iterator[PostQuestions]:
    return (only_supported(post, pool.supported_questions) for post in questions())


def _remaining(post: PostQuestions, journal: Journal) -> list[Example]:
    return [example for example in post.examples if example.id not in journal]


def _write_predictions(
    pool: AnalystPool, questions: QuestionSource, journal: Journal, out: Path, counts: QuestionCounts
) -> PredictSummary:
    """Write the predictions, and the questions whose call failed, in the order of the questions."""
    answers, failed = Counter[str](), Counter[str]()
    if not len(journal) and pool.failed:
        raise MentallamaError(
            f"predict: no question was answered ({describe_failures(Counter(pool.failed.values()))}); check the model, "
            "the URL and the options of the request; the same command asks again"
        )
    with record_writer(out / PREDICTIONS_FILE) as write:
        for example in _examples(pool, questions):
            if example.id in journal:
                write(journal.line(example.id))
                answers[journal.status(example.id)] += 1
            elif example.id in pool.failed:
                failed[failure_kind(pool.failed[example.id])] += 1
            else:
                raise MentallamaError(_unanswered_message(pool, questions, journal))
    _write_failed(pool, questions, out / FAILED_REQUESTS_FILE)
    return PredictSummary(
        posts=counts.posts,
        answers=dict(answers),
        unsupported=dict(counts.unsupported),
        counts=dict(journal.counts),
        failed=dict(failed),
        cost=None if pool.remote is None else pool.remote.spent(),
    )


def _examples(pool: AnalystPool, questions: QuestionSource) -> Iterator[Example]:
    return (example for post in _supported(pool, questions) for example in post.examples)


def _write_failed(pool: AnalystPool, questions: QuestionSource, path: Path) -> None:
    """List the questions whose call failed; without any there is no file."""
    path.unlink(missing_ok=True)
    if pool.failed:
        with record_writer(path) as write:
            for example in _examples(pool, questions):
                if example.id in pool.failed:
                    reason = pool.failed[example.id]
                    write(FailedRequest(example_id=example.id, model=pool.model, reason=reason))


def _unanswered_message(pool: AnalystPool, questions: QuestionSource, journal: Journal) -> str:
    missing = sum(len(_remaining(post, journal)) for post in _supported(pool, questions))
    reasons = ", ".join(f"{count} {reason}" for reason, count in pool.unanswered.most_common(3))
    return (
        f"predict: no answer to {counted(missing, 'question')}{f' ({reasons})' if reasons else ''}; answers so far are "
        "saved, and the same command asks the rest"
    )


def _nothing_to_answer_message(source: str, counts: QuestionCounts) -> str:
    if counts.unsupported:
        sets = ", ".join(sorted(counts.unsupported))
        return f"{source}: none of {counts.posts} posts has a question that this model supports (they are of {sets})"
    if counts.posts:
        return f"{source}: none of {counts.posts} posts has a label; choose other splits, or ask all questions (--all)"
    return (
        f"{source}: there are no such posts; choose other splits or sets, or have collect set posts aside, such as "
        "test_share: 0.2"
    )
