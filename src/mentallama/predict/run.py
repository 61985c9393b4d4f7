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

from mentallama.errors import MentallamaError, WrongUse
from mentallama.files.record_files import write_json, writing
from mentallama.predict.analyst_pool import BATCH, Crew
from mentallama.predict.journal import Journal
from mentallama.predict.questions import Asked, Questions, Stock, answerable, in_batches, take_stock
from mentallama.progress import progress
from mentallama.records import Example, Prediction, Record

PREDICTIONS, SUMMARY = "predictions.jsonl.zst", "summary.json"


class PredictSummary(Record):
    """What a run did: posts, answers by status, labelled questions left open by set, what the analyst has counted.

    A question is left open where the analyst was not made for it.
    """

    posts: int
    answers: dict[str, int]
    left_open: dict[str, int]
    counts: dict[str, int] = {}


def run(crew: Crew, questions: Questions, out: Path, journal: Path, where: str) -> PredictSummary:
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
    stock = take_stock(questions(), crew.tasks)
    if not stock.questions:
        raise WrongUse(_nothing(where, stock))
    with Journal(journal) as kept:
        _ask(crew, questions, kept, stock.questions)
        summary = _compose(crew, questions, kept, out, stock)
    write_json(out / SUMMARY, summary.model_dump(mode="json"))
    return summary


def _ask(crew: Crew, questions: Questions, kept: Journal, total: int) -> None:
    """Have answered what the journal does not hold."""
    done = sum(example.id in kept for asked in _own(crew, questions) for example in asked.examples)
    open_ones = (_open(asked, kept) for asked in _own(crew, questions))
    with progress("predict: answer", total, done) as advance:
        for told in crew.answer(in_batches(open_ones, BATCH)):
            if isinstance(told, Prediction):
                kept.keep(told)
                advance(1)
            else:
                kept.count(told)


def _own(crew: Crew, questions: Questions) -> Iterator[Asked]:
    return (answerable(asked, crew.tasks) for asked in questions())


def _open(asked: Asked, kept: Journal) -> list[Example]:
    return [example for example in asked.examples if example.id not in kept]


def _compose(crew: Crew, questions: Questions, kept: Journal, out: Path, stock: Stock) -> PredictSummary:
    """Write the answers in the order of the questions."""
    answers: Counter[str] = Counter()
    with writing(out / PREDICTIONS) as write:
        for asked in _own(crew, questions):
            for example in asked.examples:
                if example.id not in kept:
                    raise MentallamaError(_missing(crew, questions, kept))
                write(kept.line(example.id))
                answers[kept.status(example.id)] += 1
    return PredictSummary(
        posts=stock.posts, answers=dict(answers), left_open=dict(stock.left_open), counts=dict(kept.counts)
    )


def _missing(crew: Crew, questions: Questions, kept: Journal) -> str:
    missing = sum(len(_open(asked, kept)) for asked in _own(crew, questions))
    why = ", ".join(f"{count} {reason}" for reason, count in crew.missed.most_common(3))
    return (
        f"predict: {missing} questions have no answer{f' ({why})' if why else ''}; what was answered is kept, and the "
        "same command asks for the rest"
    )


def _nothing(where: str, stock: Stock) -> str:
    if stock.left_open:
        others = ", ".join(sorted(stock.left_open))
        return f"{where}: of {stock.posts} posts none asks what this model answers (they ask of {others})"
    if stock.posts:
        return f"{where}: of {stock.posts} posts none has a label; choose other splits, or ask all questions (--all)"
    return f"{where}: there are no such posts; choose other splits or sets"
