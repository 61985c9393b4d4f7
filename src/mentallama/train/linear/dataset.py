"""The labelled posts of one set, and their tf-idf features: n-grams, latent topics, and passages marked as evidence."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
from mentallama.analysts.linear.mention_features import mention_keys
from mentallama.config import LinearSettings
from mentallama.records import Post, Span
from mentallama.tasks.answer_kinds import Part

FIT_SPLITS = ("train", "validation")

PostIndices = NDArray[np.int64]


def ngram_config(settings: LinearSettings) -> NgramConfig:
    """The n-grams that the settings ask for."""
    shortest, longest = settings.char_ngram_range
    return NgramConfig(
        word_bigrams=settings.max_word_ngram > 1,
        min_chars=shortest,
        max_chars=longest,
        symptoms=any(settings.symptom_features),
    )


@dataclass(frozen=True)
class SetPosts:
    """The labelled training and validation posts of one set; all sequences have the same order.

    Labels are by question or, where an answer has several parts, by head (`analysts.answer_parts`).
    `same_origin_as_validation` marks the posts that come from the same kind of file (release, upstream, table) as the
    validation posts, so that their labels mean the same. `evidence_passages` holds, for each question, the text that
    annotators marked, by the index of the post, and `evidence_spans` where it stands. `parts` are the parts that heads
    decide about, by head.
    """

    name: str
    texts: Sequence[str]
    labels: Sequence[Mapping[str, str]]
    is_validation: NDArray[np.bool_]
    same_origin_as_validation: NDArray[np.bool_]
    evidence_passages: Mapping[str, Mapping[int, str]]
    parts: Mapping[str, Part] = field(default_factory=dict)
    evidence_spans: Mapping[str, Mapping[int, Sequence[Span]]] = field(default_factory=dict)

    @classmethod
    def from_posts(
        cls, name: str, posts: Iterable[Post], parts: Mapping[str, Part] | None = None
    ) -> SetPosts:
        """Select the labelled posts of the splits train and validation."""
        labelled = [post for post in posts if post.split in FIT_SPLITS and post.labels]
        origins = {post.provenance.origin for post in labelled if post.split == "validation"}
        passages: dict[str, dict[int, str]] = defaultdict(dict)
        evidence_spans: dict[str, dict[int, Sequence[Span]]] = defaultdict(dict)
        for index, post in enumerate(labelled):
            for question, spans in post.evidence.items():
                evidence_spans[question][index] = spans
                passages[question][index] = "\n".join(post.text[span.start : span.end] for span in spans)
        return cls(
            name,
            texts=[post.text for post in labelled],
            labels=[post.labels for post in labelled],
            is_validation=np.array([post.split == "validation" for post in labelled], np.bool_),
            same_origin_as_validation=np.array(
                [post.provenance.origin in origins for post in labelled], np.bool_
            ),
            evidence_passages=passages,
            parts=parts or {},
            evidence_spans=evidence_spans,
        )

    def without_validation(self) -> SetPosts:
        """The same posts, of which those for validation have no labels."""
        labels = [
            {} if held_out else of_post
            for held_out, of_post in zip(self.is_validation, self.labels, strict=True)
        ]
        return replace(self, labels=labels)

    def indices(self, question: str, *, validation: bool) -> PostIndices:
        """Indices of the training or the validation posts that have a label for the question."""
        labelled = np.array([question in labels for labels in self.labels], np.bool_)
        return np.flatnonzero(labelled & (self.is_validation == validation))

    def levels_of(self, head: str) -> tuple[str, ...]:
        """The levels of an ordered head, from lowest to highest; () if its labels have no order."""
        part = self.parts.get(head)
        return part.levels if part is not None and part.ordered else ()

    def labels_of(self, question: str, indices: PostIndices) -> list[str]:
        """The labels of some posts for a question, in the order of the indices."""
        return [self.labels[index][question] for index in indices]


FeatureCounts = tuple[HashArray, NDArray[np.int64]]
"""Features (hashes) of one text, ascending, and how often each occurs."""


def count_features(texts: Sequence[str], ngrams: NgramConfig) -> list[FeatureCounts]:
    """Count the features of each text."""
    cached_word_keys = lru_cache(WORD_CACHE_SIZE)(partial(hash_word, ngrams=ngrams))
    return [_count_text(text, cached_word_keys, ngrams) for text in texts]


def _count_text(
    text: str, cached_word_keys: Callable[[str], tuple[int, HashArray]], ngrams: NgramConfig
) -> FeatureCounts:
    sequence = split_words(text)
    words = [cached_word_keys(form) for form in sequence.forms]
    keys = [inside for _, inside in words]
    if ngrams.symptoms:
        keys.append(mention_keys(text, sequence.starts, sequence.ends)[1])
    if ngrams.word_bigrams:
        keys.append(hash_bigrams(np.array([word for word, _ in words], np.uint32)))
    return np.unique(np.concatenate([*keys, np.empty(0, np.uint32)]), return_counts=True)


def build_vocabulary(counted: Sequence[FeatureCounts], min_df: int) -> HashArray:
    """Features that occur in at least `min_df` posts, the most frequent first."""
    keys, document_counts = np.unique(np.concatenate([keys for keys, _ in counted]), return_counts=True)
    frequent = document_counts >= min_df
    return keys[frequent][np.argsort(-document_counts[frequent], kind="stable")]


@dataclass(frozen=True)
class TfidfData:
    """Tf-idf matrices: `posts` has the shape (posts, features).

    `evidence_passages` holds, for each question, the posts' indices and the matrix of the passages marked in them.
    """

    posts: Any
    evidence_passages: Mapping[str, tuple[PostIndices, Any]]
    topic_loadings: FloatArray
    """Shape (features, topics): what each feature adds to each topic. Topics are the last columns of all matrices."""

    def with_topics(self, topics: int) -> TfidfData:
        """The same matrices with this many topics appended to the features."""
        loadings = _fit_topics(self.posts, topics)
        passages = {
            question: (indices, _append_topics(loadings, rows))
            for question, (indices, rows) in self.evidence_passages.items()
        }
        return TfidfData(_append_topics(loadings, self.posts), passages, loadings)

    def fold_topics(self, weights: FloatArray) -> FloatArray:
        """Turn weights of features and topics, (features + topics, ...), into weights of features with the same
        logits."""
        features = len(self.topic_loadings)
        folded: FloatArray = weights[:features] + self.topic_loadings @ weights[features:]
        return folded


def fit_tfidf(
    counted: Sequence[FeatureCounts],
    passage_counts: Mapping[str, Mapping[int, FeatureCounts]],
    keys: HashArray,
) -> tuple[TfidfData, NDArray[np.float32]]:
    """Tf-idf of posts and passages, both with the idf of the posts, which is returned as well."""
    counts = _count_matrix(counted, keys)
    tfidf = TfidfTransformer(sublinear_tf=True).fit(counts)
    # The model file holds 32 bits; training must see the same numbers as the analyst will.
    tfidf.idf_ = tfidf.idf_.astype(np.float32).astype(np.float64)
    evidence_passages = {
        question: (
            np.array(list(passages), np.int64),
            tfidf.transform(_count_matrix(list(passages.values()), keys)),
        )
        for question, passages in passage_counts.items()
    }
    data = TfidfData(tfidf.transform(counts), evidence_passages, np.zeros((len(keys), 0)))
    return data, tfidf.idf_.astype(np.float32)


def _fit_topics(matrix: Any, topics: int) -> FloatArray:
    """Latent semantic analysis (Deerwester et al. 1990): shape (features, topics), with fewer topics for tiny
    matrices."""
    n_topics = min(topics, min(matrix.shape) - 1)
    if n_topics < 1:
        return np.zeros((matrix.shape[1], 0))
    loadings: FloatArray = TruncatedSVD(n_topics, random_state=0).fit(matrix).components_.T
    return loadings


def _append_topics(loadings: FloatArray, matrix: Any) -> Any:
    """The matrix with topics appended to its features."""
    return hstack([matrix, csr_matrix(matrix @ loadings)]).tocsr()


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
