"""Fit the linear model of one set: vocabulary, tf-idf, and a head per question or part of its answers.

A head is a one-vs-rest logistic regression, or a regression on ordered levels (`ordinal`).

C, class weights, evidence weight, topics and intercept shifts are chosen once for all questions of the set, by
cross-validation over training and validation posts. Only posts labelled like the validation posts are scored: if the
training posts come from upstream files and the validation posts carry the release's labels, the latter decide. Each
question is calibrated on the validation posts; the final weights are fitted on all posts. Training on marked evidence
follows Zaidan et al. 2007, "Using Annotator Rationales".
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

from mentallama.analysts.linear.features import Featurizer, FloatArray, HashArray, NgramConfig
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
from mentallama.tasks.answer_kinds import Part
from mentallama.train.linear.dataset import (
    PostIndices,
    SetPosts,
    TfidfData,
    build_vocabulary,
    count_features,
    fit_tfidf,
    ngram_config,
)
from mentallama.train.linear.ordinal import fit_levels
from mentallama.train.linear.quoting import with_min_quote_weight

MIN_POSTS_TO_SHIFT = 50
"""Validation posts that every question needs before the second alternative of intercept shifts is tried: with fewer,
chance alone makes a label appear a third more or less common than it is."""

CV_FOLDS = 3
"""Folds over training and validation posts; every post is scored by a fit that has not seen it."""


def fit_set(posts: SetPosts, heads: Mapping[str, Part], settings: LinearSettings) -> LinearSetModel:
    """Fit one set.

    Parameters
    ----------
    posts
        Training and validation posts.
    heads
        The heads to fit, by name. Each needs validation posts, and training posts of two levels.

    Raises
    ------
    UsageError
        No word occurs in `min_df` posts.
    """
    # With several threads the order of summation in a dot product varies, and so would the weights.
    with threadpool_limits(1):
        return _fit_set(posts, heads, settings)


def _fit_set(posts: SetPosts, heads: Mapping[str, Part], settings: LinearSettings) -> LinearSetModel:
    ngrams = ngram_config(settings)
    searched = [
        _search_features(posts, list(heads), settings, ngrams.model_copy(update={"symptoms": symptoms}))
        for symptoms in settings.symptom_features
    ]
    features = max(searched, key=lambda each: mean_weighted_f1(each.chosen))  # the first wins a tie
    best, keys, idf = features.chosen.hyperparameters, features.keys, features.idf
    fitted = {}
    for name, part in heads.items():
        result = features.chosen.results[name]
        fitted[name] = fit_head(features.data, posts, name, part.levels, best, result)
        if part.name and name in posts.evidence_spans:
            unseen = fit_head(features.data, posts.without_validation(), name, part.levels, best, result)
            featurizer = Featurizer(keys, idf.astype(np.float64), ngrams)
            fitted[name] = with_min_quote_weight(fitted[name], unseen, posts, name, featurizer)
    return LinearSetModel(keys, idf, fitted)


@dataclass(frozen=True)
class _SearchedFeatures:
    """One alternative of features: vocabulary, idf, the candidate that was chosen, and its matrices."""

    keys: HashArray
    idf: NDArray[np.float32]
    chosen: LinearCandidate
    data: TfidfData


def _search_features(
    posts: SetPosts, heads: Sequence[str], settings: LinearSettings, ngrams: NgramConfig
) -> _SearchedFeatures:
    """Choose the hyperparameters with these features. Features that the vocabulary lacks are none of the analyst's."""
    counted = count_features(posts.texts, ngrams)
    passage_counts = {
        question: dict(zip(passages, count_features(list(passages.values()), ngrams), strict=True))
        for question, passages in posts.evidence_passages.items()
    }
    keys = build_vocabulary(counted, settings.min_df)
    if not len(keys):
        raise UsageError(f"{posts.name}: no {settings.min_df} training posts share a word; more are needed")
    plain, idf = fit_tfidf(counted, passage_counts, keys)
    data_by_topics = {topics: plain.with_topics(topics) for topics in settings.topics}
    chosen = search_hyperparameters(data_by_topics, posts, heads, settings)
    return _SearchedFeatures(keys, idf, chosen, data_by_topics[chosen.hyperparameters.topics])


@dataclass(frozen=True)
class LinearHyperparameters:
    """One combination of hyperparameters."""

    C: float
    class_weight: ClassWeight
    evidence_weight: float
    topics: int
    shift_intercepts: bool


@dataclass(frozen=True)
class CrossValidationResult:
    """Out-of-fold result of one question: weighted F1 (0-1), number of scored rows, and the calibration."""

    weighted_f1: float
    n_rows: int
    calibration: LogitCalibration


@dataclass(frozen=True)
class LinearCandidate:
    """Hyperparameters, and their cross-validation result for each question of a set."""

    hyperparameters: LinearHyperparameters
    results: Mapping[str, CrossValidationResult]


def search_hyperparameters(
    data_by_topics: Mapping[int, TfidfData],
    posts: SetPosts,
    questions: Sequence[str],
    settings: LinearSettings,
) -> LinearCandidate:
    """Choose the hyperparameters with the best mean weighted F1 over all questions; the first wins a tie.

    Choosing for each question separately would follow the noise of few posts.
    """
    first, *others = settings.topics
    evidence_weights = settings.evidence_weights if data_by_topics[first].evidence_passages else (0.0,)
    grid = [
        LinearHyperparameters(C, weighting, evidence, first, settings.intercept_shifts[0])
        for evidence, weighting, C in product(evidence_weights, settings.class_weights, settings.C)
    ]
    tried = [_evaluate_candidate(data_by_topics, posts, questions, candidate) for candidate in grid]
    best = max(tried, key=mean_weighted_f1).hyperparameters
    # Topics and shifts hardly interact with the rest: each is tried with the best of the others only.
    tried += [
        _evaluate_candidate(data_by_topics, posts, questions, replace(best, topics=topics))
        for topics in others
    ]
    best = max(tried, key=mean_weighted_f1).hyperparameters
    if min(len(posts.indices(question, validation=True)) for question in questions) >= MIN_POSTS_TO_SHIFT:
        tried += [
            _evaluate_candidate(data_by_topics, posts, questions, replace(best, shift_intercepts=shift))
            for shift in settings.intercept_shifts[1:]
        ]
    return max(tried, key=mean_weighted_f1)


def _evaluate_candidate(
    data_by_topics: Mapping[int, TfidfData],
    posts: SetPosts,
    questions: Sequence[str],
    candidate: LinearHyperparameters,
) -> LinearCandidate:
    data = data_by_topics[candidate.topics]
    results = {question: cross_validate(data, posts, question, candidate) for question in questions}
    return LinearCandidate(candidate, results)


def mean_weighted_f1(tried: LinearCandidate) -> float:
    """Mean weighted F1 over all questions, weighted by their rows."""
    scores, rows = zip(
        *((result.weighted_f1, result.n_rows) for result in tried.results.values()), strict=True
    )
    return float(np.average(scores, weights=rows))


def cross_validate(
    data: TfidfData, posts: SetPosts, question: str, candidate: LinearHyperparameters
) -> CrossValidationResult:
    """Score every post with a fit on the other folds; only posts labelled like the validation posts count."""
    validation = posts.indices(question, validation=True)
    rows = np.union1d(posts.indices(question, validation=False), validation)
    classes = sorted(set(posts.labels_of(question, rows)))
    logits = np.full((len(posts.texts), len(classes)), -np.inf)
    for fold in range(CV_FOLDS):
        left_out = rows[fold::CV_FOLDS]
        fold_classes, weights, intercepts = fit_weights(
            data, posts, question, np.setdiff1d(rows, left_out), candidate
        )
        columns = np.array([classes.index(label) for label in fold_classes])
        logits[np.ix_(left_out, columns)] = np.asarray(data.posts[left_out] @ weights) + intercepts
    scored = rows[posts.same_origin_as_validation[rows]]
    targets = np.array([classes.index(label) for label in posts.labels_of(question, scored)])
    calibrated = calibrate_out_of_fold(logits[scored], targets, candidate.shift_intercepts, CV_FOLDS)
    score = weighted_f1_of_labels(targets.tolist(), calibrated.argmax(axis=1).tolist())
    validation_targets = np.array([classes.index(label) for label in posts.labels_of(question, validation)])
    calibration = fit_calibration(logits[validation], validation_targets, candidate.shift_intercepts)
    return CrossValidationResult(score, len(scored), calibration)


def fit_weights(
    data: TfidfData, posts: SetPosts, question: str, rows: PostIndices, candidate: LinearHyperparameters
) -> tuple[list[str], FloatArray, FloatArray]:
    """Fit each label against the rest, or ordered levels together; returns labels, weights (features, labels) and
    intercepts (labels,). Both sum to 0 over the labels.
    """
    matrix, targets, sample_weights = data.posts[rows], posts.labels_of(question, rows), np.ones(len(rows))
    if candidate.evidence_weight and question in data.evidence_passages:
        indices, passages = data.evidence_passages[question]
        used = np.isin(indices, rows)
        matrix = vstack([matrix, passages[used]]).tocsr()
        targets = targets + posts.labels_of(question, indices[used])
        sample_weights = np.r_[sample_weights, np.full(int(used.sum()), candidate.evidence_weight)]
    classes, labels = sorted(set(targets)), np.array(targets)
    if len(classes) == 1:  # the other folds have a single label: nothing to fit
        return classes, np.zeros((matrix.shape[1], 1)), np.zeros(1)
    if levels := posts.levels_of(question):
        return _fit_ordered(matrix, labels, levels, sample_weights, candidate)
    fits = [
        _fit_binary(matrix, labels == label, sample_weights, candidate)
        for label in (classes if len(classes) > 2 else classes[1:])
    ]
    weights, intercepts = np.stack([w for w, _ in fits], axis=1), np.array([b for _, b in fits])
    return classes, centred(weights), centred(intercepts)


def _fit_ordered(
    matrix: Any,
    labels: NDArray[np.str_],
    levels: Sequence[str],
    sample_weights: FloatArray,
    candidate: LinearHyperparameters,
) -> tuple[list[str], FloatArray, FloatArray]:
    """Regression on levels: the labels that occur, in alphabetical order, with their weights and intercepts."""
    numbers = np.array([number for number, level in enumerate(levels) if level in labels], np.float64)
    known = [levels[int(number)] for number in numbers]
    targets = np.array([known.index(label) for label in labels])
    if candidate.class_weight == "balanced":
        totals = np.bincount(targets, sample_weights)
        sample_weights = sample_weights * (sample_weights.sum() / (len(known) * totals))[targets]
    weights, intercepts = fit_levels(matrix, targets, numbers, sample_weights, candidate.C)
    order = np.argsort(known)
    return sorted(known), weights[:, order], intercepts[order]


def _fit_binary(
    matrix: Any, positive: NDArray[np.bool_], sample_weights: FloatArray, candidate: LinearHyperparameters
) -> tuple[FloatArray, float]:
    """Logistic regression of one label against the rest: weights (features,) and intercept."""
    if candidate.class_weight == "balanced":
        total = sample_weights.sum()
        sample_weights = sample_weights * np.where(
            positive,
            total / (2 * sample_weights[positive].sum()),
            total / (2 * sample_weights[~positive].sum()),
        )
    model = LogisticRegression(C=candidate.C, solver="liblinear", random_state=0).fit(
        matrix, positive, sample_weight=sample_weights
    )
    return model.coef_[0], float(model.intercept_[0])


def fit_head(
    data: TfidfData,
    posts: SetPosts,
    question: str,
    labels: Sequence[str],
    chosen: LinearHyperparameters,
    result: CrossValidationResult,
) -> LinearHead:
    """Fit the final weights on all posts, with the labels in the task's order."""
    rows = np.union1d(posts.indices(question, validation=False), posts.indices(question, validation=True))
    targets = posts.labels_of(question, rows)
    classes, weights, intercepts = fit_weights(data, posts, question, rows, chosen)
    fitted = [label for label in labels if label in classes]
    order = [classes.index(label) for label in fitted]
    weights, calibration = data.fold_topics(weights), result.calibration
    validation = posts.labels_of(question, posts.indices(question, validation=True))
    metadata = LinearHeadMetadata(
        part=posts.parts[question].name if question in posts.parts else "",
        ordered=bool(posts.levels_of(question)),
        labels=tuple(fitted),
        label_prior=_label_prior(fitted, targets, validation, chosen),
        C=chosen.C,
        class_weight=chosen.class_weight,
        evidence_weight=chosen.evidence_weight,
        topics=chosen.topics,
        shift=chosen.shift_intercepts,
        temperature=calibration.temperature,
        weighted_f1=result.weighted_f1,
    )
    return LinearHead(
        metadata,
        _as_stored(weights[:, order] / calibration.temperature),
        _as_stored(calibration.apply(intercepts)[order]),
    )


def _label_prior(
    labels: Sequence[str], targets: Sequence[str], validation: Sequence[str], chosen: LinearHyperparameters
) -> tuple[float, ...]:
    """Label distribution that the fit assumes: shifts were fitted to the validation posts, balanced classes are
    uniform, and otherwise it is that of all posts. Each label counts once more than it occurs, so none is 0."""
    if chosen.shift_intercepts:
        counted = validation
    elif chosen.class_weight == "balanced":
        counted = ()
    else:
        counted = targets
    counts = [1 + counted.count(label) for label in labels]
    return tuple(count / sum(counts) for count in counts)


def centred(weights: FloatArray) -> FloatArray:
    """Weights of all classes, shifted to sum to 0 over the last axis, which leaves the softmax unchanged.

    A single column is a binary fit: half of its weights go to each class, with opposite signs.
    """
    if weights.shape[-1] == 1:
        return np.concatenate([-weights / 2, weights / 2], axis=-1)
    means: FloatArray = weights.mean(axis=-1, keepdims=True)
    return weights - means


def _as_stored(weights: FloatArray) -> NDArray[np.float32]:
    """The weights as they are read back from the model file, which holds float32 and leaves out the last label."""
    return restore_last_label(weights[..., :-1].astype(np.float32))
