"""Gate: the label can be read back from the explanation alone.

A classifier is trained on the explanations of training posts and the set's labels, and asked what the explanation says
once the answer is taken out of it. A training row is judged by a model that saw no row of its post. Where there is
nothing to learn from, nothing is judged: the verdict passes, has no score, and its reason begins with "not judged".
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from mentallama.answers.strip_label import strip_label
from mentallama.check.explanation_classifier import ExplanationClassifier, FloatArray, NoSharedFeatures
from mentallama.check.output.gate_report_schema import GateReportRow
from mentallama.check.response_row import ResponseRow
from mentallama.metrics.classification import weighted_f1_of_labels
from mentallama.records import Verdict, stable_id
from mentallama.tasks import Task

GATE = "label_consistency"
MIN_TRAINING_ROWS = 20
"""Training rows of a set below which its explanations are not judged."""
MAX_TRAINING_ROWS = 6000
"""Rows of a set that are learnt from; SAD has 5,547. Of a larger set so many are drawn, whole posts at a time."""
MIN_KNOWN_TERMS = 3
"""Words or word pairs of an explanation that must stand in others: in a language of its own it says nothing here."""
NOT_JUDGED = "not judged"
NO_SHARED_FEATURES_REASON = "the explanations of training rows have nothing in common to learn from"


@dataclass(frozen=True)
class ExplanationPrediction:
    """What an explanation alone says: probabilities of all labels, or why it could not be judged.

    `empty`: nothing is left once the answer is taken out.
    """

    probabilities: dict[str, float] = field(default_factory=dict)
    not_judged_reason: str | None = None
    empty: bool = False

    @property
    def label(self) -> str | None:
        """The likeliest label."""
        return max(self.probabilities, key=self.probabilities.__getitem__, default=None)


def predict_from_explanations(rows: Sequence[ResponseRow]) -> list[ExplanationPrediction]:
    """Read the label of each row from its explanation, by what the training rows among them teach.

    Rows of all sets may come together. What is learnt from are rows of training posts whose answer gives the set's
    label; an answer that gives another belongs to the review.
    """
    by_set: dict[str, list[int]] = defaultdict(list)
    for at, row in enumerate(rows):
        by_set[row.task.set].append(at)
    found: dict[int, ExplanationPrediction] = {}
    for places in by_set.values():
        found |= zip(places, _predict_set([rows[at] for at in places]), strict=True)
    return [found[at] for at in range(len(rows))]


def check_label_consistency(
    rows: Sequence[ResponseRow], threshold: float, predictions: Sequence[ExplanationPrediction] | None = None
) -> list[Verdict]:
    """Judge each row: the score is the probability of its answer's label, and fails below the threshold.

    An explanation that holds nothing but its answer fails without a score.

    Parameters
    ----------
    backs
        What `predict_from_explanations` gave for the same rows, where it was called before.
    """
    predictions = predict_from_explanations(rows) if predictions is None else predictions
    return [_verdict(row, back, threshold) for row, back in zip(rows, predictions, strict=True)]


def label_consistency_report(
    rows: Sequence[ResponseRow], backs: Sequence[ExplanationPrediction], split_name: str | None = None
) -> list[GateReportRow]:
    """How well labels are read back, a line a set and split in the order of the rows.

    `weighted_f1` (0-100) compares the label that an explanation alone says with the label that its answer gives, over
    the `judged` rows; None where there are none. `not_judged_reason` is the commonest reason among the `not_judged`.

    Parameters
    ----------
    part
        Named in place of the split, as "expert".
    """
    lines: dict[tuple[str, str], list[tuple[ResponseRow, ExplanationPrediction]]] = defaultdict(list)
    for row, back in zip(rows, backs, strict=True):
        lines[row.task.set, split_name or row.post.split].append((row, back))
    return [_report_row(name, split, pairs) for (name, split), pairs in lines.items()]


def _verdict(row: ResponseRow, back: ExplanationPrediction, threshold: float) -> Verdict:
    if back.empty:
        return row.verdict(GATE, "nothing is left of the explanation once its answer is taken out")
    if back.not_judged_reason is not None:
        told = f"{NOT_JUDGED}: {back.not_judged_reason}"
        return row.verdict(GATE).model_copy(update={"reason": told})
    score = back.probabilities[_answer_label(row)]
    reason = None if score >= threshold else f"the explanation alone reads as {back.label!r}"
    if reason is not None and back.label == row.reading.label:
        reason = "the explanation alone does not say which label it is for"
    return row.verdict(GATE, reason, round(score, 4))


def _answer_label(row: ResponseRow) -> str:
    if row.reading.label is None:
        raise ValueError(f"example {row.example.id}: an answer without a label is not judged by any gate")
    return row.reading.label


def _predict_set(rows: list[ResponseRow]) -> Iterator[ExplanationPrediction]:
    task = rows[0].task
    texts = [strip_label(task, row.reading.explanation) for row in rows]
    drawn = _training_indices(rows, texts)
    taught = Counter(rows[at].example.label for at in drawn)
    if len(drawn) < MIN_TRAINING_ROWS or len(taught) < 2:
        why = f"{task.set} has {len(drawn)} training rows of {len(taught)} labels to learn from; it takes {MIN_TRAINING_ROWS} of 2"
        yield from (ExplanationPrediction(not_judged_reason=why, empty=not text) for text in texts)
        return
    try:
        probabilities, known = _probabilities(task, rows, texts, drawn)
    except NoSharedFeatures:
        yield from (
            ExplanationPrediction(not_judged_reason=NO_SHARED_FEATURES_REASON, empty=not text)
            for text in texts
        )
        return
    for row, text, shares, words in zip(rows, texts, probabilities, known, strict=True):
        if not text:
            yield ExplanationPrediction(empty=True)
        elif not taught[row.reading.label]:
            yield ExplanationPrediction(not_judged_reason="no training row has the answer's label")
        elif words < MIN_KNOWN_TERMS:
            yield ExplanationPrediction(
                not_judged_reason="hardly a word of the explanation stands in training rows"
            )
        else:
            yield ExplanationPrediction(dict(zip(task.labels, shares.tolist(), strict=True)))


def _training_indices(rows: list[ResponseRow], texts: list[str]) -> list[int]:
    """Places of the rows to learn from, in order."""
    fit = [
        at
        for at, row in enumerate(rows)
        if row.post.split == "train" and texts[at] and row.example.label == row.reading.label is not None
    ]
    if len(fit) <= MAX_TRAINING_ROWS:
        return fit
    by_chance = sorted({rows[at].post.id for at in fit}, key=lambda post: stable_id("drawn", post))
    rows_of = Counter(rows[at].post.id for at in fit)
    total, taken = 0, set()
    for post in by_chance:
        total += rows_of[post]
        if total > MAX_TRAINING_ROWS:
            break
        taken.add(post)
    return [at for at in fit if rows[at].post.id in taken]


def _probabilities(
    task: Task, rows: list[ResponseRow], texts: list[str], drawn: list[int]
) -> tuple[FloatArray, list[int]]:
    """Shape (rows, labels), and how many words of each row are known."""
    place = {label: at for at, label in enumerate(task.labels)}
    truth = np.array([place[str(rows[at].example.label)] for at in drawn], dtype=np.int64)
    own_words = [label.because for label in task.labels.values()]
    reader = ExplanationClassifier(
        [texts[at] for at in drawn], truth, [rows[at].post.id for at in drawn], own_words
    )
    probabilities = reader.predict_proba(texts)
    probabilities[drawn] = reader.out_of_fold_probabilities
    return probabilities, reader.count_known_terms(texts).tolist()


def _report_row(
    name: str, split: str, pairs: list[tuple[ResponseRow, ExplanationPrediction]]
) -> GateReportRow:
    judged = [(row.reading.label, back.label) for row, back in pairs if back.probabilities]
    reasons = Counter(
        back.not_judged_reason or "nothing but the answer" for _, back in pairs if not back.probabilities
    )
    return {
        "set": name,
        "split": split,
        "rows": len(pairs),
        "judged": len(judged),
        "not_judged": len(pairs) - len(judged),
        "weighted_f1": round(100 * weighted_f1_of_labels(*zip(*judged, strict=True)), 2) if judged else None,
        "not_judged_reason": reasons.most_common(1)[0][0] if reasons else None,
    }
