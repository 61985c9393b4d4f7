"""The embedded teacher: every quotation is in the post, and nothing is claimed without one."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapidfuzz import fuzz, process

from mentallama.analysts.linear.analyst import LabelAttribution, LinearAnalyst
from mentallama.analysts.linear.features import split_words
from mentallama.analysts.linear.rationale import MAX_PASSAGE_WORDS, choose_passage
from mentallama.answers.parse import read_answer
from mentallama.config import LinearSettings, read_recipe
from mentallama.files.record_files import read_records
from mentallama.pipeline.runner import run_recipe
from mentallama.records import Post, Response, example_of
from mentallama.tasks import find_task
from mentallama.teach.requests import TeachJob, labelled_questions
from mentallama.teach.template_teacher import TemplateTeacher, explain, explain_parts
from mentallama.text.quote_extraction import extract_quotes
from mentallama.train.linear.trainer import train_linear
from tests.factories.answer_kinds import task_of_kind
from tests.factories.linear_cases import cause_posts, depression_posts, wellness_posts
from tests.factories.project import ROOT

QUICK = LinearSettings(C=(1.0,), evidence_weights=(0.0,), topics=(0,), intercept_shifts=(False,))


@pytest.fixture(scope="module")
def analyst(tmp_path_factory: pytest.TempPathFactory) -> LinearAnalyst:
    folder = tmp_path_factory.mktemp("analyst")
    train_linear([*depression_posts(), *cause_posts(), *wellness_posts()], folder, QUICK)
    return LinearAnalyst.load(folder)


def leaning(
    text: str, label: str, weights: dict[str, float] | None, rarity: dict[str, float] | None = None
) -> LabelAttribution:
    """Words with weights by their form; the others weigh nothing."""
    words = split_words(text)
    given = [
        np.array([each.get(form, 0.0) for form in words.forms]) for each in (weights or {}, rarity or {})
    ]
    return LabelAttribution(label, words, None if weights is None else given[0], given[1])


def test_a_strong_passage_is_quoted_with_supporting_and_opposing_evidence() -> None:
    text = "The dog is fine. I have not slept in days. Everything feels heavy, and I laughed once."
    found = leaning(text, "yes", {"slept": 1.0, "heavy": 0.5, "laughed": -0.5})
    quotes, explanation = explain(find_task("DR"), "depression", text, found)
    assert quotes == ["I have not slept in days", "Everything feels heavy"]
    assert explanation == (
        "The post says “I have not slept in days”, “Everything feels heavy”, wording that goes with signs of "
        "depression in such posts. "
        "What speaks against this reading: “I laughed once”."
    )


def test_a_weak_passage_is_called_weak_and_a_distinctive_one_is_quoted() -> None:
    text = "I went out today. The lighthouse was closed."
    found = leaning(text, "yes", {"today": 0.1, "closed": -0.3}, {"lighthouse": 0.5})
    quotes, explanation = explain(find_task("DR"), "depression", text, found)
    assert quotes == ["I went out today", "The lighthouse was closed"]
    assert explanation == (
        "The post says “I went out today”, “The lighthouse was closed”, "
        "which is hardly wording that goes with signs of depression in such posts."
    )


def test_the_question_is_named_where_a_task_asks_several() -> None:
    text = "My faith holds me."
    _, explanation = explain(find_task("MultiWD"), "spiritual", text, leaning(text, "yes", {"faith": 2.0}))
    assert explanation.startswith("On the spiritual dimension, the post says “My faith holds me”, wording")


def test_an_unseen_label_is_explained_by_distinctive_words() -> None:
    text = "The pills came late. It rained."
    found = leaning(text, "medication", None, {"pills": 1.0})
    quotes, explanation = explain(find_task("CAMS"), "cause", text, found)
    assert quotes == ["The pills came late", "It rained"]
    assert "which is hardly wording that goes with medication as the cause" in explanation


def test_a_task_without_sentences_for_teachers_uses_the_analyst_s() -> None:
    task = find_task("DR")
    plain = task.model_copy(
        update={
            "explanation_template": task.explanation_template.model_copy(
                update={"given_label_supported": None, "given_label_unsupported": None}
            )
        }
    )
    text = "All is heavy."
    strong = explain(plain, "depression", text, leaning(text, "yes", {"heavy": 2.0}))[1]
    weak = explain(plain, "depression", text, leaning(text, "yes", {"heavy": 0.1}))[1]
    assert strong == "The post says “All is heavy”, wording that goes with signs of depression in such posts."
    assert (
        weak == f"What speaks against this reading: “All is heavy”. {task.explanation_template.inconclusive}"
    )


@pytest.mark.parametrize("text", ["", "...", "[link] [mail]"])
def test_a_post_without_words_has_nothing_to_quote(text: str) -> None:
    task = find_task("DR")
    assert explain(task, "depression", text, leaning(text, "yes", {})) == (
        [],
        task.explanation_template.inconclusive,
    )


def test_each_part_of_an_answer_is_explained_by_the_passage_that_weighs_most_for_it() -> None:
    text = "I lie awake. Everything is grey."
    weights = {"sleep": {"awake": 1.0}, "low mood": {"grey": 0.1}, "energy: several days": {"grey": 2.0}}

    def attribute(value: str) -> LabelAttribution:
        return leaning(text, value, weights.get(value, {}), {"grey": 1.0})

    multi, scale = task_of_kind("multi"), task_of_kind("scale")
    # what weighs too little is not quoted
    assert explain_parts(multi, "sleep; low mood", text, attribute) == (
        ["I lie awake"], "The post says “I lie awake”, wording of sleep.",
    )  # fmt: skip
    assert explain_parts(scale, "energy: several days", text, attribute) == (
        ["Everything is grey"], "energy: The post says “Everything is grey”, wording of several days.",
    )  # fmt: skip
    # nothing supports a label: the most distinctive passage is quoted as such
    assert explain_parts(multi, "none", text, attribute) == (
        ["Everything is grey"], "Against it: “Everything is grey”. The wording says little.",
    )  # fmt: skip


def test_quotations_explain_themselves() -> None:
    quotes, explanation = explain_parts(
        task_of_kind("spans"), 'sleep: "awake"; sleep: "no rest"; low mood: "grey"', "", unasked
    )
    assert quotes == ["awake", "no rest", "grey"]
    assert explanation == (
        "The post says “awake”, “no rest”, wording of sleep. The post says “grey”, wording of low mood."
    )


def unasked(value: str) -> LabelAttribution:
    raise AssertionError(value)


@given(st.text(alphabet="ab .,!“”\n[link]我", max_size=200), st.integers(0, 9))
def test_a_passage_lies_in_one_clause_and_is_short(text: str, seed: int) -> None:
    words = split_words(text)
    weights = np.random.default_rng(seed).normal(size=len(words.forms))
    passage = choose_passage(words, weights)
    if passage is None:
        assert words.is_placeholder.all()
        return
    at, length = passage
    assert 0 < length <= MAX_PASSAGE_WORDS
    assert len(set(words.clauses[at : at + length].tolist())) == 1
    assert not words.is_placeholder[at : at + length].any()
    other = choose_passage(words, weights, passage)
    assert other is None or other[0] + other[1] <= at or other[0] >= at + length


def test_the_strongest_part_of_a_long_clause_is_quoted() -> None:
    text = " ".join(f"w{n}" for n in range(40))
    weights = np.zeros(40)
    weights[[20, 33]] = 1.0  # 14 words apart at most: both fit
    assert choose_passage(split_words(text), weights) == (20, MAX_PASSAGE_WORDS)


def test_the_set_s_label_is_explained_whether_or_not_the_analyst_agrees(analyst: LinearAnalyst) -> None:
    teacher = TemplateTeacher(analyst, "embedded:x", "label-given", False)
    for post in depression_posts()[:6]:
        for label in ("yes", "no"):
            example = example_of(
                post.model_copy(update={"labels": {"depression": label}}), "depression", "instruction"
            )
            assert read_answer("DR", teacher.respond(example, find_task("DR"))).label == label


def test_zero_shot_gives_the_predicted_label(analyst: LinearAnalyst) -> None:
    teacher = TemplateTeacher(analyst, "embedded:x", "zero-shot", False)
    for post in cause_posts()[:9]:
        wrong = post.model_copy(update={"labels": {"cause": "alienation"}})
        example = example_of(wrong, "cause", "completion")
        own = next(iter(analyst.predict([example]))).reading.label
        assert read_answer("CAMS", teacher.respond(example, find_task("CAMS")), "completion").label == own


def test_a_structured_answer_is_an_object_with_its_quotations(analyst: LinearAnalyst) -> None:
    teacher = TemplateTeacher(analyst, "embedded:x", "label-given", True)
    post = depression_posts()[0]
    text = teacher.respond(example_of(post, "depression", "instruction"), find_task("DR"))
    answer = json.loads(text)
    assert list(answer) == ["label", "explanation", "evidence"]
    assert answer["label"] == post.labels["depression"]
    assert all(quote in post.text and quote in answer["explanation"] for quote in answer["evidence"])
    assert read_answer("DR", text).label == post.labels["depression"]


def test_it_supports_the_questions_that_the_analyst_was_trained_on(analyst: LinearAnalyst) -> None:
    teacher = TemplateTeacher(analyst, "embedded:x", "label-given", False)
    post = wellness_posts()[0]
    assert teacher.supports(example_of(post, "social", "instruction"))
    assert not teacher.supports(example_of(post, "spiritual", "instruction"))


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Post], list[Response], TeachJob]:
    """What the embedded teacher says of the whole sample, by the recipe."""
    recipe = read_recipe(ROOT / "recipes/sample-build.yaml", (f"data={ROOT / 'sample'}",))
    folder = tmp_path_factory.mktemp("sample") / "run"
    run_recipe(recipe, folder, lambda _: None, "teach")
    assert recipe.teach is not None
    responses = list(read_records(folder / "teach/responses.jsonl.zst", Response))
    job = TeachJob(folder / "collect/posts.jsonl.zst", recipe.catalogue(), recipe.teach)
    return list(read_records(job.posts, Post)), responses, job


def test_the_sample_is_explained_word_for_word(sample: tuple[list[Post], list[Response], TeachJob]) -> None:
    _, responses, job = sample
    questions = list(labelled_questions(job))
    assert len(questions) == len(responses) > 700
    quoted = 0
    for each, response in zip(questions, responses, strict=True):
        reading = read_answer(each.task, response.text)
        assert reading.label == each.example.label
        quotes = extract_quotes(response.text, reading.explanation)
        assert all(quote in each.post.text for quote in quotes)
        quoted += bool(quotes)
    assert quoted == len(responses)


def test_explanations_of_different_posts_rarely_repeat(
    sample: tuple[list[Post], list[Response], TeachJob],
) -> None:
    """At the likeness (90) from which the check stage takes two explanations for one text."""
    _, responses, job = sample
    posts = np.array([each.post.id for each in labelled_questions(job)])
    explanations = [
        read_answer(each.task, r.text).explanation
        for each, r in zip(labelled_questions(job), responses, strict=True)
    ]
    alike = process.cdist(explanations, explanations, scorer=fuzz.ratio, score_cutoff=90, dtype=np.uint8) > 0
    share = (alike & (posts[:, None] != posts[None, :])).any(axis=1).mean()
    assert 0 < share < 0.05  # the sample holds planted copies, so some are alike
