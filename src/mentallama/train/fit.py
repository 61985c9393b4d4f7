"""Fit the linear model of one set: vocabulary, tf-idf, one logistic regression a question.

C and class weights are chosen by weighted F1 on the validation posts, and the temperature is fitted
there (Guo et al. 2017, "On Calibration of Modern Neural Networks", section 4.2), all with weights
from the training posts alone. The weights that are kept are then fitted on both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.sparse import csr_matrix
from scipy.special import log_softmax
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from mentallama.config import Train
from mentallama.errors import WrongUse
from mentallama.models.features import CACHED_WORDS, Floats, Grams, Keys, pair_keys, split_words, word_keys
from mentallama.models.linear_file import Head, HeadCard, SetModel, Weighting, whole
from mentallama.train.linear import SetPosts, grams_of

Counted = tuple[Keys, NDArray[np.int64]]
"""Features of one post, ascending, and how often each occurs."""

ITERATIONS = 500
"""Most steps of L-BFGS; on the published sets it ends before 120."""

TEMPERATURES = (0.05, 20.0)
"""Bounds of the search: far beyond what was ever best on the published sets (0.3 to 2.4)."""


def fit_set(posts: SetPosts, questions: Mapping[str, Sequence[str]], settings: Train) -> SetModel:
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


def _fit_set(posts: SetPosts, questions: Mapping[str, Sequence[str]], settings: Train) -> SetModel:
    counted = count_features(posts.texts, grams_of(settings))
    training = [c for c, heldout in zip(counted, posts.heldout, strict=True) if not heldout]
    known = vocabulary(training, settings.min_posts)
    if not len(known):
        raise WrongUse(f"{posts.name}: no {settings.min_posts} training posts share a word; more are needed")
    trial, _ = _weigh(counted, known, ~posts.heldout)
    choices = {question: _choose(trial, posts, question, settings) for question in questions}
    keys = vocabulary(counted, settings.min_posts)
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


def vocabulary(counted: Sequence[Counted], min_posts: int) -> Keys:
    """Features that stand in at least `min_posts` posts, the most frequent first."""
    keys, posts = np.unique(np.concatenate([keys for keys, _ in counted]), return_counts=True)
    frequent = posts >= min_posts
    return keys[frequent][np.argsort(-posts[frequent], kind="stable")]


def _weigh(
    counted: Sequence[Counted], keys: Keys, fitted: NDArray[np.bool_]
) -> tuple[Any, NDArray[np.float32]]:
    """Tf-idf of all posts as a sparse matrix (posts, features), with idf taken from the `fitted` ones."""
    order = np.argsort(keys)
    ascending = keys[order]
    known = [np.isin(post, ascending, assume_unique=True) for post, _ in counted]
    columns = [
        order[np.searchsorted(ascending, post[k])] for (post, _), k in zip(counted, known, strict=True)
    ]
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


def _regression(C: float, class_weight: Weighting) -> Any:
    """A logistic regression that begins where its last fit ended."""
    weight = "balanced" if class_weight == "balanced" else None
    return LogisticRegression(C=C, class_weight=weight, max_iter=ITERATIONS, warm_start=True)


def _choose(matrix: Any, posts: SetPosts, question: str, settings: Train) -> Choice:
    """Try all settings; of equals the first, so the plainest, is kept."""
    train, heldout = posts.rows(question, False), posts.rows(question, True)
    answers, truth = posts.answers(question, train), posts.answers(question, heldout)
    best = Choice(-1.0, 1.0, "none", 1.0)
    for class_weight in settings.class_weights:
        model = _regression(1.0, class_weight)
        # From the stiffest to the loosest fit: each begins near its end, which takes a third of the time.
        for C in sorted(settings.regularisation):
            model.set_params(C=C).fit(matrix[train], answers)
            found = model.predict(matrix[heldout])
            score = float(f1_score(truth, found, average="weighted", zero_division=0))
            if score > best.weighted_f1:
                temperature = _temperature(_logits(model, matrix[heldout]), model.classes_, truth)
                best = Choice(score, C, class_weight, temperature)
    return best


def _logits(model: Any, matrix: Any) -> Floats:
    """Shape (posts, classes)."""
    scores: Floats = np.asarray(model.decision_function(matrix))
    return np.stack([-scores / 2, scores / 2], axis=1) if scores.ndim == 1 else scores


def _temperature(logits: Floats, classes: Sequence[str], truth: Sequence[str]) -> float:
    """The temperature with the lowest log loss; 1 where no post has a label known from training."""
    place = {name: column for column, name in enumerate(classes)}
    known = [row for row, label in enumerate(truth) if label in place]
    columns = [place[truth[row]] for row in known]
    if not known:
        return 1.0

    def loss(log_temperature: float) -> float:
        likely = log_softmax(logits[known] / np.exp(log_temperature), axis=1)
        return -float(likely[range(len(known)), columns].mean())

    return float(np.exp(minimize_scalar(loss, bounds=np.log(TEMPERATURES), method="bounded").x))


def _fit_head(matrix: Any, posts: SetPosts, question: str, labels: Sequence[str], choice: Choice) -> Head:
    """Fit the weights to keep, and put them into the task's order of labels."""
    rows = np.union1d(posts.rows(question, False), posts.rows(question, True))
    answers = posts.answers(question, rows)
    model = _regression(choice.C, choice.class_weight).fit(matrix[rows], answers)
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


def _centred(weights: Floats) -> Floats:
    """Weights of all classes, summing to 0 over the last axis; the softmax is the same."""
    if weights.shape[-1] == 1:
        return np.concatenate([-weights / 2, weights / 2], axis=-1)
    means: Floats = weights.mean(axis=-1, keepdims=True)
    return weights - means


def _stored(weights: Floats) -> NDArray[np.float32]:
    """As they will be read back from the file."""
    return whole(weights[..., :-1].astype(np.float32))
