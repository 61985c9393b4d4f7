"""Tf-idf of a set's posts, of the passages that annotators marked in them, and of their latent topics."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, hstack
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfTransformer

from mentallama.analysts.linear.features import (
    CACHED_WORDS,
    Floats,
    Grams,
    Keys,
    pair_keys,
    split_words,
    word_keys,
)
from mentallama.train.linear.trainer import Rows

Counted = tuple[Keys, NDArray[np.int64]]
"""Features of one post, ascending, and how often each occurs."""


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


@dataclass(frozen=True)
class Material:
    """Tf-idf rows: `posts` of shape (posts, features), and each question's marked passages by post."""

    posts: Any
    passages: Mapping[str, tuple[Rows, Any]]
    topics: Floats
    """Shape (features, topics): what each feature adds to each topic. The last columns of all rows are topics."""

    def with_topics(self, topics: int) -> Material:
        """The same rows with so many topics behind their features."""
        latent = _topics(self.posts, topics)
        passages = {
            question: (places, _with(latent, rows)) for question, (places, rows) in self.passages.items()
        }
        return Material(_with(latent, self.posts), passages, latent)

    def folded(self, weights: Floats) -> Floats:
        """Weights of features and topics, (features + topics, ...), as weights of features alone: the same decision."""
        features = len(self.topics)
        folded: Floats = weights[:features] + self.topics @ weights[features:]
        return folded


def weigh(
    counted: Sequence[Counted], marked: Mapping[str, Mapping[int, Counted]], keys: Keys
) -> tuple[Material, NDArray[np.float32]]:
    """Weigh posts and passages by the idf of the posts; returns the idf as well."""
    counts = _matrix(counted, keys)
    tfidf = TfidfTransformer(sublinear_tf=True).fit(counts)
    # The file holds 32 bits; training sees the same numbers as the analyst will.
    tfidf.idf_ = tfidf.idf_.astype(np.float32).astype(np.float64)
    passages = {
        question: (np.array(list(found), np.int64), tfidf.transform(_matrix(list(found.values()), keys)))
        for question, found in marked.items()
    }
    plain = Material(tfidf.transform(counts), passages, np.zeros((len(keys), 0)))
    return plain, tfidf.idf_.astype(np.float32)


def _topics(matrix: Any, topics: int) -> Floats:
    """Latent semantic analysis (Deerwester et al. 1990): shape (features, topics), fewer where there is less."""
    most = min(topics, min(matrix.shape) - 1)
    if most < 1:
        return np.zeros((matrix.shape[1], 0))
    found: Floats = TruncatedSVD(most, random_state=0).fit(matrix).components_.T
    return found


def _with(topics: Floats, matrix: Any) -> Any:
    """The rows with their topics behind their features."""
    return hstack([matrix, csr_matrix(matrix @ topics)]).tocsr()


def _matrix(counted: Sequence[Counted], keys: Keys) -> Any:
    """Counts of the known features as a sparse matrix (texts, features)."""
    order = np.argsort(keys)
    ascending = keys[order]
    known = [np.isin(text, ascending, assume_unique=True) for text, _ in counted]
    columns = [
        order[np.searchsorted(ascending, text[k])] for (text, _), k in zip(counted, known, strict=True)
    ]
    counts = [times[k] for (_, times), k in zip(counted, known, strict=True)]
    ends = np.cumsum([0] + [len(text) for text in columns])
    return csr_matrix(
        (np.concatenate(counts).astype(np.float64), np.concatenate(columns), ends),
        shape=(len(counted), len(keys)),
    )
