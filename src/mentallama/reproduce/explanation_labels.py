"""Labels read back from explanations alone, by a linear classifier trained on the release's training explanations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from mentallama.answers.strip_label import strip_label
from mentallama.check.explanation_classifier import ExplanationClassifier, NoSharedFeatures
from mentallama.check.gates.label_consistency import MAX_TRAINING_ROWS, MIN_TRAINING_ROWS
from mentallama.evaluate.scores import ScoredRow, compute_scores
from mentallama.progress import heartbeat
from mentallama.reproduce.claims import ClaimFinding, PaperClaim, judge, not_possible
from mentallama.reproduce.inputs import ReproductionInputs
from mentallama.reproduce.release_data import Part, ReferenceRow, missing_file
from mentallama.tasks import Task

LINEAR_READER = "read by a linear classifier"


def check_explanation_labels(claim: PaperClaim, inputs: ReproductionInputs) -> Iterator[ClaimFinding]:
    """Weighted F1 of the labels read from the explanations of the test files."""
    return _check(claim, inputs, "test")


def check_expert_explanation_labels(claim: PaperClaim, inputs: ReproductionInputs) -> Iterator[ClaimFinding]:
    """Weighted F1 of the labels read from the explanations that experts wrote."""
    return _check(claim, inputs, "expert")


def _check(claim: PaperClaim, inputs: ReproductionInputs, part: Part) -> Iterator[ClaimFinding]:
    data = inputs.data
    for name in claim.values:
        rows, (source, training) = data.rows(name, part), _training_rows(inputs, name)
        if rows is None:
            yield not_possible(claim, name, _missing_part(part))
            continue
        if len(training) < MIN_TRAINING_ROWS:
            few = f"the {source} file has only {len(training)} explanations of other posts"
            yield not_possible(claim, name, few if training else missing_file("train"))
            continue
        with heartbeat(f"reproduce: read labels from explanations of {name}"):
            try:
                predicted = predict_labels(data.tasks[name], training, rows)
            except NoSharedFeatures:
                yield not_possible(claim, name, "the training explanations have no words in common")
                continue
        scores = compute_scores(predicted, data.tasks[name], inputs.resampling)
        yield judge(
            claim, name, round(scores.weighted_f1, 2), interval=scores.weighted_f1_interval,
            cause=f"{LINEAR_READER} trained on the {source} file",
        )  # fmt: skip


def _missing_part(part: Part) -> str:
    expert = "human_evaluation/test_instruction_expert/SET.csv is missing"
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


def predict_labels(
    task: Task, training: Sequence[ReferenceRow], rows: Sequence[ReferenceRow]
) -> list[ScoredRow]:
    """The label that each row's explanation is read as, against the label of its answer.

    Statements of the label are removed from all explanations. An explanation of which nothing is left has no label,
    which counts as wrong. Rows without a label are left out; of very many training rows, every n-th is taken.

    Raises
    ------
    NoSharedFeatures
        There is nothing to learn from the training explanations.
    """
    labels = list(task.labels)
    texts = [(row, strip_label(task, row.explanation)) for row in training]
    known = [(row, text) for row, text in texts if text and row.label is not None]
    known = known[:: -(-len(known) // MAX_TRAINING_ROWS) or 1]
    classifier = ExplanationClassifier(
        [text for _, text in known],
        np.array([labels.index(str(row.label)) for row, _ in known], dtype=np.int64),
        [row.key for row, _ in known],
        [label.because for label in task.labels.values()],
    )
    asked = [(row, strip_label(task, row.explanation)) for row in rows if row.label is not None]
    with_text = [text for _, text in asked if text]
    read = iter(classifier.predict_proba(with_text).argmax(axis=1).tolist() if with_text else ())
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
