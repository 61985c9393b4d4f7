"""Labels read back from explanations alone, by a linear classifier trained on the release's training explanations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from mentallama.analysts.linear.explanation_classifier import (
    MAX_TRAINING_ROWS,
    MIN_TRAINING_ROWS,
    ExplanationClassifier,
    NoSharedFeatures,
)
from mentallama.answers.strip_label import strip_label
from mentallama.errors import counted
from mentallama.evaluate.scores import ScoredRow, compute_scores
from mentallama.progress import heartbeat
from mentallama.reproduce.claims import ClaimFinding, PaperClaim, judge, not_possible
from mentallama.reproduce.inputs import ReproductionInputs
from mentallama.reproduce.release_data import Part, ReferenceRow, missing_file
from mentallama.tasks import Task

LINEAR_READER = "read by a linear classifier"


def check_explanation_labels(claim: PaperClaim, inputs: ReproductionInputs) -> Iterator[ClaimFinding]:
    """Weighted F1 of the labels read from a file's explanations; a subject is "SET, test" or "SET, expert"."""
    by_set: dict[str, list[Part]] = {}
    for subject in claim.values:
        name, _, part = subject.partition(", ")
        by_set.setdefault(name, []).append("expert" if part == "expert" else "test")
    for name, parts in by_set.items():
        yield from _check_set(claim, inputs, name, parts)


def _check_set(
    claim: PaperClaim, inputs: ReproductionInputs, name: str, parts: Sequence[Part]
) -> Iterator[ClaimFinding]:
    data, task = inputs.data, inputs.data.tasks[name]
    present = [part for part in parts if any(row.label for row in data.rows(name, part) or ())]
    for part in parts:
        if part not in present:
            yield not_possible(claim, f"{name}, {part}", _missing_part(part))
    source, training = _training_rows(inputs, name) if present else ("", [])
    reader = train_reader(task, training) if training else missing_file("train")
    for part in present:
        subject = f"{name}, {part}"
        if isinstance(reader, str):
            yield not_possible(claim, subject, reader)
            continue
        scores = compute_scores(
            read_labels(reader, task, data.rows(name, part) or []), task, inputs.resampling
        )
        yield judge(
            claim,
            subject,
            round(scores.weighted_f1, 2),
            interval=scores.weighted_f1_interval,
            cause=f"{LINEAR_READER} trained on the {source} file",
        )


def _missing_part(part: Part) -> str:
    expert = "human_evaluation/test_instruction_expert/SET.csv is missing or empty"
    return expert if part == "expert" else missing_file("test")


def _training_rows(inputs: ReproductionInputs, name: str) -> tuple[str, list[ReferenceRow]]:
    """Name and rows of the file to train on: the training file, else the validation file.

    Rows about posts of the test and expert files are left out.
    """
    data = inputs.data
    held_out = {row.key for part in ("test", "expert") for row in data.rows(name, part) or ()}
    for part in ("train", "validation"):
        rows = [row for row in data.rows(name, part) or () if row.label and row.key not in held_out]
        if rows:
            return part, rows
    return "", []


def train_reader(task: Task, rows: Sequence[ReferenceRow]) -> ExplanationClassifier | str:
    """Train a classifier on explanations without their statements of the label, or say why that is not possible.

    Of very many rows, every n-th is taken.
    """
    texts = [(row, strip_label(task, row.explanation)) for row in rows]
    known = [(row, text) for row, text in texts if text and row.label is not None]
    if len(known) < MIN_TRAINING_ROWS:
        return f"there are only {counted(len(known), 'training explanation')} of other posts"
    known = known[:: -(-len(known) // MAX_TRAINING_ROWS)]
    labels = list(task.labels)
    try:
        with heartbeat(f"reproduce: read labels from explanations of {task.set}"):
            return ExplanationClassifier(
                [text for _, text in known],
                np.array([labels.index(str(row.label)) for row, _ in known], dtype=np.int64),
                [row.key for row, _ in known],
                [label.because for label in task.labels.values()],
            )
    except NoSharedFeatures:
        return "the training explanations have no words in common"


def read_labels(reader: ExplanationClassifier, task: Task, rows: Sequence[ReferenceRow]) -> list[ScoredRow]:
    """The label that each row's explanation is read as, against the label of its answer.

    An explanation of which nothing is left without its statements of the label has none, which counts as wrong. Rows
    without a label are left out.
    """
    labels = list(task.labels)
    asked = [(row, strip_label(task, row.explanation)) for row in rows if row.label is not None]
    with_text = [text for _, text in asked if text]
    read = iter(reader.predict_proba(with_text).argmax(axis=1).tolist() if with_text else ())
    return [
        _scored_row(task, number, row, labels[next(read)] if text else None)
        for number, (row, text) in enumerate(asked)
    ]


def _scored_row(task: Task, number: int, row: ReferenceRow, predicted: str | None) -> ScoredRow:
    return ScoredRow(
        example_id=str(number),
        set=task.set,
        question=row.question,
        post_id=row.key,
        gold=str(row.label),
        status="unparsed" if predicted is None else "parsed",
        predicted=predicted,
    )
