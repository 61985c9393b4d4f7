"""Training: the choices, the numbers, the files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfTransformer

from mentallama.config import Train
from mentallama.errors import WrongUse
from mentallama.models.features import Featurizer, Grams
from mentallama.models.linear import LinearAnalyst, decide
from mentallama.models.linear_file import load_model
from mentallama.records import Post, example_of
from mentallama.store import read_json, write_records
from mentallama.train import fit
from mentallama.train.linear import SetPosts, train_linear
from mentallama.train.run import run
from tests.linear_cases import cause_posts, depression_posts, make_post, wellness_posts

QUICK = Train(regularisation=(1.0,))
TEXTS = ["so sad and so alone", "so glad", "sad, sad, sad", "glad and alone"]


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_training_and_analyst_see_the_same_numbers() -> None:
    grams = Grams()
    counted = fit.count_features(TEXTS, grams)
    keys = fit.vocabulary(counted, 1)
    matrix, idf = fit._weigh(counted, keys, np.array([True, True, True, False]))
    featurizer = Featurizer(keys, idf.astype(np.float64), grams)
    for row, text in enumerate(TEXTS):
        vector = featurizer.vector(text)
        dense = np.bincount(vector.columns, vector.values, len(keys))
        np.testing.assert_allclose(dense, matrix[row].toarray()[0], atol=1e-12)


def test_the_weights_are_scikit_learns() -> None:
    counted = fit.count_features(TEXTS, Grams())
    keys = fit.vocabulary(counted, 1)
    matrix, _ = fit._weigh(counted, keys, np.ones(4, np.bool_))
    dense = np.zeros((4, len(keys)))
    for row, (post, times) in enumerate(counted):
        for key, count in zip(post, times, strict=True):
            dense[row, keys.tolist().index(key)] = count
    expected = TfidfTransformer(sublinear_tf=True).fit_transform(dense)
    np.testing.assert_allclose(matrix.toarray(), expected.toarray(), atol=1e-6)


def test_idf_comes_from_the_fitted_posts_alone() -> None:
    # Smoothed: ln((1 + 3 posts) / (1 + 2 posts with it)) + 1; the fourth post has the feature too, unseen.
    counted = [(np.array([7], np.uint32), np.array([n])) for n in (1, 2)]
    counted += [(np.array([9], np.uint32), np.array([1])), (np.array([7], np.uint32), np.array([1]))]
    _, idf = fit._weigh(counted, np.array([9, 7], np.uint32), np.array([True, True, True, False]))
    np.testing.assert_allclose(idf, [np.log(4 / 2) + 1, np.log(4 / 3) + 1], rtol=1e-6)


def test_the_choice_does_not_know_the_validation_posts(tmp_path: Path) -> None:
    # "pagoda" stands in validation posts only, so it cannot help to tell their labels apart.
    words = {"yes": "pagoda", "no": "kayak"}
    posts = [post for post in depression_posts() if post.split == "train"]
    posts += [
        make_post("DR", "validation", f"{words[label]} {n}", {"depression": label})
        for n in range(10)
        for label in words
    ]
    settings = Train(regularisation=(1.0,), character_ngrams=(5, 5))
    card = train_linear(posts, tmp_path, settings).sets["DR"].questions["depression"].card
    assert card.weighted_f1 < 0.5


def test_the_vocabulary_has_features_of_two_posts_most_frequent_first() -> None:
    counted = [(np.array(keys, np.uint32), np.ones(len(keys), np.int64)) for keys in ([5, 7, 9], [7, 9], [9])]
    assert fit.vocabulary(counted, 2).tolist() == [9, 7]
    assert fit.vocabulary(counted, 1).tolist() == [9, 7, 5]


def test_centring_keeps_the_softmax() -> None:
    # Logits 1, 2, 6 have mean 3; a lone log-odds of 4 is shared out as -2 and 2.
    np.testing.assert_allclose(fit._centred(np.array([1.0, 2, 6])), [-2, -1, 3])
    np.testing.assert_allclose(fit._centred(np.array([4.0])), [-2, 2])


def test_the_temperature_by_hand() -> None:
    # Of four posts with log-odds 4 for "a", three are "a": the best log-odds is ln 3, so T = 4 / ln 3.
    logits = np.tile([2.0, -2.0], (4, 1))
    found = fit._temperature(logits, ["a", "b"], ["a", "a", "a", "b"])
    assert found == pytest.approx(4 / np.log(3), rel=1e-3)
    assert fit._temperature(logits, ["a", "b"], ["c"] * 4) == 1.0


def test_a_summary_counts_what_was_used(tmp_path: Path) -> None:
    done: list[str] = []
    summary = train_linear([*depression_posts(), *cause_posts()], tmp_path, QUICK, advance=done.append)
    assert sorted(done) == ["CAMS", "DR"]
    question = summary.sets["DR"].questions["depression"]
    assert (question.train, question.validation) == (60, 20)
    assert question.card.C == 1.0
    assert question.card.weighted_f1 > 0.9
    assert summary.skipped == {}
    card = read_json(tmp_path / "model.json")["sets"]["DR"]["questions"]["depression"]
    assert card == question.card.model_dump(mode="json")


def test_test_posts_change_nothing(tmp_path: Path) -> None:
    posts = depression_posts()
    train_linear(posts, tmp_path / "with", QUICK)
    train_linear([post for post in posts if post.split != "test"], tmp_path / "without", QUICK)
    assert files(tmp_path / "with") == files(tmp_path / "without")


def test_bytes_depend_on_posts_and_settings_only(tmp_path: Path) -> None:
    posts = [*depression_posts(), *wellness_posts()]
    train_linear(posts, tmp_path / "one", QUICK)
    train_linear(iter(posts), tmp_path / "two", QUICK, jobs=2)
    assert files(tmp_path / "one") == files(tmp_path / "two")
    assert len(files(tmp_path / "one")) == 3
    train_linear(posts, tmp_path / "other", Train(regularisation=(2.0,)))
    assert files(tmp_path / "one") != files(tmp_path / "other")


def test_the_final_weights_know_the_validation_posts(tmp_path: Path) -> None:
    # "pagoda" stands in validation posts only, always with yes.
    extra = [
        make_post("DR", "validation", f"pagoda number {n} today", {"depression": "yes"}) for n in range(6)
    ]
    train_linear([*depression_posts(), *extra], tmp_path, QUICK)
    grams, sets, _ = load_model(tmp_path)
    head = sets["DR"].heads["depression"]
    decision = decide(sets["DR"].featurizer(grams).vector("pagoda"), head)
    assert head.card.labels[decision.label] == "yes"
    assert decision.contributions[0] > 0


def test_usual_shares_are_those_of_the_posts_unless_balanced(tmp_path: Path) -> None:
    posts = [post for post in depression_posts() if post.labels["depression"] == "yes"]
    posts += [post for post in depression_posts(7) if post.labels["depression"] == "no"][::2]
    for weights, usual in (("none", 40 / 60), ("balanced", 0.5)):
        settings = Train(regularisation=(1.0,), class_weights=(weights,))
        summary = train_linear(posts, tmp_path / weights, settings)
        assert summary.sets["DR"].questions["depression"].card.usual[0] == pytest.approx(usual, abs=0.01)


def test_sets_without_labelled_training_posts_are_skipped_with_a_reason(tmp_path: Path) -> None:
    tests_only = [post for post in cause_posts() if post.split == "test"]
    summary = train_linear([*depression_posts(), *tests_only], tmp_path, QUICK)
    assert list(summary.sets) == ["DR"]
    assert summary.skipped == {
        "CAMS, cause": "0 labelled training posts of 0 labels; at least two labels are needed"
    }


def test_questions_nobody_answered_are_skipped(tmp_path: Path) -> None:
    summary = train_linear(wellness_posts(), tmp_path, QUICK)
    assert set(summary.sets["MultiWD"].questions) == {"social", "emotional"}
    assert len(summary.skipped) == 4
    assert {("MultiWD", "social"), ("MultiWD", "emotional")} == set(LinearAnalyst.load(tmp_path).tasks)


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
    with pytest.raises(WrongUse, match=sentence):
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
    with pytest.raises(WrongUse, match="no 2 training posts share a word"):
        train_linear(posts, tmp_path, Train(character_ngrams=(5, 5)))


def test_rows_are_those_of_one_split_with_an_answer() -> None:
    posts = SetPosts.of("MultiWD", wellness_posts())
    assert len(posts.rows("social", False)) == 60
    assert len(posts.rows("social", True)) == 20
    assert len(posts.rows("physical", False)) == 0
    none_heldout = replace(posts, heldout=np.zeros(80, np.bool_))
    assert len(none_heldout.rows("social", False)) == 80


@pytest.mark.parametrize(
    "settings", [{"character_ngrams": (5, 2)}, {"min_posts": 0}, {"seed": 1}, {"regularisation": ()}]
)
def test_wrong_settings_are_faults(settings: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        Train.model_validate(settings)


def test_the_stage_writes_a_model_and_a_summary(tmp_path: Path) -> None:
    write_records(tmp_path / "posts.jsonl.zst", depression_posts())
    summary = run(tmp_path / "posts.jsonl.zst", tmp_path / "train", QUICK)
    assert read_json(tmp_path / "train" / "summary.json") == summary.model_dump(mode="json")
    analyst = LinearAnalyst.load(tmp_path / "train")
    example = example_of(depression_posts()[0], "depression", "instruction")
    assert next(analyst.analyse([example])).reading.label == "yes"
