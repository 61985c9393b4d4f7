"""Posts with the answers to questions about them, for tools in which people look at both.

The answers are predictions, a table that predict answered, or the accepted responses of a built data set.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from mentallama.check.gate_runner import QuoteMatches
from mentallama.errors import DataError, UsageError
from mentallama.export.annotation.answered_table import TABLE_NOTE, posts_of_table
from mentallama.export.annotation.post_answers import AnsweredPost, PostAnswer, is_answer
from mentallama.export.folder import ExportSummary
from mentallama.export.source import DatasetRow, ExportSource
from mentallama.files.record_files import read_records
from mentallama.predict.post_sources import PostFilter, open_post_source
from mentallama.predict.questions import QuestionRow
from mentallama.records import FORMS, SPLITS, Post, Prediction, Span, Split, example_id
from mentallama.run_files import PREDICTIONS_FILE, PREDICTIONS_PATH, QUESTIONS_FILE, QUOTES_FILE

AskedQuestion = tuple[str, str, str]
"""Set, question and id of an example."""

AnsweredPosts = Mapping[tuple[str, Split | None], list[AnsweredPost]]
"""The posts by set of the questions and split."""


def read_answered_posts(source: ExportSource, summary: ExportSummary) -> AnsweredPosts:
    """Read the posts, and record them for the README.

    Raises
    ------
    UsageError
        The path holds neither predictions nor a built data set, or the posts of the predictions are not to be found.
    """
    found: dict[tuple[str, Split | None], list[AnsweredPost]] = {}
    is_own_table = _is_table_of_posts(source)
    for answered in _answered_posts(source):
        _require_known(answered, source)
        found.setdefault((answered.task.set, answered.split), []).append(answered)
        if not is_own_table:  # the terms of a set are those of its posts
            summary.add_post(answered.task.set, answered.text)
    if is_own_table:
        summary.notes.append(TABLE_NOTE)
    return found


def _is_table_of_posts(source: ExportSource) -> bool:
    return source.path.is_file() and source.path.name != PREDICTIONS_FILE


def _require_known(post: AnsweredPost, source: ExportSource) -> None:
    """Raise `DataError` for an answer to no question of the task, or with none of its labels."""
    for answer in post.answers:
        known = answer.question in post.task.questions and (
            answer.label is None or is_answer(post.task, answer.label)
        )
        if not known:
            raise DataError(
                f"post {post.post_id} has an answer to {answer.question!r} that the task {post.task.set} does not "
                "have; give the tasks that it was predicted with (--tasks)",
                source.path,
            )


def _answered_posts(source: ExportSource) -> Iterator[AnsweredPost]:
    if _is_table_of_posts(source):
        return posts_of_table(source)
    for path in (source.path, source.path / PREDICTIONS_FILE, source.path / PREDICTIONS_PATH):
        if path.is_file() and path.name == PREDICTIONS_FILE:
            return _predicted_posts(source, path)
    if not source.has_dataset:
        raise source.nothing_to_export("a folder of predictions or a built data set")
    return _dataset_posts(source)


def _predicted_posts(source: ExportSource, path: Path) -> Iterator[AnsweredPost]:
    predictions = {prediction.example_id: prediction for prediction in read_records(path, Prediction)}
    asked = _asked_questions(path.with_name(QUESTIONS_FILE))
    found = 0
    for post in _posts(source):
        answers: dict[str, list[PostAnswer]] = {}
        for name, question, example in (
            _own_questions(source, post) if asked is None else asked.get(post.id, ())
        ):
            if example in predictions:
                answers.setdefault(name, []).append(_predicted_answer(question, predictions[example]))
        for name, about_post in answers.items():
            found += 1
            yield AnsweredPost(post.id, post.split, post.text, source.task(name), tuple(about_post))
    if not found:
        raise UsageError(
            f"{path}: none of the predictions is about one of the posts; name their posts with --posts"
        )


def _posts(source: ExportSource) -> Iterator[Post]:
    path = source.posts or source.run_folder
    if path is None:
        raise UsageError(
            f"{source.path}: these predictions hold no posts; name with --posts what --data of predict named"
        )
    return open_post_source(path, PostFilter(source.form, SPLITS, (), source.tasks, True)).posts()


def _asked_questions(path: Path) -> dict[str, list[AskedQuestion]] | None:
    """The questions by post, if predict was run without a recipe; else None."""
    if not path.is_file():
        return None
    asked: dict[str, list[AskedQuestion]] = {}
    for row in read_records(path, QuestionRow):
        asked.setdefault(row.post_id, []).append((row.task, row.question, row.example_id))
    return asked


def _own_questions(source: ExportSource, post: Post) -> Iterator[AskedQuestion]:
    """The questions of the post's own set, in both forms."""
    for question in source.task(post.set).questions:
        for form in FORMS:
            yield post.set, question, example_id(post.id, question, form)


def _predicted_answer(question: str, prediction: Prediction) -> PostAnswer:
    label = prediction.reading.label
    return PostAnswer(
        question,
        label,
        prediction.reading.explanation if label is not None else "",
        tuple(span for span in prediction.evidence if span.weight is None or span.weight >= 0),
        prediction.model,
        None if label is None else prediction.probabilities.get(label),
    )


def _dataset_posts(source: ExportSource) -> Iterator[AnsweredPost]:
    quotes = _quoted_spans(source.dataset_folder / QUOTES_FILE)
    for split in source.dataset_splits():
        by_post: dict[tuple[str, str], list[DatasetRow]] = {}
        for row in source.dataset_rows(split):
            by_post.setdefault((row.set, row.post_id), []).append(row)
        for (name, post_id), rows in by_post.items():
            answers = tuple(_accepted_answer(row, quotes) for row in rows)
            yield AnsweredPost(post_id, split, source.post_text(rows[0], split), source.task(name), answers)


def _accepted_answer(row: DatasetRow, quotes: Mapping[tuple[str, str], tuple[Span, ...]]) -> PostAnswer:
    ids = (example_id(row.post_id, row.question, form) for form in FORMS)
    evidence = next((quotes[key] for key in ((each, row.model) for each in ids) if key in quotes), ())
    return PostAnswer(row.question, row.label, row.explanation, evidence, row.model)


def _quoted_spans(path: Path) -> dict[tuple[str, str], tuple[Span, ...]]:
    """Passages of the post that an explanation quotes, by example and model."""
    if not path.is_file():
        return {}
    return {
        (line.example_id, line.model): tuple(_distinct(span for quote in line.quotes for span in quote.spans))
        for line in read_records(path, QuoteMatches)
    }


def _distinct(spans: Iterable[Span]) -> list[Span]:
    return sorted(set(spans), key=lambda span: (span.start, span.end))
