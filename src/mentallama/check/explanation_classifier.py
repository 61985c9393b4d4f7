"""Read labels back from explanations: a linear classifier for one set, trained on rows of which some may be faulty.

Every number here was chosen on training and validation files of the published release and on the sample, none on test
files. One classifier a set, over all its questions: on the validation rows of Irf and MultiWD this is as good as one a
question (weighted F1 92.5 and 94.2 against 92.2 and 94.9), and on small sets it is better.
"""

from __future__ import annotations

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

INVERSE_REGULARISATION = 16.0
"""Inverse regularisation C. On the validation files 4 and 64 are within 0.3 of it in weighted F1."""
N_FOLDS = 5
LABEL_DESCRIPTION_WEIGHT = 5.0
"""Rows that a label's own words, as its task file has them, are worth. They carry labels of a handful of rows."""
NOISY_LABEL_PROBABILITY = 0.35
"""A training row whose label is less likely than this, read out of fold, may be a faulty one and is left out."""
MAX_NOISY_SHARE = 0.25
"""The largest share of rows that is left out so; where more are unlikely, labels are hard to read."""
MIN_NOISY_SHARE = 0.03
"""Up to this share, unlikely rows are hard ones: without them, SAD is read 0.3 worse."""
PREDICT_BATCH_SIZE = 4096
"""Explanations whose features are in memory at a time."""


class NoSharedFeatures(Exception):
    """No word, or no run of letters, stands in two of the explanations: there is nothing to learn."""


class ExplanationClassifier:
    """Probabilities of labels from explanations.

    Parameters
    ----------
    texts
        Explanations to train on, the answer taken out.
    truth
        Each one's label, a place among the labels.
    groups
        Each one's post: explanations of one post stay in one fold.
    own_words
        What the task file says of each label, one text a label.

    Attributes
    ----------
    unseen
        Probabilities of the training rows, shape (texts, labels), each by a model that saw no row of its post.
    kept
        Which training rows were not left out as faulty, shape (texts,).

    Raises
    ------
    NothingShared
        The explanations have nothing in common.
    """

    def __init__(
        self,
        texts: Sequence[str],
        label_indices: IntArray,
        groups: Sequence[str],
        label_descriptions: Sequence[str],
    ) -> None:
        self._word_vectorizer, self._char_vectorizer = (
            _vectorizer("word", (1, 2)),
            _vectorizer("char_wb", (3, 5)),
        )
        everything = [*texts, *label_descriptions]
        matrix = hstack(
            [_fit_transform(each, everything) for each in (self._word_vectorizer, self._char_vectorizer)]
        ).tocsr()
        rows, own = matrix[: len(texts)], matrix[len(texts) :]
        folds = assign_folds(label_indices, groups)
        first = _out_of_fold_logits(rows, own, label_indices, folds, np.ones(len(label_indices), dtype=bool))
        self.used_rows = _plausible_labels(softmax(first, axis=1), label_indices)
        logits = (
            first
            if self.used_rows.all()
            else _out_of_fold_logits(rows, own, label_indices, folds, self.used_rows)
        )
        self._scale = fit_logit_scale(logits[self.used_rows], label_indices[self.used_rows])
        self.out_of_fold_probabilities: FloatArray = softmax(self._scale * logits, axis=1)
        self._model = _fit(rows[self.used_rows], own, label_indices[self.used_rows])

    def predict_proba(self, texts: Sequence[str]) -> FloatArray:
        """Probabilities of other explanations, shape (texts, labels); there is at least one."""
        batches = [
            self._logits(texts[at : at + PREDICT_BATCH_SIZE])
            for at in range(0, len(texts), PREDICT_BATCH_SIZE)
        ]
        probabilities: FloatArray = softmax(self._scale * np.concatenate(batches), axis=1)
        return probabilities

    def _logits(self, texts: Sequence[str]) -> FloatArray:
        matrix = hstack([self._word_vectorizer.transform(texts), self._char_vectorizer.transform(texts)])
        return _decision_logits(self._model, matrix.tocsr())

    def count_known_terms(self, texts: Sequence[str]) -> IntArray:
        """How many different words and word pairs of each text were learnt from, shape (texts,)."""
        counts: IntArray = np.diff(self._word_vectorizer.transform(texts).indptr).astype(np.int64)
        return counts


def assign_folds(truth: IntArray, groups: Sequence[str]) -> IntArray:
    """Deal rows into folds 0 … FOLDS - 1: those of one group together, each label's groups in turn."""
    label_of: dict[str, int] = {}
    for group, label in zip(groups, truth.tolist(), strict=True):
        label_of.setdefault(group, label)
    order = sorted(label_of, key=lambda group: (label_of[group], stable_id("fold", group)))
    fold_of = {group: at % N_FOLDS for at, group in enumerate(order)}
    return np.array([fold_of[group] for group in groups], dtype=np.int64)


def _vectorizer(analyzer: str, lengths: tuple[int, int]) -> Any:
    # One letter may be a word, and is one where a script has no spaces; how words are told is no business of letters.
    cut = word_tokens if analyzer == "word" else None
    return TfidfVectorizer(
        analyzer=analyzer, ngram_range=lengths, tokenizer=cut, token_pattern=None, sublinear_tf=True, min_df=2
    )


def _fit_transform(vectorizer: Any, texts: Sequence[str]) -> Any:
    try:
        return vectorizer.fit_transform(texts)
    except (
        ValueError
    ) as nothing:  # its word for an empty vocabulary; texts are nothing else that it could refuse
        raise NoSharedFeatures from nothing


def _fit(rows: Any, description_features: Any, truth: IntArray) -> Any:
    labels = description_features.shape[0]
    weights = np.concatenate([np.ones(len(truth)), np.full(labels, LABEL_DESCRIPTION_WEIGHT)])
    model = LogisticRegression(C=INVERSE_REGULARISATION, class_weight="balanced", max_iter=300, tol=1e-3)
    with threadpool_limits(1):  # more threads only wait for each other, and take twice the time
        return model.fit(
            vstack([rows, description_features]),
            np.concatenate([truth, np.arange(labels)]),
            sample_weight=weights,
        )


def _decision_logits(model: Any, matrix: Any) -> FloatArray:
    """Logits, shape (rows, labels)."""
    scores: FloatArray = model.decision_function(matrix)
    return np.column_stack([-scores / 2, scores / 2]) if scores.ndim == 1 else scores


def _out_of_fold_logits(rows: Any, own: Any, truth: IntArray, folds: IntArray, used: BoolArray) -> FloatArray:
    logits = np.zeros((len(truth), own.shape[0]))
    for fold in range(N_FOLDS):
        held = folds == fold
        if held.any():
            others = used & ~held
            logits[held] = _decision_logits(_fit(rows[others], own, truth[others]), rows[held])
    return logits


def _plausible_labels(probabilities: FloatArray, truth: IntArray) -> BoolArray:
    """Rows whose own label can be read from them (after Northcutt et al. 2021, "Confident Learning")."""
    own = probabilities[np.arange(len(truth)), truth]
    kept: BoolArray = own >= min(NOISY_LABEL_PROBABILITY, float(np.quantile(own, MAX_NOISY_SHARE)))
    return kept if np.mean(~kept) > MIN_NOISY_SHARE else np.ones(len(truth), dtype=bool)
