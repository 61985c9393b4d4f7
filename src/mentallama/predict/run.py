"""Predict: an analyst answers every labelled question about the posts of a split.

    mentallama predict recipes/imhi-linear.yaml
    mentallama predict --model SPEC --data PATH --out DIR

Reads posts. Writes `predictions.jsonl.zst`, one `Prediction` a line, in the order of the posts and, for each post, of
its questions; and `summary.json`. Answers go into a journal as they are made, so a killed run is resumed by the same
command. Posts are streamed: memory holds one batch of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from mentallama.errors import MentallamaError, UsageError
from mentallama.files.record_files import record_writer, write_json
from mentallama.predict.analyst_pool import BATCH_SIZE, AnalystPool
from mentallama.predict.journal import Journal
from mentallama.predict.questions import (
    PostQuestions,
    QuestionCounts,
    QuestionSource,
    batches_by_post,
    count_questions,
    only_supported,
)
from mentallama.progress import progress_bar
from mentallama.records import Example, Prediction, Record
from mentallama.run_files import PREDICTIONS_FILE, SUMMARY_FILE


class PredictSummary(Record):
    """What a run did: posts, answers by status, labelled questions left open by set, what the analyst has counted.

    A question is left open where the analyst was not made for it.
    """

    posts: int
    answers: dict[str, int]
    unsupported: dict[str, int]
    counts: dict[str, int] = {}


def run(
    pool: AnalystPool, questions: QuestionSource, out: Path, journal: Path, source: str
) -> PredictSummary:
    """Answer all questions and write the predictions into `out`.

    Parameters
    ----------
    crew
        Who answers. What it was not made for is left open.
    journal
        The file of answers so far. It stays, until whoever called has put `out` in its place.
    where
        What the questions are about, for sentences.

    Raises
    ------
    WrongUse
        Not one question can be answered.
    MentallamaError
        Some questions had no answer; those that had are kept.
    """
    stock = count_questions(questions(), pool.supported_questions)
    if not stock.questions:
        raise UsageError(_nothing_to_answer_message(source, stock))
    with Journal(journal) as kept:
        _answer_remaining(pool, questions, kept, stock.questions)
        summary = _write_predictions(pool, questions, kept, out, stock)
    write_json(out / SUMMARY_FILE, summary.model_dump(mode="json"))
    return summary


def _answer_remaining(crew: AnalystPool, questions: QuestionSource, kept: Journal, total: int) -> None:
    """Have answered what the journal does not hold."""
    done = sum(example.id in kept for asked in _supported(crew, questions) for example in asked.examples)
    open_ones = (_remaining(asked, kept) for asked in _supported(crew, questions))
    with progress_bar("predict: answer", total, done) as advance:
        for told in crew.answer(batches_by_post(open_ones, BATCH_SIZE)):
            if isinstance(told, Prediction):
                kept.add(told)
                advance(1)
            else:
                kept.add_counts(told)


def _supported(crew: AnalystPool, questions: QuestionSource) -> Iterator[PostQuestions]:
    return (only_supported(asked, crew.supported_questions) for asked in questions())


def _remaining(asked: PostQuestions, kept: Journal) -> list[Example]:
    return [example for example in asked.examples if example.id not in kept]


def _write_predictions(
    crew: AnalystPool, questions: QuestionSource, kept: Journal, out: Path, stock: QuestionCounts
) -> PredictSummary:
    """Write the answers in the order of the questions."""
    answers: Counter[str] = Counter()
    with record_writer(out / PREDICTIONS_FILE) as write:
        for asked in _supported(crew, questions):
            for example in asked.examples:
                if example.id not in kept:
                    raise MentallamaError(_unanswered_message(crew, questions, kept))
                write(kept.line(example.id))
                answers[kept.status(example.id)] += 1
    return PredictSummary(
        posts=stock.posts,
        answers=dict(answers),
        unsupported=dict(stock.unsupported),
        counts=dict(kept.counts),
    )


def _unanswered_message(crew: AnalystPool, questions: QuestionSource, kept: Journal) -> str:
    missing = sum(len(_remaining(asked, kept)) for asked in _supported(crew, questions))
    why = ", ".join(f"{count} {reason}" for reason, count in crew.unanswered.most_common(3))
    return (
        f"predict: {missing} questions have no answer{f' ({why})' if why else ''}; what was answered is kept, and the "
        "same command asks for the rest"
    )


def _nothing_to_answer_message(where: str, stock: QuestionCounts) -> str:
    if stock.unsupported:
        others = ", ".join(sorted(stock.unsupported))
        return f"{where}: of {stock.posts} posts none asks what this model answers (they ask of {others})"
    if stock.posts:
        return f"{where}: of {stock.posts} posts none has a label; choose other splits, or ask all questions (--all)"
    return f"{where}: there are no such posts; choose other splits or sets"
