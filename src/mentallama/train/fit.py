"""Fit the linear model of one set: vocabulary, tf-idf, one logistic regression a question.

C and class weights are chosen by weighted F1 on the validation posts, and the temperature is fitted
there (Guo et al. 2017, "On Calibration of Modern Neural Networks", section 4.2), all with weights
from the training posts alone. The weights that are kept are then fitted on both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import product
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from mentallama.models.features import CACHED_WORDS, Grams, Keys, pair_keys, split_words, word_keys
from mentallama.models.linear_file import Head, HeadCard, SetModel, whole

Weighting = Literal["none", "balanced"]
Rows = NDArray[np.int64]
Counted = tuple[Keys, NDArray[np.int64]]
"""Features of one post, ascending, and how often each occurs."""

TOLERANCE, ITERATIONS = 1e-3, 500
"""When L-BFGS stops: a tenth of scikit-learn's accuracy moves weighted F1 by less than 0.1."""

TEMPERATURES = (0.05, 20.0)


class LinearSettings(BaseModel):
    """How linear models are trained. There is no seed: nothing is drawn."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    C: tuple[float, ...] = Field((0.3, 1, 3, 10, 30), min_length=1)
    class_weight: tuple[Weighting, ...] = Field(("none", "balanced"), min_length=1)
    grams: Grams = Grams()
    min_df: int = Field(2, ge=1)
    """A feature of a single post names that post more than a class."""
    jobs: int = Field(2, ge=1)


@dataclass(frozen=True)
class SetPosts:
    """The labelled posts of one set; `heldout` are the places of validation posts."""

    texts: Sequence[str]
    labels: Sequence[dict[str, str]]
    heldout: NDArray[np.bool_]

    def rows(self, question: str, heldout: bool) -> Rows:
        asked = np.array([question in labels for labels in self.labels], np.bool_)
        return np.flatnonzero(asked & (self.heldout == heldout))

    def answers(self, question: str, rows: Rows) -> list[str]:
        return [self.labels[row][question] for row in rows]


def fit_set(posts: SetPosts, questions: dict[str, Sequence[str]], settings: LinearSettings) -> SetModel:
    """Fit one set.

    Parameters
    ----------
    posts
        Training and validation posts.
    questions
        The questions to fit, each with all its labels in the task's order. Each needs validation
        posts, and training posts of two labels.
    """
    counted = count_features(posts.texts, settings.grams)
    training = [c for c, heldout in zip(counted, posts.heldout, strict=True) if not heldout]
    trial, _ = _weigh(counted, vocabulary(training, settings.min_df), ~posts.heldout)
    choices = {q: _choose(trial, posts, q, settings) for q in questions}
    keys = vocabulary(counted, settings.min_df)
    final, idf = _weigh(counted, keys, np.ones(len(counted), np.bool_))
    heads = {q: _fit_head(final, posts, q, labels, choices[q]) for q, labels in questions.items()}
    return SetModel(keys, idf, heads)


def count_features(texts: Sequence[str], grams: Grams) -> list[Counted]:
    """Count the features of each text."""
    read = lru_cache(CACHED_WORDS)(partial(word_keys, grams=grams))
    return [_count(text, read, grams.pairs) for text in texts]


def _count(text: str, read: Callable[[str], tuple[int, Keys]], pairs: bool) -> Counted:
    words = [read(form) for form in split_words(text).forms]
    keys = [inside for _, inside in words]
    if pairs:
        keys.append(pair_keys(np.array([own for own, _ in words], np.uint32)))
    return np.unique(np.concatenate([*keys, np.empty(0, np.uint32)]), return_counts=True)


def vocabulary(counted: Sequence[Counted], min_df: int) -> Keys:
    """Features that stand in at least `min_df` posts, ascending."""
    keys, posts = np.unique(np.concatenate([keys for keys, _ in counted]), return_counts=True)
    return keys[posts >= min_df]


def _weigh(
    counted: Sequence[Counted], keys: Keys, fitted: NDArray[np.bool_]
) -> tuple[Any, NDArray[np.float32]]:
    """Tf-idf of all posts as a sparse matrix (posts, features), with idf taken from the `fitted` ones."""
    from scipy.sparse import csr_matrix
    from sklearn.feature_extraction.text import TfidfTransformer

    known = [np.isin(post, keys, assume_unique=True) for post, _ in counted]
    columns = [np.searchsorted(keys, post[k]) for (post, _), k in zip(counted, known, strict=True)]
    counts = [times[k] for (_, times), k in zip(counted, known, strict=True)]
    ends = np.cumsum([0] + [len(post) for post in columns])
    matrix = csr_matrix(
        (np.concatenate(counts).astype(np.float64), np.concatenate(columns), ends),
        shape=(len(counted), len(keys)),
    )
    tfidf = TfidfTransformer(sublinear_tf=True).fit(matrix[fitted])
    # The file holds 32 bits; training sees the same numbers as the analyst will.
    tfidf.idf_ = tfidf.idf_.astype(np.float32).astype(np.float64)
    return tfidf.transform(matrix), tfidf.idf_.astype(np.float32)


@dataclass(frozen=True)
class Choice:
    """What validation decided for one question."""

    weighted_f1: float
    C: float
    class_weight: Weighting
    temperature: float


def _regress(matrix: Any, answers: Sequence[str], C: float, class_weight: Weighting) -> Any:
    from sklearn.linear_model import LogisticRegression

    weight = "balanced" if class_weight == "balanced" else None
    return LogisticRegression(C=C, class_weight=weight, tol=TOLERANCE, max_iter=ITERATIONS).fit(matrix, answers)


def _choose(matrix: Any, posts: SetPosts, question: str, settings: LinearSettings) -> Choice:
    """Try all settings; of equals the first, so the plainest, is kept."""
    from sklearn.metrics import f1_score

    train, heldout = posts.rows(question, False), posts.rows(question, True)
    answers, truth = posts.answers(question, train), posts.answers(question, heldout)
    best = Choice(-1.0, 1.0, "none", 1.0)
    for class_weight, C in product(settings.class_weight, settings.C):
        model = _regress(matrix[train], answers, C, class_weight)
        found = model.predict(matrix[heldout])
        score = float(f1_score(truth, found, average="weighted", zero_division=0))
        if score > best.weighted_f1:
            best = Choice(score, C, class_weight, _temperature(_logits(model, matrix[heldout]), model, truth))
    return best


def _logits(model: Any, matrix: Any) -> NDArray[np.float64]:
    """Shape (posts, classes)."""
    scores = np.asarray(model.decision_function(matrix))
    return np.stack([-scores / 2, scores / 2], axis=1) if scores.ndim == 1 else scores


def _temperature(logits: NDArray[np.float64], model: Any, truth: Sequence[str]) -> float:
    """The temperature with the lowest log loss; 1 where no post has a label known from training."""
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    place = {name: column for column, name in enumerate(model.classes_)}
    known = [row for row, label in enumerate(truth) if label in place]
    columns = [place[truth[row]] for row in known]
    if not known:
        return 1.0

    def loss(log_temperature: float) -> float:
        return -float(log_softmax(logits[known] / np.exp(log_temperature), axis=1)[range(len(known)), columns].mean())

    return float(np.exp(minimize_scalar(loss, bounds=np.log(TEMPERATURES), method="bounded").x))


def _fit_head(matrix: Any, posts: SetPosts, question: str, labels: Sequence[str], choice: Choice) -> Head:
    """Fit the weights to keep, and put them into the task's order of labels."""
    rows = np.union1d(posts.rows(question, False), posts.rows(question, True))
    answers = posts.answers(question, rows)
    model = _regress(matrix[rows], answers, choice.C, choice.class_weight)
    seen = [label for label in labels if label in set(answers)]
    order = [list(model.classes_).index(label) for label in seen]
    even = choice.class_weight == "balanced"
    card = HeadCard(
        labels=tuple(seen),
        usual=tuple(1 / len(seen) if even else answers.count(label) / len(answers) for label in seen),
        C=choice.C,
        class_weight=choice.class_weight,
        temperature=choice.temperature,
        weighted_f1=choice.weighted_f1,
    )
    weights, intercepts = _centred(model.coef_.T), _centred(model.intercept_)
    return Head(
        card,
        _stored(weights[:, order] / choice.temperature),
        _stored(intercepts[order] / choice.temperature),
    )


def _centred(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights of all classes, summing to 0 over the last axis; the softmax is the same."""
    if weights.shape[-1] == 1:
        return np.concatenate([-weights / 2, weights / 2], axis=-1)
    return weights - weights.mean(axis=-1, keepdims=True)


def _stored(weights: NDArray[np.float64]) -> NDArray[np.float32]:
    """As they will be read back from the file."""
    return whole(weights[..., :-1].astype(np.float32))
