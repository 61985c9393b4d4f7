"""Training the linear analyst: files, summary, and what is skipped or refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mentallama.analysts.linear.analyst import LinearAnalyst
from mentallama.analysts.linear.decision import decide
from mentallama.analysts.linear.serialization import load_linear_model
from mentallama.config import LinearSettings
from mentallama.errors import UsageError
from mentallama.files.record_files import read_json
from mentallama.records import Post, example_of
from mentallama.train.linear.trainer import train_linear
from tests.factories.linear_cases import (
    QUICK,
    cause_posts,
    depression_posts,
    files,
    head_of,
    make_post,
    marked,
    rationales,
    wellness_posts,
)


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


def test_a_set_without_passages_is_fitted_without_evidence(tmp_path: Path) -> None:
    settings = QUICK.model_copy(update={"evidence_weights": (0.3,)})
    summary = train_linear(depression_posts(), tmp_path, settings)
    assert summary.sets["DR"].questions["depression"].metadata.evidence_weight == 0


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


def test_intercept_shifts_follow_the_label_frequencies_of_validation_posts(tmp_path: Path) -> None:
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
        (prediction,) = LinearAnalyst.load(tmp_path / str(shift)).predict([example])
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
    assert set(files(tmp_path / "one")) == {"DR.npz", "MultiWD.npz", "model.json", "hashes.json"}
    train_linear(posts, tmp_path / "other", settings.model_copy(update={"C": (2.0,)}))
    assert files(tmp_path / "one") != files(tmp_path / "other")


def test_the_final_weights_are_also_fitted_on_validation_posts(tmp_path: Path) -> None:
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


def test_label_priors_are_the_frequencies_unless_balanced(tmp_path: Path) -> None:
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


def test_questions_without_labels_are_skipped(tmp_path: Path) -> None:
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
        ([make_post("XY", "train", "x", {"depression": "yes"})], "there is no task named 'XY'"),
    ],
)
def test_untrainable_posts_are_errors(tmp_path: Path, posts: list[Post], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        train_linear(posts, tmp_path, QUICK)
    assert list(tmp_path.iterdir()) == []


def test_posts_without_a_common_word_are_an_error(tmp_path: Path) -> None:
    words = ["alpha", "zebu", "pixy", "fjord"]
    posts = [
        make_post("DR", split, word, {"depression": label})
        for word, (split, label) in zip(
            words, [(s, y) for s in ("train", "validation") for y in ("yes", "no")], strict=True
        )
    ]
    with pytest.raises(UsageError, match="no 2 training posts share a word"):
        train_linear(posts, tmp_path, LinearSettings(char_ngram_range=(5, 5)))
