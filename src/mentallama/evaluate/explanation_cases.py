"""Explanations to score, set by set: a run's answers with its posts, or outputs with the rows of the benchmark."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from mentallama.answers.parse import read_answer
from mentallama.answers.strip_label import strip_label
from mentallama.evaluate.prediction_source import PredictionSource, iter_questions
from mentallama.evaluate.published.benchmark import Benchmark, example_of_row
from mentallama.evaluate.published.reader import ScoredOutput
from mentallama.explain.results import EvidenceRow
from mentallama.explanation_metrics.base import ExplanationCase
from mentallama.files.imhi_release import ReleaseFile, find_release_files, read_release_file
from mentallama.files.record_files import is_about, read_numbered_records, read_records
from mentallama.records import Example, Form, Post, Prediction, Reading, Response, Span, UpstreamLabels
from mentallama.tasks import Task
from mentallama.tasks.answer_values import without_quotations
from mentallama.text.fingerprint import key_hash, text_key


@dataclass(frozen=True)
class ExplanationSource:
    """The cases of one evaluation, and the texts that metrics learn from; one set's cases are in memory at a time.

    `cases` takes the name of a set and returns its labelled test rows with the answers to them. `training_cases` and
    `post_texts` are as in `MetricOptions`.
    """

    cases: Callable[[str], list[ExplanationCase]]
    training_cases: Callable[[str], Iterator[ExplanationCase]]
    post_texts: Callable[[], Iterator[str]]


def explanations_of_run(  # noqa: PLR0913
    posts: Path,
    predictions: PredictionSource,
    form: Form,
    tasks: Mapping[str, Task],
    *,
    references: Path | None = None,
    upstream: Path | None = None,
    evidence: Path | None = None,
) -> ExplanationSource:
    """The explanations of predictions, or of a teacher's answers.

    `references` are the release's responses to posts of the run, `upstream` holds the annotators' passages of the
    release's posts, and `evidence` that of the stage `explain`, if there are any.
    """

    def cases(name: str) -> list[ExplanationCase]:
        marked = {} if upstream is None else _marked_upstream(upstream, name)
        asked = {
            example.id: (example, post.evidence.get(example.question) or marked.get(_key(example), ()))
            for post, example in iter_questions(posts, form, tasks, name)
            if post.split == "test" and example.label is not None
        }
        readings = _reference_readings(references, tasks[name], form, asked)
        answered = {
            prediction.example_id: prediction
            for _, prediction in predictions.read(asked)
            if prediction.example_id in asked
        }
        attributed = {} if evidence is None else _preferred_evidence(evidence, answered)
        return [
            ExplanationCase(
                example=example,
                reading=_with_reasons(tasks[name], answered[key].reading),
                reference=_explanation(readings.get(key)),
                annotated=annotated,
                evidence=answered[key].evidence,
                attributed=attributed[key].spans if key in attributed else (),
                contributions=attributed[key].contributions if key in attributed else (),
            )
            for key, (example, annotated) in asked.items()
            if key in answered
        ]

    @cache
    def test_posts() -> frozenset[int]:
        return _post_keys(post.text for post in read_records(posts, Post) if post.split == "test")

    def training_cases(name: str) -> Iterator[ExplanationCase]:
        if references is None:
            return
        asked = {
            example.id: example
            for post, example in iter_questions(posts, form, tasks, name)
            if post.split != "test" and example.label is not None
        }
        readings = _reference_readings(references, tasks[name], form, asked) if asked else {}
        for key, reading in readings.items():
            example = asked[key]
            if reading.label == example.label and key_hash(text_key(example.text)) not in test_posts():
                yield ExplanationCase(example=example, reading=reading)

    return ExplanationSource(cases, training_cases, lambda: (post.text for post in read_records(posts, Post)))


def _preferred_evidence(evidence: Path, answered: Mapping[str, Prediction]) -> dict[str, EvidenceRow]:
    """The evidence of the preferred method by example id; it is the first about an answer."""
    rows: dict[str, EvidenceRow] = {}
    for _, row in read_numbered_records(evidence, EvidenceRow, is_about(answered)):
        label = answered[row.example_id].reading.label if row.example_id in answered else None
        if label is not None and row.label == without_quotations(label):
            rows.setdefault(row.example_id, row)
    return rows


def _marked_upstream(upstream: Path, name: str) -> dict[tuple[str, str, str | None], tuple[Span, ...]]:
    """Annotators' passages of a set's posts by post, question and the label that they were marked for."""
    return {
        (record.post_id, question, record.labels.get(question)): spans
        for record in read_records(upstream, UpstreamLabels)
        if record.set == name
        for question, spans in record.evidence.items()
    }


def _key(example: Example) -> tuple[str, str, str | None]:
    return example.post_id, example.question, example.label


def _reference_readings(
    references: Path | None, task: Task, form: Form, asked: Mapping[str, object]
) -> dict[str, Reading]:
    """The parsed references of the examples `asked`, by example id."""
    if references is None:
        return {}
    return {
        response.example_id: read_answer(task, response.text, form, response.finish_reason)
        for _, response in read_numbered_records(references, Response, is_about(asked))
        if response.example_id in asked
    }


def explanations_of_outputs(
    benchmark: Benchmark, outputs: Mapping[str, Sequence[ScoredOutput]], tasks: Mapping[str, Task]
) -> ExplanationSource:
    """The explanations of outputs that answer the benchmark's rows, given by set.

    The references are the release's responses to these rows; those to learn from are in its training and validation
    files. The other posts are those of the rows that are answered. The release has no passages of annotators: they are
    known only to runs, which read and clean the upstream files.
    """

    def cases(name: str) -> list[ExplanationCase]:
        return [_output_case(output, tasks[name]) for output in outputs.get(name, ())]

    @cache
    def test_posts() -> frozenset[int]:
        return _post_keys(_test_texts(benchmark, tasks))

    def training_cases(name: str) -> Iterator[ExplanationCase]:
        task = tasks[name]
        files = find_release_files(benchmark.root, benchmark.form, {name: task})
        for file in files:
            for case in _release_cases(file, task) if file.split != "test" else ():
                if key_hash(text_key(case.example.text)) not in test_posts():
                    yield case

    return ExplanationSource(
        cases, training_cases, lambda: (output.example.text for rows in outputs.values() for output in rows)
    )


def _output_case(output: ScoredOutput, task: Task) -> ExplanationCase:
    form = output.example.form
    return ExplanationCase(
        example=output.example,
        reading=_with_reasons(task, read_answer(task, output.output, form)),
        reference=_explanation(read_answer(task, output.reference, form)),
    )


def _release_cases(file: ReleaseFile, task: Task) -> Iterator[ExplanationCase]:
    """The references of a file that can be read."""
    for row in read_release_file(file, task):
        reading = read_answer(task, row.reference, file.form)
        if reading.label is not None:
            yield ExplanationCase(example=example_of_row(task, file, row, reading.label), reading=reading)


def _test_texts(benchmark: Benchmark, tasks: Mapping[str, Task]) -> Iterator[str]:
    for name, task in tasks.items():
        for file in benchmark.candidate_files(name):
            yield from (row.text for row in read_release_file(file, task))


def _post_keys(texts: Iterator[str]) -> frozenset[int]:
    """Hashes by which copies of the texts are recognised."""
    return frozenset(key_hash(text_key(text)) for text in texts)


def _with_reasons(task: Task, reading: Reading) -> Reading:
    """The reading, whose explanation is empty if it holds nothing but the answer."""
    if not reading.explanation or strip_label(task, reading.explanation):
        return reading
    return reading.model_copy(update={"explanation": ""})


def _explanation(reference: Reading | None) -> str | None:
    """The explanation of a reference, without its answer; None where there is none."""
    if reference is None or reference.label is None:
        return None
    return reference.explanation.strip() or None
