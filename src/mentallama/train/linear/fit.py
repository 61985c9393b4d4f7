"""Fit the linear model of one set: vocabulary, tf-idf, a logistic regression for each label against the rest.

C, class weights, the weight of the annotators' evidence, topics and shifts are chosen, one choice for all questions
of the set, by cross-validation over training and validation posts, scored on those that are labelled as the
validation posts are: a set whose training posts come from upstream files while its validation posts carry the
release's labels is judged on the latter alone. Each question is calibrated on the validation posts. The weights that
are kept are fitted on all. Evidence is learnt from as in Zaidan et al. 2007, "Using Annotator Rationales".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import vstack
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from mentallama.analysts.linear.features import FloatArray
from mentallama.analysts.linear.serialization import (
    ClassWeight,
    LinearHead,
    LinearHeadMetadata,
    LinearSetModel,
    restore_last_label,
)
from mentallama.config import LinearSettings
from mentallama.errors import UsageError
from mentallama.metrics.classification import weighted_f1_of_labels
from mentallama.metrics.temperature import LogitCalibration, calibrate_out_of_fold, fit_calibration
from mentallama.train.linear.tfidf import TfidfData, build_vocabulary, count_features, fit_tfidf
from mentallama.train.linear.trainer import PostIndices, SetPosts, grams_of

MIN_POSTS_TO_SHIFT = 50
"""Validation posts of every question below which a second choice of shifts is not tried: on fewer, chance alone makes a
label a third more or less common than it is."""

CV_FOLDS = 3
"""Of training and validation posts; every post is judged by a fit that has not seen it."""


def fit_set(
    posts: SetPosts, questions: Mapping[str, Sequence[str]], settings: LinearSettings
) -> LinearSetModel:
    """Fit one set; `WrongUse` where its training posts share no word.

    Parameters
    ----------
    posts
        Training and validation posts.
    questions
        The questions to fit, each with all its labels in the task's order. Each needs validation
        posts, and training posts of two labels.
    """
    # On several threads the sums of a dot product come in an order that varies, and so do the weights.
    with threadpool_limits(1):
        return _fit_set(posts, questions, settings)


def _fit_set(
    posts: SetPosts, questions: Mapping[str, Sequence[str]], settings: LinearSettings
) -> LinearSetModel:
    grams = grams_of(settings)
    counted = count_features(posts.texts, grams)
    marked = {
        question: dict(zip(passages, count_features(list(passages.values()), grams), strict=True))
        for question, passages in posts.evidence_passages.items()
    }
    keys = build_vocabulary(counted, settings.min_df)
    if not len(keys):
        raise UsageError(f"{posts.name}: no {settings.min_df} training posts share a word; more are needed")
    plain, idf = fit_tfidf(counted, marked, keys)
    materials = {topics: plain.with_topics(topics) for topics in settings.topics}
    chosen = _search_hyperparameters(materials, posts, list(questions), settings)
    heads = {
        question: _fit_head(
            materials[chosen.hyperparameters.topics],
            posts,
            question,
            labels,
            chosen.hyperparameters,
            chosen.results[question],
        )
        for question, labels in questions.items()
    }
    return LinearSetModel(keys, idf, heads)


@dataclass(frozen=True)
class LinearHyperparameters:
    """One way to fit."""

    C: float
    class_weight: ClassWeight
    evidence_weight: float
    topics: int
    shift_intercepts: bool


@dataclass(frozen=True)
class CrossValidationResult:
    """What the posts left out of the fits said of one question: weighted F1 (0-1), its rows, the calibration."""

    weighted_f1: float
    n_rows: int
    calibration: LogitCalibration


@dataclass(frozen=True)
class LinearCandidate:
    """The setting chosen for a set, and what was said of each question."""

    hyperparameters: LinearHyperparameters
    results: Mapping[str, CrossValidationResult]


def _search_hyperparameters(
    materials: Mapping[int, TfidfData], posts: SetPosts, questions: Sequence[str], settings: LinearSettings
) -> LinearCandidate:
    """Try all settings on all questions together: a choice for each alone would follow the noise of few posts.

    Of equals the first is kept.
    """
    first, *others = settings.topics
    evidence_weights = settings.evidence_weights if materials[first].evidence_passages else (0.0,)
    grid = [
        LinearHyperparameters(C, weighting, evidence, first, settings.intercept_shifts[0])
        for evidence, weighting, C in product(evidence_weights, settings.class_weights, settings.C)
    ]
    tried = [_cross_validate_all(materials, posts, questions, setting) for setting in grid]
    best = max(tried, key=_mean_weighted_f1).hyperparameters
    # Topics and shifts change little of the rest: each is tried with the best of the other settings only.
    tried += [
        _cross_validate_all(materials, posts, questions, replace(best, topics=topics)) for topics in others
    ]
    best = max(tried, key=_mean_weighted_f1).hyperparameters
    if min(len(posts.indices(question, True)) for question in questions) >= MIN_POSTS_TO_SHIFT:
        tried += [
            _cross_validate_all(materials, posts, questions, replace(best, shift_intercepts=shift))
            for shift in settings.intercept_shifts[1:]
        ]
    return max(tried, key=_mean_weighted_f1)


def _cross_validate_all(
    materials: Mapping[int, TfidfData],
    posts: SetPosts,
    questions: Sequence[str],
    setting: LinearHyperparameters,
) -> LinearCandidate:
    material = materials[setting.topics]
    return LinearCandidate(
        setting, {question: _cross_validate(material, posts, question, setting) for question in questions}
    )


def _mean_weighted_f1(tried: LinearCandidate) -> float:
    """Weighted F1 over all questions, each by its rows."""
    scores, rows = zip(*((found.weighted_f1, found.n_rows) for found in tried.results.values()), strict=True)
    return float(np.average(scores, weights=rows))


def _cross_validate(
    material: TfidfData, posts: SetPosts, question: str, setting: LinearHyperparameters
) -> CrossValidationResult:
    """Fit on all folds but one, answer that one; score the posts that are labelled as the validation posts are."""
    rows = np.union1d(posts.indices(question, False), posts.indices(question, True))
    classes = sorted(set(posts.labels_of(question, rows)))
    logits = np.full((len(posts.texts), len(classes)), -np.inf)
    for fold in range(CV_FOLDS):
        held = rows[fold::CV_FOLDS]
        known, weights, intercepts = _fit_weights(
            material, posts, question, np.setdiff1d(rows, held), setting
        )
        columns = np.array([classes.index(label) for label in known])
        logits[np.ix_(held, columns)] = np.asarray(material.posts[held] @ weights) + intercepts
    scored = rows[posts.same_origin_as_validation[rows]]
    truth = np.array([classes.index(label) for label in posts.labels_of(question, scored)])
    found = calibrate_out_of_fold(logits[scored], truth, setting.shift_intercepts, CV_FOLDS).argmax(axis=1)
    score = weighted_f1_of_labels(truth.tolist(), found.tolist())
    heldout = posts.indices(question, True)
    answers = np.array([classes.index(label) for label in posts.labels_of(question, heldout)])
    return CrossValidationResult(
        score, len(scored), fit_calibration(logits[heldout], answers, setting.shift_intercepts)
    )


def _fit_weights(
    material: TfidfData, posts: SetPosts, question: str, rows: PostIndices, setting: LinearHyperparameters
) -> tuple[list[str], FloatArray, FloatArray]:
    """Fit every label against the rest; returns labels, weights (features, labels) and intercepts (labels,).

    Both sum to 0 over the labels.
    """
    matrix, answers, worth = material.posts[rows], posts.labels_of(question, rows), np.ones(len(rows))
    if setting.evidence_weight and question in material.evidence_passages:
        places, passages = material.evidence_passages[question]
        used = np.isin(places, rows)
        matrix = vstack([matrix, passages[used]]).tocsr()
        answers = answers + posts.labels_of(question, places[used])
        worth = np.r_[worth, np.full(int(used.sum()), setting.evidence_weight)]
    classes, labels = sorted(set(answers)), np.array(answers)
    if len(classes) == 1:  # all that a fold leaves over: there is nothing to tell apart
        return classes, np.zeros((matrix.shape[1], 1)), np.zeros(1)
    fits = [
        _fit_binary(matrix, labels == label, worth, setting)
        for label in (classes if len(classes) > 2 else classes[1:])
    ]
    weights, intercepts = np.stack([w for w, _ in fits], axis=1), np.array([b for _, b in fits])
    return classes, _centred(weights), _centred(intercepts)


def _fit_binary(
    matrix: Any, positive: NDArray[np.bool_], worth: FloatArray, setting: LinearHyperparameters
) -> tuple[FloatArray, float]:
    """Logistic regression of one label against the rest: weights (features,) and intercept."""
    if setting.class_weight == "balanced":
        total = worth.sum()
        worth = worth * np.where(
            positive, total / (2 * worth[positive].sum()), total / (2 * worth[~positive].sum())
        )
    model = LogisticRegression(C=setting.C, solver="liblinear", random_state=0).fit(
        matrix, positive, sample_weight=worth
    )
    return model.coef_[0], float(model.intercept_[0])


def _fit_head(
    material: TfidfData,
    posts: SetPosts,
    question: str,
    labels: Sequence[str],
    setting: LinearHyperparameters,
    judged: CrossValidationResult,
) -> LinearHead:
    """Fit the weights to keep, and put them into the task's order of labels."""
    rows = np.union1d(posts.indices(question, False), posts.indices(question, True))
    answers = posts.labels_of(question, rows)
    classes, weights, intercepts = _fit_weights(material, posts, question, rows, setting)
    seen = [label for label in labels if label in classes]
    order = [classes.index(label) for label in seen]
    weights, calibration = material.fold_topics(weights), judged.calibration
    even = setting.class_weight == "balanced"
    card = LinearHeadMetadata(
        labels=tuple(seen),
        label_prior=tuple(1 / len(seen) if even else answers.count(label) / len(answers) for label in seen),
        C=setting.C,
        class_weight=setting.class_weight,
        evidence_weight=setting.evidence_weight,
        topics=setting.topics,
        shift=setting.shift_intercepts,
        temperature=calibration.temperature,
        weighted_f1=judged.weighted_f1,
    )
    return LinearHead(
        card,
        _as_read_from_file(weights[:, order] / calibration.temperature),
        _as_read_from_file(calibration.apply(intercepts)[order]),
    )


def _centred(weights: FloatArray) -> FloatArray:
    """Weights of all classes, summing to 0 over the last axis; the softmax is the same."""
    if weights.shape[-1] == 1:
        return np.concatenate([-weights / 2, weights / 2], axis=-1)
    means: FloatArray = weights.mean(axis=-1, keepdims=True)
    return weights - means


def _as_read_from_file(weights: FloatArray) -> NDArray[np.float32]:
    """As they will be read back from the file."""
    return restore_last_label(weights[..., :-1].astype(np.float32))
