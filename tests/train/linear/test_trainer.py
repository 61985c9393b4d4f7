"""Training: the choices, the numbers, the files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.feature_extraction.text import TfidfTransformer
from tests.factories.linear_cases import cause_posts, depression_posts, make_post, marked, wellness_posts

from mentallama.analysts.linear.analyst import LinearAnalyst, decide
from mentallama.analysts.linear.features import Featurizer, NgramConfig
from mentallama.analysts.linear.serialization import LinearHead, load_linear_model
from mentallama.config import LinearSettings, Recipe
from mentallama.errors import UsageError
from mentallama.files.record_files import read_json, write_records
from mentallama.metrics.temperature import LogitCalibration, calibrate_out_of_fold, fit_calibration
from mentallama.records import Post, example_of
from mentallama.train.linear import fit
from mentallama.train.linear.dataset import SetPosts
from mentallama.train.linear.fit import LinearHyperparameters
from mentallama.train.linear.tfidf import TfidfData, build_vocabulary, count_features, fit_tfidf
from mentallama.train.linear.trainer import train_linear
from mentallama.train.run import run

QUICK = LinearSettings(C=(1.0,), topics=(0,), intercept_shifts=(False,))
PLAIN = LinearHyperparameters(
    C=1.0, class_weight="none", evidence_weight=0.0, topics=0, shift_intercepts=False
)
WORDS = NgramConfig(word_bigrams=False, min_chars=10, max_chars=10)
"""Whole words only, as long as they are short."""
TEXTS = ["so sad and so alone", "so glad", "sad, sad, sad", "glad and alone"]


def material_of(posts: SetPosts, grams: NgramConfig = WORDS) -> TfidfData:
    """Tf-idf of posts and passages, every feature kept."""
    counted = count_features(posts.texts, grams)
    passages = {
        question: dict(zip(found, count_features(list(found.values()), grams), strict=True))
        for question, found in posts.evidence_passages.items()
    }
    return fit_tfidf(counted, passages, build_vocabulary(counted, 1))[0]


def row_of(word: str, posts: SetPosts) -> int:
    """The place of a word's feature among those of `material_of`."""
    ((key,), _) = count_features([word], WORDS)[0]
    return int(np.flatnonzero(build_vocabulary(count_features(posts.texts, WORDS), 1) == key)[0])


def set_posts(*posts: tuple[str, str]) -> SetPosts:
    """Training posts of DR as (text, label)."""
    return SetPosts.from_posts(
        "DR", [make_post("DR", "train", text, {"depression": label}) for text, label in posts]
    )


def head_of(folder: Path, name: str = "DR", question: str = "depression") -> LinearHead:
    return load_linear_model(folder)[1][name].heads[question]


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_training_and_analyst_see_the_same_numbers() -> None:
    grams = NgramConfig()
    counted = count_features(TEXTS, grams)
    keys = build_vocabulary(counted, 1)
    material, idf = fit_tfidf(counted, {"q": {2: counted[2]}}, keys)
    featurizer = Featurizer(keys, idf.astype(np.float64), grams)
    places, passages = material.evidence_passages["q"]
    assert places.tolist() == [2]
    for row, text in enumerate(TEXTS):
        vector = featurizer.transform(text)
        dense = np.bincount(vector.columns, vector.values, len(keys))
        np.testing.assert_allclose(dense, material.posts[row].toarray()[0], atol=1e-12)
        if row == 2:
            np.testing.assert_allclose(dense, passages.toarray()[0], atol=1e-12)


def test_the_weights_are_scikit_learns() -> None:
    counted = count_features(TEXTS, NgramConfig())
    keys = build_vocabulary(counted, 1)
    material, _ = fit_tfidf(counted, {}, keys)
    dense = np.zeros((4, len(keys)))
    for row, (post, times) in enumerate(counted):
        for key, count in zip(post, times, strict=True):
            dense[row, keys.tolist().index(key)] = count
    expected = TfidfTransformer(sublinear_tf=True).fit_transform(dense)
    np.testing.assert_allclose(material.posts.toarray(), expected.toarray(), atol=1e-6)


def test_passages_are_weighed_by_the_posts_and_count_for_nothing_in_the_idf() -> None:
    # Smoothed: ln((1 + 4 posts) / (1 + posts with it)) + 1; passages are not posts, and 8 is not a feature.
    counted = [(np.array([key], np.uint32), np.array([n])) for key, n in ((7, 1), (7, 2), (9, 1), (7, 1))]
    passage = (np.array([7, 8, 9], np.uint32), np.array([1, 5, 1]))
    material, idf = fit_tfidf(counted, {"q": {3: passage, 0: counted[0]}}, np.array([9, 7], np.uint32))
    expected = np.array([np.log(5 / 2) + 1, np.log(5 / 4) + 1])
    np.testing.assert_allclose(idf, expected, rtol=1e-6)
    places, rows = material.evidence_passages["q"]
    assert places.tolist() == [3, 0]
    np.testing.assert_allclose(rows.toarray(), [expected / np.linalg.norm(expected), [0, 1]], rtol=1e-6)


@effort(max_examples=25, deadline=None)
@given(st.integers(0, 9), st.integers(0, 2**32 - 1))
def test_folded_weights_decide_as_features_and_topics_do(topics: int, seed: int) -> None:
    posts = SetPosts.from_posts("DR", [marked(post, post.text[:9]) for post in depression_posts()[:12]])
    plain = material_of(posts)
    material = plain.with_topics(topics)
    features = plain.posts.shape[1]
    assert material.posts.shape[1] == features + topics
    weights = np.random.default_rng(seed).normal(size=(features + topics, 3))
    folded = material.fold_topics(weights)
    assert folded.shape == (features, 3)
    np.testing.assert_allclose(plain.posts @ folded, material.posts @ weights, atol=1e-9)
    passages = [each.evidence_passages["depression"][1] for each in (plain, material)]
    np.testing.assert_allclose(passages[0] @ folded, passages[1] @ weights, atol=1e-9)


def test_folding_by_hand() -> None:
    # One topic, half of either feature: a weight of 4 on it is 2 more for each.
    material = TfidfData(None, {}, np.array([[0.5], [0.5]]))
    np.testing.assert_allclose(material.fold_topics(np.array([[1.0], [3], [4]])), [[3], [5]])


def test_there_are_fewer_topics_than_posts() -> None:
    plain = material_of(set_posts(*((text, "yes") for text in TEXTS)))
    assert [plain.with_topics(n).topic_loadings.shape[1] for n in (0, 1, 50)] == [0, 1, 3]
    alone = material_of(set_posts(("sad", "yes"), ("sad", "no")))
    assert alone.with_topics(50).posts.shape == alone.posts.shape


def test_the_kept_head_is_the_fit_with_topics_calibrated() -> None:
    posts = SetPosts.from_posts("CAMS", cause_posts())
    material = material_of(posts).with_topics(4)
    rows = np.arange(len(posts.texts))
    setting = replace(PLAIN, topics=4, shift_intercepts=True)
    calibration = LogitCalibration(0.5, np.array([0.3, -0.2, -0.1]))
    labels = ["none", "medication", "relationship", "jobs and career"]
    head = fit._fit_head(
        material, posts, "cause", labels, setting, fit.CrossValidationResult(0.75, 78, calibration)
    )
    # The task's order, without the label nobody has; the fit's own is alphabetical: jobs, medication, none.
    assert head.metadata.labels == ("none", "medication", "jobs and career")
    assert (head.metadata.topics, head.metadata.shift, head.metadata.weighted_f1) == (4, True, 0.75)
    known, weights, intercepts = fit._fit_weights(material, posts, "cause", rows, setting)
    assert known == ["jobs and career", "medication", "none"]
    expected = (material.posts @ weights + intercepts) / 0.5 + [0.3, -0.2, -0.1]
    features = material.posts[:, : len(material.topic_loadings)]
    np.testing.assert_allclose(features @ head.weights + head.intercepts, expected[:, ::-1], atol=1e-5)


def test_every_post_is_judged_by_a_fit_that_has_not_seen_it() -> None:
    # Every post is one word of its own: whoever has seen it knows its label, whoever has not cannot.
    texts = [(f"word{n}", "no" if n % 2 else "yes") for n in range(30)]
    posts = set_posts(*texts)
    posts = replace(posts, is_validation=np.arange(30) >= 20, same_origin_as_validation=np.ones(30, np.bool_))
    material = material_of(posts)
    _, weights, intercepts = fit._fit_weights(material, posts, "depression", np.arange(30), PLAIN)
    assert [("no", "yes")[i] for i in (material.posts @ weights + intercepts).argmax(axis=1)] == [
        label for _, label in texts
    ]
    judged = fit._cross_validate(material, posts, "depression", PLAIN)
    assert judged.n_rows == 30
    assert judged.weighted_f1 < 0.6


def test_only_posts_labelled_as_the_validation_posts_are_scored() -> None:
    # Upstream labels are of no use: the same text, either label. The release's labels go by the word.
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
    material = material_of(posts)
    judged = fit._cross_validate(material, posts, "depression", PLAIN)
    assert (judged.weighted_f1, judged.n_rows) == (1.0, 24)
    everywhere = replace(posts, same_origin_as_validation=np.ones(42, np.bool_))
    judged = fit._cross_validate(material, everywhere, "depression", PLAIN)
    assert judged.n_rows == 42
    assert judged.weighted_f1 < 0.9


def test_questions_count_by_their_rows() -> None:
    none = LogitCalibration(1.0, np.zeros(2))
    tried = fit.LinearCandidate(
        PLAIN, {"a": fit.CrossValidationResult(1.0, 10, none), "b": fit.CrossValidationResult(0.2, 30, none)}
    )
    assert fit._mean_weighted_f1(tried) == pytest.approx(0.4)


@pytest.mark.parametrize("enough", [True, False])
def test_the_choice_is_one_for_all_questions_and_of_equals_the_first(
    monkeypatch: pytest.MonkeyPatch, enough: bool
) -> None:
    asked: list[tuple[str, LinearHyperparameters]] = []
    material = TfidfData(None, {"a": (np.array([0]), None)}, np.zeros((1, 0)))

    def judge(
        _: TfidfData, __: SetPosts, question: str, setting: LinearHyperparameters
    ) -> fit.CrossValidationResult:
        asked.append((question, setting))
        # "a" would rather have C 1, "b", with three times the rows, C 2; topics and evidence help, shifts do not.
        score = 0.5 if {"a": 1.0, "b": 2.0}[question] == setting.C else 0.3
        score += 0.1 * (setting.topics > 0) + 0.1 * (setting.evidence_weight == 0.3)
        return fit.CrossValidationResult(
            score, {"a": 10, "b": 30}[question], LogitCalibration(1.0, np.zeros(2))
        )

    monkeypatch.setattr(fit, "_cross_validate", judge)
    settings = LinearSettings(C=(1.0, 2.0), topics=(0, 5, 9), class_weights=("none", "balanced"))
    # One question with too few validation posts is enough to leave the shifts alone.
    many = fit.MIN_POSTS_TO_SHIFT
    both, first = {"a": "yes", "b": "yes"}, {"a": "yes"}
    made = [both] * (many if enough else many - 1) + [first]
    posts = SetPosts.from_posts("DR", [make_post("DR", "validation", "x", labels) for labels in made])
    chosen = fit._search_hyperparameters(dict.fromkeys((0, 5, 9), material), posts, ["a", "b"], settings)
    assert chosen.hyperparameters == LinearHyperparameters(2.0, "none", 0.3, 5, False)
    assert {question: found.n_rows for question, found in chosen.results.items()} == {"a": 10, "b": 30}
    # 2 strengths x 2 class weights x 2 evidence weights, then two more numbers of topics, then the shifts.
    assert asked[::2] == [("a", setting) for _, setting in asked[1::2]]
    assert len({setting for _, setting in asked[:16]}) == 8
    later = [(5, False), (9, False), *([(5, True)] if enough else [])]
    assert [(setting.topics, setting.shift_intercepts) for _, setting in asked[16::2]] == later


def rationales() -> list[Post]:
    """Posts that are all the same, so that nothing but the marked passages tells them apart."""
    return [
        marked(make_post("DR", split, "pagoda kayak", {"depression": label}), passage)
        for split, count in (("train", 6), ("validation", 3))
        for _ in range(count)
        for label, passage in (("yes", "pagoda"), ("no", "kayak"))
    ]


@pytest.mark.parametrize("evidence", [0.0, 0.3])
def test_a_marked_word_gets_weight_only_where_evidence_has(tmp_path: Path, evidence: float) -> None:
    settings = QUICK.model_copy(update={"evidence_weights": (evidence,)})
    card = train_linear(rationales(), tmp_path, settings).sets["DR"].questions["depression"].metadata
    assert card.evidence_weight == evidence
    grams, sets, _ = load_linear_model(tmp_path)
    logits = {
        word: decide(sets["DR"].featurizer(grams).transform(word), sets["DR"].heads["depression"]).logits[0]
        for word in ("pagoda", "kayak")
    }
    if evidence:
        assert logits["pagoda"] > 0.1
        assert logits["kayak"] < -0.1
    else:
        assert max(map(abs, logits.values())) < 1e-3


def test_passages_are_used_only_for_posts_that_are_fitted() -> None:
    plain = [make_post("DR", "train", "pagoda kayak", {"depression": label}) for label in ("yes", "no") * 3]
    posts = SetPosts.from_posts("DR", [*rationales(), *plain])
    material = material_of(posts)
    setting = replace(PLAIN, evidence_weight=1.0)
    pagoda = row_of("pagoda", posts)

    def weights(
        rows: list[int], setting: LinearHyperparameters
    ) -> tuple[Sequence[str], np.ndarray, np.ndarray]:
        return fit._fit_weights(material, posts, "depression", np.array(rows), setting)

    last = list(range(18, 24))
    for with_evidence, without in zip(weights(last, setting), weights(last, PLAIN), strict=True):
        np.testing.assert_array_equal(with_evidence, without)
    # The first post alone has its passage in the fit: "pagoda", for yes.
    assert weights([0, *last], PLAIN)[1][pagoda, 1] < weights([0, *last], setting)[1][pagoda, 1]
    # Post 1 is marked "kayak", for no, and that speaks for "pagoda" no more.
    assert weights([1, *last], setting)[1][row_of("kayak", posts), 0] > 0.05


@pytest.mark.parametrize("balance", ["none", "balanced"])
@pytest.mark.parametrize("times", [1, 2])
def test_a_passage_is_worth_its_weight_in_posts(balance: fit.Weighting, times: int) -> None:
    # The weight of two posts is the same as two posts with the passage's words and the label.
    texts = [("gloom rain", "yes"), ("cheer rain", "no"), ("gloom sun", "yes"), ("gloom cheer", "no")]
    posts = set_posts(*texts)
    spoken = replace(posts, evidence_passages={"depression": {0: "rain", 2: "gloom"}})
    copies = set_posts(*texts, *[("rain", "yes"), ("gloom", "yes")] * times)
    material = material_of(spoken)
    passages = material.evidence_passages["depression"][1]
    longer = TfidfData(fit.vstack([material.posts, *[passages] * times]).tocsr(), {}, material.topic_loadings)
    setting = replace(PLAIN, class_weight=balance)
    found = fit._fit_weights(
        material, spoken, "depression", np.arange(4), replace(setting, evidence_weight=float(times))
    )
    expected = fit._fit_weights(longer, copies, "depression", np.arange(4 + 2 * times), setting)
    assert found[0] == expected[0] == ["no", "yes"]
    np.testing.assert_allclose(found[1], expected[1], atol=2e-3)
    np.testing.assert_allclose(found[2], expected[2], atol=2e-3)


def test_a_set_without_passages_is_fitted_without_evidence(tmp_path: Path) -> None:
    settings = QUICK.model_copy(update={"evidence_weights": (0.3,)})
    summary = train_linear(depression_posts(), tmp_path, settings)
    assert summary.sets["DR"].questions["depression"].metadata.evidence_weight == 0


def test_passages_go_by_the_place_among_the_fitted_posts() -> None:
    post = make_post("DR", "train", "a pagoda, a kayak", {"depression": "yes"})
    other = make_post("DR", "train", "a kayak", {"depression": "no"})
    unlabelled = make_post("DR", "train", "a kayak", {})
    test = marked(make_post("DR", "test", "a kayak", {"depression": "no"}), "kayak")
    posts = SetPosts.from_posts("DR", [test, unlabelled, other, marked(post, "kayak", "pagoda")])
    assert posts.texts == ["a kayak", "a pagoda, a kayak"]
    assert posts.evidence_passages == {"depression": {1: "kayak\npagoda"}}


@pytest.mark.parametrize("shift", [False, True])
@pytest.mark.parametrize("rare", [1, 2])
def test_a_label_unseen_in_a_fold_does_not_break(tmp_path: Path, rare: int, shift: bool) -> None:
    # The one post of "medication", or of all but one label, is left out of one of the fits.
    posts = [post for post in cause_posts() if post.labels["cause"] != "medication"]
    posts += [make_post("CAMS", "train", "pills and picnic", {"cause": "medication"})]
    if rare == 2:
        posts = [post for post in posts if post.labels["cause"] != "none"]
    settings = QUICK.model_copy(update={"intercept_shifts": (shift,)})
    summary = train_linear(posts, tmp_path, settings)
    card = summary.sets["CAMS"].questions["cause"].metadata
    assert len(card.labels) == 4 - rare
    assert 0.9 < card.weighted_f1 < 1
    head = head_of(tmp_path, "CAMS", "cause")
    assert np.isfinite(head.weights).all()
    assert np.isfinite(head.intercepts).all()


def test_the_vocabulary_has_features_of_two_posts_most_frequent_first() -> None:
    counted = [(np.array(keys, np.uint32), np.ones(len(keys), np.int64)) for keys in ([5, 7, 9], [7, 9], [9])]
    assert build_vocabulary(counted, 2).tolist() == [9, 7]
    assert build_vocabulary(counted, 1).tolist() == [9, 7, 5]


def test_centring_keeps_the_softmax() -> None:
    # Logits 1, 2, 6 have mean 3; a lone log-odds of 4 is shared out as -2 and 2.
    np.testing.assert_allclose(fit._centred(np.array([1.0, 2, 6])), [-2, -1, 3])
    np.testing.assert_allclose(fit._centred(np.array([4.0])), [-2, 2])


def test_the_temperature_by_hand() -> None:
    # Of four posts with log-odds 4 for "a", three are "a": the best log-odds is ln 3, so T = 4 / ln 3.
    logits, truth = np.tile([2.0, -2.0], (4000, 1)), np.tile([0, 0, 0, 1], 1000)
    found = fit_calibration(logits, truth, shift_intercepts=False)
    assert found.temperature == pytest.approx(4 / np.log(3), rel=5e-3)
    assert found.intercept_shifts.tolist() == [0, 0]
    np.testing.assert_allclose(found.apply(logits[:1]), [[np.log(3) / 2, -np.log(3) / 2]], rtol=5e-3)


def test_on_few_posts_the_prior_prevails() -> None:
    # One post, right, log-odds 2: without a prior T would go to its bound. The derivative of
    # ln(T)^2 / 2 + ln(1 + exp(-u)), u = 2 / T, by ln T is zero where ln T = -u / (1 + exp(u)).
    found = fit_calibration(np.array([[1.0, -1.0]]), np.array([0]), shift_intercepts=False).temperature
    assert np.log(found) == pytest.approx(-2 / found * expit(-2 / found), abs=1e-4)
    assert 0.75 < found < 1
    # Shifts s and -s: the derivative of s^2 + ln(1 + exp(-2 s)) is zero where s = 1 / (1 + exp(2 s)).
    shifts = fit_calibration(np.zeros((1, 2)), np.array([0]), shift_intercepts=True).intercept_shifts
    assert shifts[0] == pytest.approx(expit(-2 * shifts[0]), abs=1e-4)


@pytest.mark.parametrize("shift", [False, True])
def test_without_posts_nothing_is_calibrated(shift: bool) -> None:
    nothing, unseen = np.zeros((0, 3)), np.array([[-np.inf, 1.0, -1.0]])
    for logits, truth in ((nothing, np.zeros(0, np.int64)), (unseen, np.array([0]))):
        found = fit_calibration(logits, truth, shift)
        assert (found.temperature, found.intercept_shifts.tolist()) == (1, [0, 0, 0])


def test_shifts_are_recovered_on_many_posts() -> None:
    # Logits that know nothing, labels 3 : 2 : 1; the shifts are the logarithms of that, less their mean.
    truth = np.tile([0, 0, 0, 1, 1, 2], 1000)
    found = fit_calibration(np.zeros((6000, 3)), truth, shift_intercepts=True)
    expected = np.log([3, 2, 1]) - np.log(6) / 3
    np.testing.assert_allclose(found.intercept_shifts, expected, atol=5e-3)
    assert fit_calibration(np.zeros((6000, 3)), truth, shift_intercepts=False).intercept_shifts.tolist() == [
        0,
        0,
        0,
    ]


def test_scale_and_shifts_are_recovered_together() -> None:
    draw = np.random.default_rng(5)
    logits = draw.normal(size=(20000, 3)) * 3
    logits -= logits.mean(axis=1, keepdims=True)
    true = logits / 2 + [0.5, 0.25, -0.75]
    # The highest of logits with Gumbel noise has the probabilities of their softmax.
    found = fit_calibration(
        logits, (true + draw.gumbel(size=true.shape)).argmax(axis=1), shift_intercepts=True
    )
    assert found.temperature == pytest.approx(2, rel=0.05)
    np.testing.assert_allclose(found.intercept_shifts, [0.5, 0.25, -0.75], atol=0.1)


@effort(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.integers(2, 6))
def test_shifts_sum_to_nothing_and_rows_without_their_label_are_passed_over(
    seed: int, rows: int, labels: int
) -> None:
    draw = np.random.default_rng(seed)
    logits, truth = draw.normal(size=(rows, labels)), draw.integers(0, labels, rows)
    logits[0, (truth[0] + 1) % labels] = -np.inf  # a wrong label that a fit had not seen
    found = fit_calibration(logits, truth, shift_intercepts=True)
    assert found.intercept_shifts.sum() == pytest.approx(0, abs=1e-9)
    assert np.isfinite(found.intercept_shifts).all()
    assert 0.05 <= found.temperature <= 20
    unseen = np.where(np.arange(labels) == 1, -np.inf, logits[:1])
    more = fit_calibration(np.vstack([unseen, logits, unseen]), np.r_[1, truth, 1], shift_intercepts=True)
    assert more.temperature == found.temperature
    np.testing.assert_array_equal(more.intercept_shifts, found.intercept_shifts)


def test_shifts_are_judged_on_posts_they_were_not_fitted_to() -> None:
    draw = np.random.default_rng(3)
    logits, truth = draw.normal(size=(30, 2)), draw.integers(0, 2, 30)
    assert calibrate_out_of_fold(logits, truth, False, 3) is logits
    found = calibrate_out_of_fold(logits, truth, True, 3)
    first = np.arange(30) % 3 == 0
    expected = fit_calibration(logits[~first], truth[~first], True).apply(logits[first])
    np.testing.assert_array_equal(found[first], expected)
    other = calibrate_out_of_fold(logits, np.where(first, 1 - truth, truth), True, 3)
    np.testing.assert_array_equal(other[first], found[first])
    assert not np.allclose(other[~first], found[~first])


def test_a_shift_answers_for_labels_more_common_among_validation_posts(tmp_path: Path) -> None:
    # One word stands in all posts; training posts are even, four of five validation posts are "yes".
    def shared(split: str, yes: int, no: int) -> list[Post]:
        answers = ["yes"] * yes + ["no"] * no
        return [
            Post.model_validate(
                make_post("DR", "train", "today", {"depression": label}).model_dump() | {"split": split}
            )
            for label in answers
        ]

    posts = [*shared("train", 100, 100), *shared("validation", 80, 20)]
    shares = {}
    for shift in (False, True):
        settings = QUICK.model_copy(update={"intercept_shifts": (shift,)})
        train_linear(posts, tmp_path / str(shift), settings)
        example = example_of(posts[0], "depression", "instruction")
        (prediction,) = LinearAnalyst.load(tmp_path / str(shift)).analyse([example])
        shares[shift] = prediction.probabilities["yes"]
    assert shares[False] == pytest.approx(0.5, abs=0.02)
    assert shares[True] == pytest.approx(0.8, abs=0.02)


def test_a_summary_counts_what_was_used(tmp_path: Path) -> None:
    done: list[str] = []
    summary = train_linear([*depression_posts(), *cause_posts()], tmp_path, QUICK, advance=done.append)
    assert sorted(done) == ["CAMS", "DR"]
    question = summary.sets["DR"].questions["depression"]
    assert (question.train, question.validation) == (60, 20)
    assert question.metadata.C == 1.0
    assert question.metadata.weighted_f1 > 0.9
    assert summary.skipped == {}
    card = read_json(tmp_path / "model.json")["sets"]["DR"]["questions"]["depression"]
    assert card == question.metadata.model_dump(mode="json")


def test_test_posts_change_nothing(tmp_path: Path) -> None:
    posts = depression_posts()
    train_linear(posts, tmp_path / "with", QUICK)
    train_linear([post for post in posts if post.split != "test"], tmp_path / "without", QUICK)
    assert files(tmp_path / "with") == files(tmp_path / "without")


def test_bytes_depend_on_posts_and_settings_only(tmp_path: Path) -> None:
    posts = [*(marked(post, post.text.split()[0]) for post in depression_posts()), *wellness_posts()]
    settings = LinearSettings(C=(1.0,), topics=(5,), intercept_shifts=(True,), evidence_weights=(0.3,))
    train_linear(posts, tmp_path / "one", settings)
    train_linear(iter(posts), tmp_path / "two", settings, jobs=2)
    assert files(tmp_path / "one") == files(tmp_path / "two")
    assert len(files(tmp_path / "one")) == 3
    train_linear(posts, tmp_path / "other", settings.model_copy(update={"C": (2.0,)}))
    assert files(tmp_path / "one") != files(tmp_path / "other")


def test_the_final_weights_know_the_validation_posts(tmp_path: Path) -> None:
    # "pagoda" stands in validation posts only, always with yes.
    extra = [
        make_post("DR", "validation", f"pagoda number {n} today", {"depression": "yes"}) for n in range(6)
    ]
    train_linear([*depression_posts(), *extra], tmp_path, QUICK)
    grams, sets, _ = load_linear_model(tmp_path)
    head = sets["DR"].heads["depression"]
    decision = decide(sets["DR"].featurizer(grams).transform("pagoda"), head)
    assert head.metadata.labels[decision.label] == "yes"
    assert decision.contributions[0] > 0


def test_usual_shares_are_those_of_the_posts_unless_balanced(tmp_path: Path) -> None:
    posts = [post for post in depression_posts() if post.labels["depression"] == "yes"]
    posts += [post for post in depression_posts(7) if post.labels["depression"] == "no"][::2]
    for weights, usual in (("none", 40 / 60), ("balanced", 0.5)):
        settings = QUICK.model_copy(update={"class_weights": (weights,)})
        summary = train_linear(posts, tmp_path / weights, settings)
        assert summary.sets["DR"].questions["depression"].metadata.label_prior[0] == pytest.approx(
            usual, abs=0.01
        )


def test_sets_without_labelled_training_posts_are_skipped_with_a_reason(tmp_path: Path) -> None:
    tests_only = [post for post in cause_posts() if post.split == "test"]
    summary = train_linear([*depression_posts(), *tests_only], tmp_path, QUICK)
    assert list(summary.sets) == ["DR"]
    assert summary.skipped == {
        "CAMS, cause": "0 labelled training posts with 0 different labels; at least two are needed"
    }


def test_questions_nobody_answered_are_skipped(tmp_path: Path) -> None:
    summary = train_linear(wellness_posts(), tmp_path, QUICK)
    assert set(summary.sets["MultiWD"].questions) == {"social", "emotional"}
    assert len(summary.skipped) == 4
    assert {("MultiWD", "social"), ("MultiWD", "emotional")} == set(
        LinearAnalyst.load(tmp_path).supported_questions
    )


@pytest.mark.parametrize(
    ("posts", "sentence"),
    [
        ([p for p in depression_posts() if p.split == "train"], "60 training posts but no validation posts"),
        ([], "nothing to train on"),
        ([p for p in depression_posts() if p.split == "test"], "nothing to train on .*DR, depression: 0 lab"),
        ([make_post("DR", "train", "x", {"depression": "maybe"})], "the task has no label 'maybe'"),
        ([make_post("XY", "train", "x", {"depression": "yes"})], "no task is called 'XY'"),
    ],
)
def test_what_cannot_be_trained_is_said(tmp_path: Path, posts: list[Post], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        train_linear(posts, tmp_path, QUICK)
    assert list(tmp_path.iterdir()) == []


def test_posts_that_share_no_word_are_skipped(tmp_path: Path) -> None:
    words = ["alpha", "zebu", "pixy", "fjord"]
    posts = [
        make_post("DR", split, word, {"depression": label})
        for word, (split, label) in zip(
            words, [(s, y) for s in ("train", "validation") for y in ("yes", "no")], strict=True
        )
    ]
    with pytest.raises(UsageError, match="no 2 training posts share a word"):
        train_linear(posts, tmp_path, LinearSettings(char_ngram_range=(5, 5)))


def test_rows_are_those_of_one_split_with_an_answer() -> None:
    posts = SetPosts.from_posts("MultiWD", wellness_posts())
    assert len(posts.indices("social", validation=False)) == 60
    assert len(posts.indices("social", validation=True)) == 20
    assert len(posts.indices("physical", validation=False)) == 0
    none_heldout = replace(posts, is_validation=np.zeros(80, np.bool_))
    assert len(none_heldout.indices("social", validation=False)) == 80


@pytest.mark.parametrize(
    "settings",
    [
        {"char_ngram_range": (5, 2)},
        {"min_df": 0},
        {"seed": 1},
        {"C": ()},
        {"topics": ()},
        {"intercept_shifts": ()},
        {"evidence_weights": ()},
    ],
)
def test_wrong_settings_are_faults(settings: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        LinearSettings.model_validate(settings)


def test_the_stage_writes_a_model_and_a_summary(tmp_path: Path) -> None:
    write_records(tmp_path / "collect/posts.jsonl.zst", depression_posts())
    written = run(Recipe(name="r", data=tmp_path, train=QUICK), tmp_path, tmp_path / "train")
    assert written["sets"]["DR"].pop("seconds") >= 0  # a clock: it is told, not written
    assert read_json(tmp_path / "train" / "summary.json") == written
    analyst = LinearAnalyst.load(tmp_path / "train")
    example = example_of(depression_posts()[0], "depression", "instruction")
    assert next(analyst.analyse([example])).reading.label == "yes"
