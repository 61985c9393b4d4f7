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
    WORD_CACHE_SIZE,
    FloatArray,
    HashArray,
    NgramConfig,
    hash_bigrams,
    hash_word,
    split_words,
)
from mentallama.train.linear.trainer import PostIndices

FeatureCounts = tuple[HashArray, NDArray[np.int64]]
"""Features of one post, ascending, and how often each occurs."""


def count_features(texts: Sequence[str], grams: NgramConfig) -> list[FeatureCounts]:
    """Count the features of each text."""
    read = lru_cache(WORD_CACHE_SIZE)(partial(hash_word, grams=grams))
    return [_count_text(text, read, grams.word_bigrams) for text in texts]


def _count_text(
    text: str, cached_word_keys: Callable[[str], tuple[int, HashArray]], pairs: bool
) -> FeatureCounts:
    words = [cached_word_keys(form) for form in split_words(text).forms]
    keys = [inside for _, inside in words]
    if pairs:
        keys.append(hash_bigrams(np.array([own for own, _ in words], np.uint32)))
    return np.unique(np.concatenate([*keys, np.empty(0, np.uint32)]), return_counts=True)


def build_vocabulary(counted: Sequence[FeatureCounts], min_df: int) -> HashArray:
    """Features that stand in at least `min_posts` posts, the most frequent first."""
    keys, posts = np.unique(np.concatenate([keys for keys, _ in counted]), return_counts=True)
    frequent = posts >= min_df
    return keys[frequent][np.argsort(-posts[frequent], kind="stable")]


@dataclass(frozen=True)
class TfidfData:
    """Tf-idf rows: `posts` of shape (posts, features), and each question's marked passages by post."""

    posts: Any
    evidence_passages: Mapping[str, tuple[PostIndices, Any]]
    topic_loadings: FloatArray
    """Shape (features, topics): what each feature adds to each topic. The last columns of all rows are topics."""

    def with_topics(self, topics: int) -> TfidfData:
        """The same rows with so many topics behind their features."""
        latent = _fit_topics(self.posts, topics)
        passages = {
            question: (places, _append_topics(latent, rows))
            for question, (places, rows) in self.evidence_passages.items()
        }
        return TfidfData(_append_topics(latent, self.posts), passages, latent)

    def fold_topics(self, weights: FloatArray) -> FloatArray:
        """Weights of features and topics, (features + topics, ...), as weights of features alone: the same decision."""
        features = len(self.topic_loadings)
        folded: FloatArray = weights[:features] + self.topic_loadings @ weights[features:]
        return folded


def fit_tfidf(
    counted: Sequence[FeatureCounts],
    passage_counts: Mapping[str, Mapping[int, FeatureCounts]],
    keys: HashArray,
) -> tuple[TfidfData, NDArray[np.float32]]:
    """Weigh posts and passages by the idf of the posts; returns the idf as well."""
    counts = _count_matrix(counted, keys)
    tfidf = TfidfTransformer(sublinear_tf=True).fit(counts)
    # The file holds 32 bits; training sees the same numbers as the analyst will.
    tfidf.idf_ = tfidf.idf_.astype(np.float32).astype(np.float64)
    passages = {
        question: (
            np.array(list(found), np.int64),
            tfidf.transform(_count_matrix(list(found.values()), keys)),
        )
        for question, found in passage_counts.items()
    }
    plain = TfidfData(tfidf.transform(counts), passages, np.zeros((len(keys), 0)))
    return plain, tfidf.idf_.astype(np.float32)


def _fit_topics(matrix: Any, topics: int) -> FloatArray:
    """Latent semantic analysis (Deerwester et al. 1990): shape (features, topics), fewer where there is less."""
    most = min(topics, min(matrix.shape) - 1)
    if most < 1:
        return np.zeros((matrix.shape[1], 0))
    found: FloatArray = TruncatedSVD(most, random_state=0).fit(matrix).components_.T
    return found


def _append_topics(topics: FloatArray, matrix: Any) -> Any:
    """The rows with their topics behind their features."""
    return hstack([matrix, csr_matrix(matrix @ topics)]).tocsr()


def _count_matrix(counted: Sequence[FeatureCounts], keys: HashArray) -> Any:
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
