"""A linear classifier that predicts labels from explanations, trained on rows whose labels may be noisy.

All constants were chosen on training and validation files of the published release and on the sample, none on test
files. There is one classifier per set, over all its questions: on the validation rows of Irf and MultiWD this is as
good as one per question (weighted F1 92.5 and 94.2 against 92.2 and 94.9), and on small sets it is better.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import hstack, vstack
from scipy.special import softmax
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from mentallama.metrics.temperature import fit_logit_scale
from mentallama.records import stable_id
from mentallama.text.tokenize import word_tokens

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

MIN_TRAINING_ROWS = 20
"""Minimum number of training rows in a set for its explanations to be judged."""
MAX_TRAINING_ROWS = 6000
"""Maximum number of training rows per set; SAD has 5,547. Larger sets are subsampled by whole posts."""
MIN_KNOWN_TERMS = 3
"""Minimum number of an explanation's words or word pairs that occur in the training rows. An explanation in another
language than the training rows has fewer, and cannot be judged."""

INVERSE_REGULARIZATION = 16.0
"""C of the logistic regression. On the validation files, 4 and 64 are within 0.3 of it in weighted F1."""
N_FOLDS = 5
LABEL_DESCRIPTION_WEIGHT = 5.0
"""Weight, in rows, of each label's description in the task file. It matters for labels with only a handful of rows."""
NOISY_LABEL_PROBABILITY = 0.35
"""Training rows whose label has a lower out-of-fold probability than this are treated as noisy and left out."""
MAX_NOISY_SHARE = 0.25
"""Maximum share of rows left out; if more are improbable, the labels are hard to predict rather than noisy."""
MIN_NOISY_SHARE = 0.03
"""Up to this share, improbable rows are hard rather than noisy and are kept: leaving them out costs 0.3 F1 on SAD."""
PREDICT_BATCH_SIZE = 4096
"""Number of explanations whose features are in memory at a time."""


class NoSharedFeatures(Exception):
    """No word, or no character n-gram, occurs in two of the explanations, so there is nothing to learn from."""


class ExplanationClassifier:
    """Predicts label probabilities from explanations.

    Parameters
    ----------
    texts
        Explanations to train on, without their answers.
    label_indices
        Each explanation's label, as an index into the task's labels, shape (texts,).
    groups
        Each explanation's post: explanations of one post stay in one fold.
    label_descriptions
        The task file's description of each label, one text per label.
    judge_training_rows
        Whether the training rows are judged too: those whose labels look noisy are left out, and probabilities are
        calibrated. It takes six to eleven times as long; without it, the labels predicted for other explanations are
        hardly different.

    Attributes
    ----------
    out_of_fold_probabilities
        Probabilities of the training rows, shape (texts, labels), each by a model that saw no row of its post; shape
        (0, labels) if they are not judged.
    used_rows
        Which training rows were not left out as noisy, shape (texts,).

    Raises
    ------
    NoSharedFeatures
        The explanations have no features in common.
    """

    def __init__(
        self,
        texts: Sequence[str],
        label_indices: IntArray,
        groups: Sequence[str],
        label_descriptions: Sequence[str],
        *,
        judge_training_rows: bool = True,
    ) -> None:
        self._word_vectorizer, self._char_vectorizer = (
            _vectorizer("word", (1, 2)),
            _vectorizer("char_wb", (3, 5)),
        )
        all_texts = [*texts, *label_descriptions]
        vectorizers = (self._word_vectorizer, self._char_vectorizer)
        features = hstack([_fit_transform(vectorizer, all_texts) for vectorizer in vectorizers]).tocsr()
        rows, descriptions = features[: len(texts)], features[len(texts) :]
        self._scale = 1.0
        self.used_rows = np.ones(len(label_indices), dtype=bool)
        self.out_of_fold_probabilities: FloatArray = np.empty((0, len(label_descriptions)))
        if judge_training_rows:
            self._judge_training_rows(rows, descriptions, label_indices, assign_folds(label_indices, groups))
        self._model = _fit(rows[self.used_rows], descriptions, label_indices[self.used_rows])

    def _judge_training_rows(
        self, rows: Any, descriptions: Any, label_indices: IntArray, folds: IntArray
    ) -> None:
        logits = _out_of_fold_logits(rows, descriptions, label_indices, folds, self.used_rows)
        self.used_rows = _plausible_labels(softmax(logits, axis=1), label_indices)
        if not self.used_rows.all():
            logits = _out_of_fold_logits(rows, descriptions, label_indices, folds, self.used_rows)
        self._scale = fit_logit_scale(logits[self.used_rows], label_indices[self.used_rows])
        self.out_of_fold_probabilities = softmax(self._scale * logits, axis=1)

    def predict_proba(self, texts: Sequence[str]) -> FloatArray:
        """Label probabilities of other explanations, shape (texts, labels); `texts` must not be empty."""
        batches = [
            self._logits(texts[start : start + PREDICT_BATCH_SIZE])
            for start in range(0, len(texts), PREDICT_BATCH_SIZE)
        ]
        probabilities: FloatArray = softmax(self._scale * np.concatenate(batches), axis=1)
        return probabilities

    def _logits(self, texts: Sequence[str]) -> FloatArray:
        matrix = hstack([self._word_vectorizer.transform(texts), self._char_vectorizer.transform(texts)])
        return _decision_logits(self._model, matrix.tocsr())

    def count_known_terms(self, texts: Sequence[str]) -> IntArray:
        """Number of distinct words and word pairs of each text that occur in the training texts, shape (texts,)."""
        counts: IntArray = np.diff(self._word_vectorizer.transform(texts).indptr).astype(np.int64)
        return counts


def too_few_rows(labels: Sequence[str]) -> str | None:
    """How many rows of how many labels there are, if they are too few to learn from."""
    n_labels = len(set(labels))
    if len(labels) >= MIN_TRAINING_ROWS and n_labels >= 2:
        return None
    return (
        f"{len(labels)} training rows of {n_labels} labels to learn from; it takes {MIN_TRAINING_ROWS} of 2"
    )


def draw_training_rows(posts: Sequence[str]) -> list[int]:
    """Indices of the rows to train on, ascending: all, or whole posts up to `MAX_TRAINING_ROWS` rows.

    `posts` are the ids of the posts that the rows are about.
    """
    if len(posts) <= MAX_TRAINING_ROWS:
        return list(range(len(posts)))
    rows_per_post = Counter(posts)
    total, drawn = 0, set[str]()
    for post in sorted(rows_per_post, key=lambda post: stable_id("drawn", post)):
        total += rows_per_post[post]
        if total > MAX_TRAINING_ROWS:
            break
        drawn.add(post)
    return [index for index, post in enumerate(posts) if post in drawn]


def assign_folds(label_indices: IntArray, groups: Sequence[str]) -> IntArray:
    """Assign rows to folds 0 … N_FOLDS - 1, shape (rows,): groups stay together, and each label is spread evenly."""
    label_of: dict[str, int] = {}
    for group, label in zip(groups, label_indices.tolist(), strict=True):
        label_of.setdefault(group, label)
    order = sorted(label_of, key=lambda group: (label_of[group], stable_id("fold", group)))
    fold_of = {group: index % N_FOLDS for index, group in enumerate(order)}
    return np.array([fold_of[group] for group in groups], dtype=np.int64)


def _vectorizer(analyzer: str, ngram_range: tuple[int, int]) -> Any:
    # scikit-learn's default pattern drops one-letter words, which are words in scripts without spaces.
    tokenizer = word_tokens if analyzer == "word" else None
    return TfidfVectorizer(
        analyzer=analyzer,
        ngram_range=ngram_range,
        tokenizer=tokenizer,
        token_pattern=None,
        sublinear_tf=True,
        min_df=2,
    )


def _fit_transform(vectorizer: Any, texts: Sequence[str]) -> Any:
    try:
        return vectorizer.fit_transform(texts)
    except ValueError as error:  # raised for an empty vocabulary; texts cannot cause any other
        raise NoSharedFeatures from error


def _fit(rows: Any, descriptions: Any, labels: IntArray) -> Any:
    n_labels = descriptions.shape[0]
    weights = np.concatenate([np.ones(len(labels)), np.full(n_labels, LABEL_DESCRIPTION_WEIGHT)])
    model = LogisticRegression(C=INVERSE_REGULARIZATION, class_weight="balanced", max_iter=300, tol=1e-3)
    with threadpool_limits(1):  # more threads contend with each other and take twice as long
        return model.fit(
            vstack([rows, descriptions]),
            np.concatenate([labels, np.arange(n_labels)]),
            sample_weight=weights,
        )


def _decision_logits(model: Any, features: Any) -> FloatArray:
    """Logits, shape (rows, labels)."""
    scores: FloatArray = model.decision_function(features)
    return np.column_stack([-scores / 2, scores / 2]) if scores.ndim == 1 else scores


def _out_of_fold_logits(
    rows: Any, descriptions: Any, labels: IntArray, folds: IntArray, used: BoolArray
) -> FloatArray:
    """Logits of each row by a model trained on the `used` rows of the other folds, shape (rows, labels)."""
    logits = np.zeros((len(labels), descriptions.shape[0]))
    for fold in range(N_FOLDS):
        in_fold = folds == fold
        if in_fold.any():
            training = used & ~in_fold
            model = _fit(rows[training], descriptions, labels[training])
            logits[in_fold] = _decision_logits(model, rows[in_fold])
    return logits


def _plausible_labels(probabilities: FloatArray, labels: IntArray) -> BoolArray:
    """Mask of the rows whose labels are not treated as noisy (after Northcutt et al. 2021, "Confident Learning"), shape
    (rows,)."""
    of_label = probabilities[np.arange(len(labels)), labels]
    threshold = min(NOISY_LABEL_PROBABILITY, float(np.quantile(of_label, MAX_NOISY_SHARE)))
    plausible: BoolArray = of_label >= threshold
    return plausible if np.mean(~plausible) > MIN_NOISY_SHARE else np.ones(len(labels), dtype=bool)
