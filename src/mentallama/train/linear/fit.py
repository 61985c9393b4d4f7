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
from sklearn.metrics import f1_score
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from mentallama.analysts.linear.features import Floats
from mentallama.analysts.linear.serialization import Head, HeadCard, SetModel, Weighting, whole
from mentallama.config import Linear
from mentallama.errors import WrongUse
from mentallama.metrics.temperature import Calibration, calibrate, calibrated_apart
from mentallama.train.linear.tfidf import Material, count_features, vocabulary, weigh
from mentallama.train.linear.trainer import Rows, SetPosts, grams_of

ENOUGH_TO_SHIFT = 50
"""Validation posts of every question below which a second choice of shifts is not tried: on fewer, chance alone makes a
label a third more or less common than it is."""

FOLDS = 3
"""Of training and validation posts; every post is judged by a fit that has not seen it."""


def fit_set(posts: SetPosts, questions: Mapping[str, Sequence[str]], settings: Linear) -> SetModel:
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


def _fit_set(posts: SetPosts, questions: Mapping[str, Sequence[str]], settings: Linear) -> SetModel:
    grams = grams_of(settings)
    counted = count_features(posts.texts, grams)
    marked = {
        question: dict(zip(passages, count_features(list(passages.values()), grams), strict=True))
        for question, passages in posts.passages.items()
    }
    keys = vocabulary(counted, settings.min_posts)
    if not len(keys):
        raise WrongUse(f"{posts.name}: no {settings.min_posts} training posts share a word; more are needed")
    plain, idf = weigh(counted, marked, keys)
    materials = {topics: plain.with_topics(topics) for topics in settings.topics}
    chosen = _choose(materials, posts, list(questions), settings)
    heads = {
        question: _fit_head(
            materials[chosen.setting.topics], posts, question, labels, chosen.setting, chosen.judged[question]
        )
        for question, labels in questions.items()
    }
    return SetModel(keys, idf, heads)


@dataclass(frozen=True)
class Setting:
    """One way to fit."""

    C: float
    class_weight: Weighting
    evidence_weight: float
    topics: int
    shift: bool


@dataclass(frozen=True)
class Judged:
    """What the posts left out of the fits said of one question: weighted F1 (0-1), its rows, the calibration."""

    weighted_f1: float
    rows: int
    calibration: Calibration


@dataclass(frozen=True)
class Chosen:
    """The setting chosen for a set, and what was said of each question."""

    setting: Setting
    judged: Mapping[str, Judged]


def _choose(
    materials: Mapping[int, Material], posts: SetPosts, questions: Sequence[str], settings: Linear
) -> Chosen:
    """Try all settings on all questions together: a choice for each alone would follow the noise of few posts.

    Of equals the first is kept.
    """
    first, *others = settings.topics
    evidence_weights = settings.evidence_weights if materials[first].passages else (0.0,)
    grid = [
        Setting(C, weighting, evidence, first, settings.shifts[0])
        for evidence, weighting, C in product(
            evidence_weights, settings.class_weights, settings.regularisation
        )
    ]
    tried = [_try(materials, posts, questions, setting) for setting in grid]
    best = max(tried, key=_score).setting
    # Topics and shifts change little of the rest: each is tried with the best of the other settings only.
    tried += [_try(materials, posts, questions, replace(best, topics=topics)) for topics in others]
    best = max(tried, key=_score).setting
    if min(len(posts.rows(question, True)) for question in questions) >= ENOUGH_TO_SHIFT:
        tried += [
            _try(materials, posts, questions, replace(best, shift=shift)) for shift in settings.shifts[1:]
        ]
    return max(tried, key=_score)


def _try(
    materials: Mapping[int, Material], posts: SetPosts, questions: Sequence[str], setting: Setting
) -> Chosen:
    material = materials[setting.topics]
    return Chosen(setting, {question: _judge(material, posts, question, setting) for question in questions})


def _score(tried: Chosen) -> float:
    """Weighted F1 over all questions, each by its rows."""
    scores, rows = zip(*((found.weighted_f1, found.rows) for found in tried.judged.values()), strict=True)
    return float(np.average(scores, weights=rows))


def _judge(material: Material, posts: SetPosts, question: str, setting: Setting) -> Judged:
    """Fit on all folds but one, answer that one; score the posts that are labelled as the validation posts are."""
    rows = np.union1d(posts.rows(question, False), posts.rows(question, True))
    classes = sorted(set(posts.answers(question, rows)))
    logits = np.full((len(posts.texts), len(classes)), -np.inf)
    for fold in range(FOLDS):
        held = rows[fold::FOLDS]
        known, weights, intercepts = _fit_weights(
            material, posts, question, np.setdiff1d(rows, held), setting
        )
        columns = np.array([classes.index(label) for label in known])
        logits[np.ix_(held, columns)] = np.asarray(material.posts[held] @ weights) + intercepts
    scored = rows[posts.alike[rows]]
    truth = np.array([classes.index(label) for label in posts.answers(question, scored)])
    found = calibrated_apart(logits[scored], truth, setting.shift, FOLDS).argmax(axis=1)
    score = float(f1_score(truth, found, average="weighted", zero_division=0))
    heldout = posts.rows(question, True)
    answers = np.array([classes.index(label) for label in posts.answers(question, heldout)])
    return Judged(score, len(scored), calibrate(logits[heldout], answers, setting.shift))


def _fit_weights(
    material: Material, posts: SetPosts, question: str, rows: Rows, setting: Setting
) -> tuple[list[str], Floats, Floats]:
    """Fit every label against the rest; returns labels, weights (features, labels) and intercepts (labels,).

    Both sum to 0 over the labels.
    """
    matrix, answers, worth = material.posts[rows], posts.answers(question, rows), np.ones(len(rows))
    if setting.evidence_weight and question in material.passages:
        places, passages = material.passages[question]
        used = np.isin(places, rows)
        matrix = vstack([matrix, passages[used]]).tocsr()
        answers = answers + posts.answers(question, places[used])
        worth = np.r_[worth, np.full(int(used.sum()), setting.evidence_weight)]
    classes, labels = sorted(set(answers)), np.array(answers)
    if len(classes) == 1:  # all that a fold leaves over: there is nothing to tell apart
        return classes, np.zeros((matrix.shape[1], 1)), np.zeros(1)
    fits = [
        _fit_one(matrix, labels == label, worth, setting)
        for label in (classes if len(classes) > 2 else classes[1:])
    ]
    weights, intercepts = np.stack([w for w, _ in fits], axis=1), np.array([b for _, b in fits])
    return classes, _centred(weights), _centred(intercepts)


def _fit_one(
    matrix: Any, positive: NDArray[np.bool_], worth: Floats, setting: Setting
) -> tuple[Floats, float]:
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
    material: Material,
    posts: SetPosts,
    question: str,
    labels: Sequence[str],
    setting: Setting,
    judged: Judged,
) -> Head:
    """Fit the weights to keep, and put them into the task's order of labels."""
    rows = np.union1d(posts.rows(question, False), posts.rows(question, True))
    answers = posts.answers(question, rows)
    classes, weights, intercepts = _fit_weights(material, posts, question, rows, setting)
    seen = [label for label in labels if label in classes]
    order = [classes.index(label) for label in seen]
    weights, calibration = material.folded(weights), judged.calibration
    even = setting.class_weight == "balanced"
    card = HeadCard(
        labels=tuple(seen),
        usual=tuple(1 / len(seen) if even else answers.count(label) / len(answers) for label in seen),
        C=setting.C,
        class_weight=setting.class_weight,
        evidence_weight=setting.evidence_weight,
        topics=setting.topics,
        shift=setting.shift,
        temperature=calibration.temperature,
        weighted_f1=judged.weighted_f1,
    )
    return Head(
        card,
        _stored(weights[:, order] / calibration.temperature),
        _stored(calibration.of(intercepts)[order]),
    )


def _centred(weights: Floats) -> Floats:
    """Weights of all classes, summing to 0 over the last axis; the softmax is the same."""
    if weights.shape[-1] == 1:
        return np.concatenate([-weights / 2, weights / 2], axis=-1)
    means: Floats = weights.mean(axis=-1, keepdims=True)
    return weights - means


def _stored(weights: Floats) -> NDArray[np.float32]:
    """As they will be read back from the file."""
    return whole(weights[..., :-1].astype(np.float32))
