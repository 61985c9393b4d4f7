"""Posts of a set by split, vocabulary, tf-idf of posts and passages, latent topics."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from mentallama.analysts.linear.features import Featurizer, NgramConfig
from mentallama.train.linear.dataset import SetPosts, TfidfData, build_vocabulary, count_features, fit_tfidf
from tests.factories.linear_cases import (
    TEXTS,
    depression_posts,
    marked,
    set_posts,
    tfidf_of,
    wellness_posts,
)


def test_training_and_analyst_see_the_same_numbers() -> None:
    grams = NgramConfig()
    counted = count_features(TEXTS, grams)
    keys = build_vocabulary(counted, 1)
    tfidf, idf = fit_tfidf(counted, {"q": {2: counted[2]}}, keys)
    featurizer = Featurizer(keys, idf.astype(np.float64), grams)
    places, passages = tfidf.evidence_passages["q"]
    assert places.tolist() == [2]
    for row, text in enumerate(TEXTS):
        vector = featurizer.transform(text)
        dense = np.bincount(vector.columns, vector.values, len(keys))
        np.testing.assert_allclose(dense, tfidf.posts[row].toarray()[0], atol=1e-12)
        if row == 2:
            np.testing.assert_allclose(dense, passages.toarray()[0], atol=1e-12)


def test_passages_use_the_idf_of_the_posts_alone() -> None:
    # Smoothed: ln((1 + 4 posts) / (1 + posts with it)) + 1; passages are not posts, and 8 is not a feature.
    counted = [(np.array([key], np.uint32), np.array([n])) for key, n in ((7, 1), (7, 2), (9, 1), (7, 1))]
    passage = (np.array([7, 8, 9], np.uint32), np.array([1, 5, 1]))
    tfidf, idf = fit_tfidf(counted, {"q": {3: passage, 0: counted[0]}}, np.array([9, 7], np.uint32))
    expected = np.array([np.log(5 / 2) + 1, np.log(5 / 4) + 1])
    np.testing.assert_allclose(idf, expected, rtol=1e-6)
    places, rows = tfidf.evidence_passages["q"]
    assert places.tolist() == [3, 0]
    np.testing.assert_allclose(rows.toarray(), [expected / np.linalg.norm(expected), [0, 1]], rtol=1e-6)


@effort(max_examples=25, deadline=None)
@given(st.integers(0, 9), st.integers(0, 2**32 - 1))
def test_folded_weights_give_the_logits_of_features_and_topics(topics: int, seed: int) -> None:
    posts = SetPosts.from_posts("DR", [marked(post, post.text[:9]) for post in depression_posts()[:12]])
    plain = tfidf_of(posts)
    tfidf = plain.with_topics(topics)
    features = plain.posts.shape[1]
    assert tfidf.posts.shape[1] == features + topics
    weights = np.random.default_rng(seed).normal(size=(features + topics, 3))
    folded = tfidf.fold_topics(weights)
    assert folded.shape == (features, 3)
    np.testing.assert_allclose(plain.posts @ folded, tfidf.posts @ weights, atol=1e-9)
    passages = [each.evidence_passages["depression"][1] for each in (plain, tfidf)]
    np.testing.assert_allclose(passages[0] @ folded, passages[1] @ weights, atol=1e-9)


def test_folding_by_hand() -> None:
    # One topic, half of either feature: a weight of 4 on it is 2 more for each.
    tfidf = TfidfData(None, {}, np.array([[0.5], [0.5]]))
    np.testing.assert_allclose(tfidf.fold_topics(np.array([[1.0], [3], [4]])), [[3], [5]])


def test_there_are_fewer_topics_than_posts() -> None:
    plain = tfidf_of(set_posts(*((text, "yes") for text in TEXTS)))
    assert [plain.with_topics(n).topic_loadings.shape[1] for n in (0, 1, 50)] == [0, 1, 3]
    alone = tfidf_of(set_posts(("sad", "yes"), ("sad", "no")))
    assert alone.with_topics(50).posts.shape == alone.posts.shape


def test_the_vocabulary_has_features_of_two_posts_most_frequent_first() -> None:
    counted = [(np.array(keys, np.uint32), np.ones(len(keys), np.int64)) for keys in ([5, 7, 9], [7, 9], [9])]
    assert build_vocabulary(counted, 2).tolist() == [9, 7]
    assert build_vocabulary(counted, 1).tolist() == [9, 7, 5]


def test_indices_are_those_of_labelled_posts_of_one_split() -> None:
    posts = SetPosts.from_posts("MultiWD", wellness_posts())
    assert len(posts.indices("social", validation=False)) == 60
    assert len(posts.indices("social", validation=True)) == 20
    assert len(posts.indices("physical", validation=False)) == 0
    none_heldout = replace(posts, is_validation=np.zeros(80, np.bool_))
    assert len(none_heldout.indices("social", validation=False)) == 80
