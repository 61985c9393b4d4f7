"""The linear analyst: what it says is what decided."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mentallama.analysts.checkpoints.digests import write_hashes
from mentallama.analysts.checkpoints.metadata import LINEAR_MODEL_FILE
from mentallama.analysts.linear.analyst import LinearAnalyst
from mentallama.analysts.linear.decision import decide
from mentallama.analysts.linear.features import Featurizer
from mentallama.analysts.linear.serialization import LinearHead, load_linear_model
from mentallama.attribution.opening import open_analyst
from mentallama.config import LinearSettings
from mentallama.errors import DataError, UsageError
from mentallama.records import Example, Prediction, example_of
from mentallama.tasks import load_tasks
from mentallama.train.linear.trainer import train_linear
from tests.factories.linear_cases import (
    CHEER,
    GLOOM,
    cause_posts,
    depression_posts,
    make_post,
    wellness_posts,
)

POSTS = [*depression_posts(), *cause_posts(), *wellness_posts()]
SETTINGS = LinearSettings()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model")
    train_linear(POSTS, path, SETTINGS)
    return path


@pytest.fixture(scope="module")
def analyst(folder: Path) -> LinearAnalyst:
    return LinearAnalyst.load(folder)


def opened(folder: Path) -> list[tuple[Featurizer, LinearHead]]:
    grams, sets, _ = load_linear_model(folder)
    return [(model.featurizer(grams), head) for model in sets.values() for head in model.heads.values()]


@pytest.fixture(scope="module")
def parts(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Featurizer, LinearHead]]:
    """Heads as they were chosen, and heads with topics and shifts."""
    moved = tmp_path_factory.mktemp("moved")
    train_linear(POSTS, moved, LinearSettings(C=(1.0,), topics=(5,), intercept_shifts=(True,)))
    heads = [*opened(folder), *opened(moved)]
    assert [(head.metadata.topics, head.metadata.shift) for _, head in heads[4:]] == [(5, True)] * 4
    return heads


def ask(text: str, task: str = "DR", question: str = "depression") -> Example:
    return example_of(make_post(task, "test", text, {}), question, "instruction")


def one(analyst: LinearAnalyst, *args: str) -> Prediction:
    (prediction,) = analyst.predict([ask(*args)])
    return prediction


def test_it_learns_separable_labels(analyst: LinearAnalyst) -> None:
    examples = [example_of(p, q, "instruction") for p in POSTS if p.split == "test" for q in p.labels]
    right = [p.reading.label == e.label for p, e in zip(analyst.predict(examples), examples, strict=True)]
    # 20 + 18 + 2 x 20; the second question of MultiWD is about how many words were drawn from, not which.
    assert len(right) == 78
    assert sum(right) >= 60


def test_the_tasks_it_answers(analyst: LinearAnalyst) -> None:
    expected = {("DR", "depression"), ("CAMS", "cause"), ("MultiWD", "social"), ("MultiWD", "emotional")}
    assert set(analyst.supported_questions) == expected


def test_an_answer_in_full(analyst: LinearAnalyst) -> None:
    text = "I feel hopeless and worthless and empty, crying alone. See [link]."
    prediction = one(analyst, text)
    assert prediction.model == analyst.name
    assert (prediction.reading.status, prediction.reading.label) == ("parsed", "yes")
    assert list(prediction.probabilities) == ["yes", "no"]
    assert prediction.probabilities["yes"] > 0.9
    assert "goes with signs of depression" in prediction.reading.explanation
    quoted = [text[span.start : span.end] for span in prediction.evidence if (span.weight or 0) > 0]
    assert any("hopeless" in quote for quote in quoted)
    assert all(f"“{quote}”" in prediction.reading.explanation for quote in quoted)


@given(st.text(st.sampled_from("ab é我😢.,\n'’[]link hopeless garden empty") | st.characters(), max_size=80))
def test_contributions_add_up_to_the_decision(parts: list[tuple[Featurizer, LinearHead]], text: str) -> None:
    for featurizer, head in parts:
        decision = decide(featurizer.transform(text), head)
        assert decision.logits.sum() == pytest.approx(0, abs=1e-4)
        assert decision.contributions.sum() + decision.prior_margin == pytest.approx(
            decision.margin, abs=1e-5
        )
        shares = decision.probabilities
        assert shares.sum() == pytest.approx(1, abs=1e-9)
        if len(shares) == 2:
            odds = np.log(shares[decision.label] / shares[1 - decision.label])
            assert decision.margin == pytest.approx(odds, abs=1e-5)


@given(st.text(st.sampled_from("ab é我😢.,\n'’[]") | st.characters(), max_size=60))
def test_any_text_gets_a_complete_answer(analyst: LinearAnalyst, text: str) -> None:
    for task, question in analyst.supported_questions:
        prediction = one(analyst, f"hopeless {text} garden", task, question)
        labels = load_tasks()[task].labels
        assert set(prediction.probabilities) == set(labels)
        assert sum(prediction.probabilities.values()) == pytest.approx(1, abs=1e-9)
        assert prediction.reading.label == max(
            prediction.probabilities, key=prediction.probabilities.__getitem__
        )
        for span in prediction.evidence:
            quote = f"hopeless {text} garden"[span.start : span.end]
            assert quote.lower() in prediction.reading.explanation.lower()


def test_every_label_has_its_own_contributions(folder: Path, analyst: LinearAnalyst) -> None:
    grams, sets, _ = load_linear_model(folder)
    post = cause_posts()[0]
    vector, head = sets["CAMS"].featurizer(grams).transform(post.text), sets["CAMS"].heads["cause"]
    example = example_of(post, "cause", "instruction")
    for place, label in enumerate(head.metadata.labels):
        decision = decide(vector, head, place)
        # the lead of a label: its logit minus the mean of the two others
        others = np.delete(decision.logits, place)
        assert decision.margin == pytest.approx(decision.logits[place] - others.mean())
        assert decision.contributions.sum() + decision.prior_margin == pytest.approx(decision.margin)
        leaning = analyst.explain(example, label)
        assert leaning.label == label
        assert leaning.contributions == pytest.approx(decision.contributions)
    analyst_ = analyst.explain(example)
    assert analyst_.label == next(iter(analyst.predict([example]))).reading.label
    assert analyst_.contributions == pytest.approx(decide(vector, head).contributions)


def test_an_unseen_label_has_no_contributions(analyst: LinearAnalyst) -> None:
    leaning = analyst.explain(example_of(cause_posts()[0], "cause", "instruction"), "alienation")
    assert (leaning.label, leaning.contributions) == ("alienation", None)
    assert len(leaning.tfidf_shares) == len(leaning.words.forms)
    assert leaning.tfidf_shares.max() > 0


def test_labels_without_training_posts_have_no_probability(analyst: LinearAnalyst) -> None:
    shares = one(analyst, "hopeless boss", "CAMS", "cause").probabilities
    assert list(shares) == list(load_tasks()["CAMS"].labels)
    assert {label for label, share in shares.items() if share == 0} == {
        "bias or abuse",
        "relationship",
        "alienation",
    }


@pytest.mark.parametrize("text", ["", "   ", "?!", "Zzyzx qwfp"])
def test_a_post_without_known_words_gets_the_prior(analyst: LinearAnalyst, text: str) -> None:
    prediction = one(analyst, text)
    assert prediction.reading.explanation == load_tasks()["DR"].explanation_template.unsupported
    assert "“" not in prediction.reading.explanation
    assert prediction.evidence == ()


def test_questions_about_one_post_do_not_mix(analyst: LinearAnalyst) -> None:
    texts = ["hopeless tired empty", "garden recipe"]
    examples = [ask(t, "MultiWD", q) for t in texts for q in ("social", "emotional")]
    together = list(analyst.predict(examples))
    assert together == [next(analyst.predict([example])) for example in examples]
    assert together == list(reversed(list(analyst.predict(reversed(examples)))))


def test_the_same_text_in_two_sets_is_read_twice(analyst: LinearAnalyst) -> None:
    text = "hopeless garden"
    examples = [ask(text), ask(text, "CAMS", "cause"), ask(text)]
    predictions = list(analyst.predict(examples))
    assert predictions == [next(analyst.predict([example])) for example in examples]
    assert predictions[0] == predictions[2]


def test_loading_again_changes_nothing(folder: Path, analyst: LinearAnalyst) -> None:
    examples = [example_of(post, q, "instruction") for post in POSTS[:40] for q in post.labels]
    again = open_analyst(f"linear:{folder}")
    assert list(again.predict(examples)) == list(analyst.predict(examples))


def test_a_model_file_holds_no_words(folder: Path) -> None:
    held = b"".join(path.read_bytes() for path in folder.iterdir())
    assert {path.name for path in folder.iterdir()} == {
        *("CAMS.npz", "DR.npz", "MultiWD.npz", "model.json", "hashes.json"),
    }
    assert not [word for word in (b"hopeless", b"garden", b"sleepless") if word in held]


def test_other_questions_are_refused(analyst: LinearAnalyst) -> None:
    with pytest.raises(UsageError, match=r"not trained on SAD \(cause\); it answers .*DR \(depression\)"):
        one(analyst, "text", "SAD", "cause")
    with pytest.raises(UsageError, match=r"MultiWD \(physical\)"):
        one(analyst, "text", "MultiWD", "physical")


def test_a_task_without_file_or_with_other_labels_is_refused(folder: Path) -> None:
    tasks = load_tasks()
    with pytest.raises(UsageError, match="no task file describes DR"):
        one(LinearAnalyst.load(folder, {"SAD": tasks["SAD"]}), "text")
    with pytest.raises(UsageError, match="labels that task DR does not have"):
        one(LinearAnalyst.load(folder, {"DR": tasks["SAD"]}), "text")


def test_no_model_is_one_clear_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no linear model here"):
        LinearAnalyst.load(tmp_path / "nowhere")


def test_a_runs_folder_instead_of_its_model_is_recognised(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "train").symlink_to(folder)
    with pytest.raises(UsageError, match=f"did you mean linear:{tmp_path / 'train'}"):
        LinearAnalyst.load(tmp_path)


def damaged(folder: Path, tmp_path: Path) -> Path:
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def test_damage_is_named(folder: Path, tmp_path: Path) -> None:
    copy = damaged(folder, tmp_path)
    weights = copy / "DR.npz"
    weights.write_bytes(weights.read_bytes()[:-7])
    with pytest.raises(DataError, match=r"DR\.npz: damaged"):
        LinearAnalyst.load(copy)
    weights.unlink()
    with pytest.raises(DataError, match=r"DR\.npz: this part of the model is missing"):
        LinearAnalyst.load(copy)


def test_labels_that_changed_places_are_damage(folder: Path, tmp_path: Path) -> None:
    path = damaged(folder, tmp_path) / LINEAR_MODEL_FILE
    swapped = json.loads(path.read_text())
    swapped["sets"]["DR"]["questions"]["depression"]["labels"].reverse()
    path.write_text(json.dumps(swapped))
    with pytest.raises(DataError, match=r"model\.json: damaged or changed"):
        LinearAnalyst.load(tmp_path)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('{"kind": "something else"}', r"model\.json: not a LinearModelMetadata record: see .*kind"),
        ("{", "see the whole file"),
    ],
)
def test_metadata_of_something_else(folder: Path, tmp_path: Path, text: str, fault: str) -> None:
    (damaged(folder, tmp_path) / LINEAR_MODEL_FILE).write_text(text)
    write_hashes(tmp_path)
    with pytest.raises(DataError, match=fault):
        LinearAnalyst.load(tmp_path)


def rewritten(path: Path, **arrays: Any) -> None:
    """Change arrays of a weights file, with new digests as if it had been saved so."""
    with np.load(path) as held:
        kept = dict(held)
    np.savez(path, **(kept | arrays))
    write_hashes(path.parent)


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["weights0", "intercepts0", "idf"])
def test_weights_that_are_no_numbers_are_refused(
    folder: Path, tmp_path: Path, name: str, number: float
) -> None:
    path = damaged(folder, tmp_path) / "DR.npz"
    with np.load(path) as held:
        array = held[name].copy()
    array.flat[-1] = number
    rewritten(path, **{name: array})
    with pytest.raises(DataError, match=r"DR\.npz: it holds NaN or infinite weights"):
        LinearAnalyst.load(tmp_path)


def test_weights_of_another_shape_are_refused(folder: Path, tmp_path: Path) -> None:
    path = damaged(folder, tmp_path) / "DR.npz"
    rewritten(path, intercepts0=np.zeros(7, np.float32))
    with pytest.raises(DataError, match=r"DR\.npz: its weights do not fit"):
        LinearAnalyst.load(tmp_path)


@given(st.binary(max_size=60))
def test_a_weights_file_with_any_content_is_one_sentence(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    copy = damaged(folder, tmp_path_factory.mktemp("copy"))
    whole = (copy / "DR.npz").read_bytes()
    for changed in (content, whole[:40] + content + whole[40 + len(content) :]):
        (copy / "DR.npz").write_bytes(changed)
        write_hashes(copy)
        if changed != whole:
            with contextlib.suppress(DataError):  # zip ignores some bytes
                LinearAnalyst.load(copy)


def test_using_a_model_loads_no_scikit_learn() -> None:
    heavy = "[name for name in ('sklearn', 'scipy') if name in sys.modules]"
    code = f"import sys, mentallama.analysts.linear.analyst, mentallama.train.run; print({heavy})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_words_of_a_post_are_weighed_against_the_prior(
    parts: list[tuple[Featurizer, LinearHead]],
) -> None:
    """With a prior of 4 to 1 for the label, a post of even odds speaks against it by ln 4, split over its words."""
    featurizer, head = next(part for part in parts if part[1].metadata.labels == ("yes", "no"))
    vector = featurizer.transform("hopeless garden")
    metadata = head.metadata.model_copy(update={"label_prior": (0.8, 0.2)})
    even = LinearHead(metadata, np.zeros_like(head.weights), np.zeros_like(head.intercepts))
    decision = decide(vector, even, 0)
    assert (decision.margin, decision.prior_margin) == (0, pytest.approx(np.log(4)))
    assert decision.contributions.sum() == pytest.approx(-np.log(4))
    shares = vector.attribute_to_words(np.ones(len(vector.columns)))
    assert decision.contributions == pytest.approx(-np.log(4) * shares / shares.sum())


@pytest.mark.parametrize("rare", ["yes", "no"])
def test_evidence_speaks_for_the_label_or_the_explanation_says_what_the_answer_rests_on(
    rare: str, tmp_path: Path
) -> None:
    frequent = [post for post in depression_posts() if post.labels["depression"] != rare]
    posts = [*frequent, *[post for post in depression_posts(7) if post.labels["depression"] == rare][::4]]
    train_linear(posts, tmp_path, LinearSettings(class_weights=("none",)))
    template = load_tasks()["DR"].explanation_template
    mixed = [f"{one_} {other.lower()}" for one_, other in zip(GLOOM, CHEER, strict=True)]
    examples = [ask(text) for text in [*mixed, *(post.text for post in depression_posts(3))]]
    supported = []
    for prediction in LinearAnalyst.load(tmp_path).predict(examples):
        supported.append(sum(span.weight or 0 for span in prediction.evidence) > 0)
        said = (template.unsupported or "", template.inconclusive)
        assert supported[-1] or prediction.reading.explanation.endswith(said)
    assert 0 < sum(supported) < len(supported)
