"""Weights, cross-validation and the choice of hyperparameters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import vstack
from sklearn.feature_extraction.text import TfidfTransformer

from mentallama.analysts.linear.features import NgramConfig
from mentallama.analysts.linear.serialization import ClassWeight
from mentallama.config import LinearSettings
from mentallama.metrics.temperature import LogitCalibration
from mentallama.train.linear import fit
from mentallama.train.linear.dataset import SetPosts, TfidfData, build_vocabulary, count_features, fit_tfidf
from mentallama.train.linear.fit import LinearHyperparameters
from tests.factories.linear_cases import (
    PLAIN,
    TEXTS,
    cause_posts,
    make_post,
    marked,
    rationales,
    row_of,
    set_posts,
    tfidf_of,
)


def test_tf_idf_weights_equal_those_of_scikit_learn() -> None:
    counted = count_features(TEXTS, NgramConfig())
    keys = build_vocabulary(counted, 1)
    tfidf, _ = fit_tfidf(counted, {}, keys)
    dense = np.zeros((4, len(keys)))
    for row, (post, times) in enumerate(counted):
        for key, count in zip(post, times, strict=True):
            dense[row, keys.tolist().index(key)] = count
    expected = TfidfTransformer(sublinear_tf=True).fit_transform(dense)
    np.testing.assert_allclose(tfidf.posts.toarray(), expected.toarray(), atol=1e-6)


def test_the_final_head_is_calibrated_with_topics_folded_in() -> None:
    posts = SetPosts.from_posts("CAMS", cause_posts())
    tfidf = tfidf_of(posts).with_topics(4)
    rows = np.arange(len(posts.texts))
    setting = replace(PLAIN, topics=4, shift_intercepts=True)
    calibration = LogitCalibration(0.5, np.array([0.3, -0.2, -0.1]))
    labels = ["none", "medication", "relationship", "jobs and career"]
    head = fit.fit_head(
        tfidf, posts, "cause", labels, setting, fit.CrossValidationResult(0.75, 78, calibration)
    )
    # The task's order, without the label nobody has; the fit's own is alphabetical: jobs, medication, none.
    assert head.metadata.labels == ("none", "medication", "jobs and career")
    assert (head.metadata.topics, head.metadata.shift, head.metadata.weighted_f1) == (4, True, 0.75)
    known, weights, intercepts = fit.fit_weights(tfidf, posts, "cause", rows, setting)
    assert known == ["jobs and career", "medication", "none"]
    expected = (tfidf.posts @ weights + intercepts) / 0.5 + [0.3, -0.2, -0.1]
    features = tfidf.posts[:, : len(tfidf.topic_loadings)]
    np.testing.assert_allclose(features @ head.weights + head.intercepts, expected[:, ::-1], atol=1e-5)


def test_cross_validation_scores_posts_out_of_fold() -> None:
    # Every post is a different word: a fit that has seen it knows its label, any other fit cannot.
    texts = [(f"word{n}", "no" if n % 2 else "yes") for n in range(30)]
    posts = set_posts(*texts)
    posts = replace(posts, is_validation=np.arange(30) >= 20, same_origin_as_validation=np.ones(30, np.bool_))
    tfidf = tfidf_of(posts)
    _, weights, intercepts = fit.fit_weights(tfidf, posts, "depression", np.arange(30), PLAIN)
    assert [("no", "yes")[i] for i in (tfidf.posts @ weights + intercepts).argmax(axis=1)] == [
        label for _, label in texts
    ]
    result = fit.cross_validate(tfidf, posts, "depression", PLAIN)
    assert result.n_rows == 30
    assert result.weighted_f1 < 0.6


def test_only_posts_labelled_as_the_validation_posts_are_scored() -> None:
    # Upstream labels are noise: the same text has either label. The release's labels follow the word.
    upstream = [
        make_post("DR", "train", "today", {"depression": label}, "upstream") for label in ("yes", "no") * 9
    ]
    release = [
        make_post("DR", split, word, {"depression": label}, "release")
        for split in ("train", "validation")
        for _ in range(6)
        for word, label in (("gloom", "yes"), ("cheer", "no"))
    ]
    posts = SetPosts.from_posts("DR", [*upstream, *release])
    assert posts.same_origin_as_validation.tolist() == [False] * 18 + [True] * 24
    tfidf = tfidf_of(posts)
    result = fit.cross_validate(tfidf, posts, "depression", PLAIN)
    assert (result.weighted_f1, result.n_rows) == (1.0, 24)
    everywhere = replace(posts, same_origin_as_validation=np.ones(42, np.bool_))
    result = fit.cross_validate(tfidf, everywhere, "depression", PLAIN)
    assert result.n_rows == 42
    assert result.weighted_f1 < 0.9


def test_mean_weighted_f1_is_weighted_by_rows() -> None:
    none = LogitCalibration(1.0, np.zeros(2))
    tried = fit.LinearCandidate(
        PLAIN, {"a": fit.CrossValidationResult(1.0, 10, none), "b": fit.CrossValidationResult(0.2, 30, none)}
    )
    assert fit.mean_weighted_f1(tried) == pytest.approx(0.4)


@pytest.mark.parametrize("enough", [True, False])
def test_one_choice_for_all_questions_and_the_first_wins_a_tie(
    monkeypatch: pytest.MonkeyPatch, enough: bool
) -> None:
    calls: list[tuple[str, LinearHyperparameters]] = []
    tfidf = TfidfData(None, {"a": (np.array([0]), None)}, np.zeros((1, 0)))

    def fake_cross_validate(
        _: TfidfData, __: SetPosts, question: str, setting: LinearHyperparameters
    ) -> fit.CrossValidationResult:
        calls.append((question, setting))
        # C = 1 suits "a"; C = 2 suits "b", which has three times the rows. Topics and evidence help, shifts do not.
        score = 0.5 if {"a": 1.0, "b": 2.0}[question] == setting.C else 0.3
        score += 0.1 * (setting.topics > 0) + 0.1 * (setting.evidence_weight == 0.3)
        return fit.CrossValidationResult(
            score, {"a": 10, "b": 30}[question], LogitCalibration(1.0, np.zeros(2))
        )

    monkeypatch.setattr(fit, "cross_validate", fake_cross_validate)
    settings = LinearSettings(C=(1.0, 2.0), topics=(0, 5, 9), class_weights=("none", "balanced"))
    # If a single question has too few validation posts, no shifts are tried.
    many = fit.MIN_POSTS_TO_SHIFT
    both, first = {"a": "yes", "b": "yes"}, {"a": "yes"}
    labels_of_posts = [both] * (many if enough else many - 1) + [first]
    posts = SetPosts.from_posts(
        "DR", [make_post("DR", "validation", "x", labels) for labels in labels_of_posts]
    )
    chosen = fit.search_hyperparameters(dict.fromkeys((0, 5, 9), tfidf), posts, ["a", "b"], settings)
    assert chosen.hyperparameters == LinearHyperparameters(2.0, "none", 0.3, 5, False)
    assert {question: result.n_rows for question, result in chosen.results.items()} == {"a": 10, "b": 30}
    # 2 strengths x 2 class weights x 2 evidence weights, then two more numbers of topics, then the shifts.
    assert calls[::2] == [("a", setting) for _, setting in calls[1::2]]
    assert len({setting for _, setting in calls[:16]}) == 8
    later = [(5, False), (9, False), *([(5, True)] if enough else [])]
    assert [(setting.topics, setting.shift_intercepts) for _, setting in calls[16::2]] == later


def test_passages_of_left_out_posts_are_not_used() -> None:
    plain = [make_post("DR", "train", "pagoda kayak", {"depression": label}) for label in ("yes", "no") * 3]
    posts = SetPosts.from_posts("DR", [*rationales(), *plain])
    tfidf = tfidf_of(posts)
    setting = replace(PLAIN, evidence_weight=1.0)
    pagoda = row_of("pagoda", posts)

    def weights(
        rows: list[int], setting: LinearHyperparameters
    ) -> tuple[Sequence[str], np.ndarray, np.ndarray]:
        return fit.fit_weights(tfidf, posts, "depression", np.array(rows), setting)

    last = list(range(18, 24))
    for with_evidence, without in zip(weights(last, setting), weights(last, PLAIN), strict=True):
        np.testing.assert_array_equal(with_evidence, without)
    # The first post alone has its passage in the fit: "pagoda", for yes.
    assert weights([0, *last], PLAIN)[1][pagoda, 1] < weights([0, *last], setting)[1][pagoda, 1]
    # Post 1 has "kayak" marked, for no.
    assert weights([1, *last], setting)[1][row_of("kayak", posts), 0] > 0.05


@pytest.mark.parametrize("balance", ["none", "balanced"])
@pytest.mark.parametrize("times", [1, 2])
def test_a_passage_weighs_as_much_as_that_many_posts(balance: ClassWeight, times: int) -> None:
    # A passage with weight n counts as much as n posts with the passage's words and label.
    texts = [("gloom rain", "yes"), ("cheer rain", "no"), ("gloom sun", "yes"), ("gloom cheer", "no")]
    posts = set_posts(*texts)
    with_passages = replace(posts, evidence_passages={"depression": {0: "rain", 2: "gloom"}})
    copies = set_posts(*texts, *[("rain", "yes"), ("gloom", "yes")] * times)
    tfidf = tfidf_of(with_passages)
    passages = tfidf.evidence_passages["depression"][1]
    longer = TfidfData(vstack([tfidf.posts, *[passages] * times]).tocsr(), {}, tfidf.topic_loadings)
    setting = replace(PLAIN, class_weight=balance)
    result = fit.fit_weights(
        tfidf, with_passages, "depression", np.arange(4), replace(setting, evidence_weight=float(times))
    )
    expected = fit.fit_weights(longer, copies, "depression", np.arange(4 + 2 * times), setting)
    assert result[0] == expected[0] == ["no", "yes"]
    np.testing.assert_allclose(result[1], expected[1], atol=2e-3)
    np.testing.assert_allclose(result[2], expected[2], atol=2e-3)


def test_passages_are_indexed_among_the_fitted_posts() -> None:
    post = make_post("DR", "train", "a pagoda, a kayak", {"depression": "yes"})
    other = make_post("DR", "train", "a kayak", {"depression": "no"})
    unlabelled = make_post("DR", "train", "a kayak", {})
    test = marked(make_post("DR", "test", "a kayak", {"depression": "no"}), "kayak")
    posts = SetPosts.from_posts("DR", [test, unlabelled, other, marked(post, "kayak", "pagoda")])
    assert posts.texts == ["a kayak", "a pagoda, a kayak"]
    assert posts.evidence_passages == {"depression": {1: "kayak\npagoda"}}


def test_centring_keeps_the_softmax() -> None:
    # Logits 1, 2, 6 have mean 3; a lone log-odds of 4 is shared out as -2 and 2.
    np.testing.assert_allclose(fit.centred(np.array([1.0, 2, 6])), [-2, -1, 3])
    np.testing.assert_allclose(fit.centred(np.array([4.0])), [-2, 2])
