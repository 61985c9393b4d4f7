"""Read labels back from explanations: a linear classifier for one question, trained on rows of which some are faulty.

Every setting was chosen on the training and validation files of the published release, none on its test files.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.sparse import hstack
from scipy.special import log_softmax, softmax
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from mentallama.records import stable_id

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

STRENGTH = 16.0
"""Inverse regularisation C."""
FOLDS = 5
LARGEST = 6000
"""Rows trained on; SAD has 5,547. Of a larger set so many are drawn, and the others are judged by what was learnt."""
PRUNED = 0.25
"""A training row whose own label is less likely than this, read out of fold, is taken for a faulty one."""
MOST_PRUNED = 0.2
"""The largest share of rows that may be taken for faulty: more disagree only where the labels are hard to read."""
SHARPEST = 20.0
"""Bound of the scale that calibrates logits: a few rows can be told apart by any weights, which is no certainty."""


class Reader:
    """Probabilities of labels from explanations.

    Parameters
    ----------
    texts
        Explanations to train on, the answer taken out.
    truth
        Each one's label, a place in the list of labels.
    groups
        Each one's post: explanations of one post stay in one fold.

    Attributes
    ----------
    unseen
        Probabilities of the training rows, shape (texts, labels), each by a model that saw no row of its post.
    kept
        Which training rows were not taken for faulty, shape (texts,).
    """

    def __init__(self, texts: Sequence[str], truth: Rows, groups: Sequence[str], labels: int) -> None:
        self._words = _vectorizer("word", (1, 2))
        self._letters = _vectorizer("char_wb", (3, 5))
        matrix = hstack([self._words.fit_transform(texts), self._letters.fit_transform(texts)]).tocsr()
        folds = deal(truth, groups)
        everything = np.ones(len(truth), dtype=bool)
        first = _out_of_fold(matrix, truth, folds, everything, labels)
        self.kept = _not_faulty(softmax(first, axis=1), truth)
        logits = _out_of_fold(matrix, truth, folds, self.kept, labels)
        self._scale = _scale(logits[self.kept], truth[self.kept])
        self.unseen: Floats = softmax(self._scale * logits, axis=1)
        self._model = _fit(matrix[self.kept], truth[self.kept])
        self._labels = labels

    def read(self, texts: Sequence[str]) -> Floats:
        """Probabilities of other explanations, shape (texts, labels)."""
        matrix = hstack([self._words.transform(texts), self._letters.transform(texts)]).tocsr()
        probabilities: Floats = softmax(self._scale * _logits(self._model, matrix, self._labels), axis=1)
        return probabilities

    def known_words(self, texts: Sequence[str]) -> Rows:
        """How many different words and word pairs of each text stand in the training explanations."""
        counts: Rows = np.diff(self._words.transform(texts).indptr).astype(np.int64)
        return counts


def deal(truth: Rows, groups: Sequence[str]) -> Rows:
    """Deal rows into folds 0 … FOLDS - 1, those of one group together, each label's groups in turn."""
    labels_of: dict[str, int] = {}
    for group, label in zip(groups, truth.tolist(), strict=True):
        labels_of.setdefault(group, label)
    order = sorted(labels_of, key=lambda group: (labels_of[group], stable_id("fold", group)))
    fold_of = {group: at % FOLDS for at, group in enumerate(order)}
    return np.array([fold_of[group] for group in groups], dtype=np.int64)


def _vectorizer(analyzer: str, lengths: tuple[int, int]) -> Any:
    # One letter may be a word, and in scripts without spaces is.
    return TfidfVectorizer(
        analyzer=analyzer,
        ngram_range=lengths,
        token_pattern=r"(?u)\b\w+\b",
        sublinear_tf=True,
        min_df=2,
        dtype=np.float64,
    )


def _fit(matrix: Any, truth: Rows) -> Any:
    return LogisticRegression(C=STRENGTH, class_weight="balanced", max_iter=300, tol=1e-3).fit(matrix, truth)


def _logits(model: Any, matrix: Any, labels: int) -> Floats:
    """Shape (rows, labels); -inf for labels that the model has not seen."""
    scores = model.decision_function(matrix)
    if scores.ndim == 1:
        scores = np.column_stack([-scores / 2, scores / 2])
    logits = np.full((matrix.shape[0], labels), -np.inf)
    logits[:, model.classes_] = scores
    return logits


def _out_of_fold(matrix: Any, truth: Rows, folds: Rows, used: NDArray[np.bool_], labels: int) -> Floats:
    logits = np.full((len(truth), labels), -np.inf)
    for fold in range(FOLDS):
        held = folds == fold
        if held.any():
            others = used & ~held
            logits[held] = _logits(_fit(matrix[others], truth[others]), matrix[held], labels)
    return logits


def _not_faulty(probabilities: Floats, truth: Rows) -> NDArray[np.bool_]:
    """Rows whose own label can be read from them (confident learning, Northcutt et al. 2021, with one threshold)."""
    own = probabilities[np.arange(len(truth)), truth]
    bar = min(PRUNED, float(np.quantile(own, MOST_PRUNED)))
    kept: NDArray[np.bool_] = own >= bar
    return kept


def _scale(logits: Floats, truth: Rows) -> float:
    """One factor for all logits, the likeliest under a log-normal prior around 1 (Guo et al. 2017, section 4.2)."""
    seen = np.isfinite(logits[np.arange(len(truth)), truth])
    logits, truth = logits[seen], truth[seen]

    def loss(log_scale: float) -> float:
        likely = log_softmax(np.exp(log_scale) * logits, axis=1)
        return 0.5 * log_scale**2 - float(likely[np.arange(len(truth)), truth].sum())

    bounds = (-np.log(SHARPEST), np.log(SHARPEST))
    return float(np.exp(minimize_scalar(loss, bounds=bounds, method="bounded").x))
