"""Linear analysts of each kind of answer: trained, saved, opened and asked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mentallama.analysts.linear.analyst import LinearAnalyst
from mentallama.analysts.linear.serialization import load_linear_model
from mentallama.errors import UsageError
from mentallama.records import Post, Prediction, example_of
from mentallama.tasks import Task
from mentallama.train.linear.trainer import LinearSummary, train_linear
from tests.factories.answer_kinds import task_of_kind
from tests.factories.kind_posts import posts_of_kind
from tests.factories.linear_cases import QUICK, make_post

KINDS = ("ordinal", "multi", "spans", "scale")


class Trained:
    """An analyst of one task that was saved and opened again."""

    def __init__(self, task: Task, folder: Path, posts: list[Post]) -> None:
        self.task, self.folder = task, folder
        self.summary: LinearSummary = train_linear(posts, folder, QUICK, tasks={task.set: task})
        self.analyst = LinearAnalyst.load(folder, {task.set: task})

    def ask(self, text: str) -> Prediction:
        example = example_of(make_post(self.task.set, "test", text, {}), "about", "instruction")
        (prediction,) = self.analyst.predict([example])
        return prediction


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Trained]:
    tasks = {kind: task_of_kind(kind) for kind in KINDS}
    return {
        kind: Trained(task, tmp_path_factory.mktemp(kind), posts_of_kind(task))
        for kind, task in tasks.items()
    }


@pytest.mark.parametrize("kind", KINDS)
def test_it_learns_what_the_words_decide(trained: dict[str, Trained], kind: str) -> None:
    model = trained[kind]
    assert model.analyst.supported_questions == ((model.task.set, "about"),)
    tests = [post for post in posts_of_kind(model.task) if post.split == "test"]
    answers = [model.ask(post.text) for post in tests]
    if kind == "spans":
        types = [{part.split(":")[0] for part in a.reading.label.split("; ")} for a in answers]  # type: ignore[union-attr]
        golds = [{part.split(":")[0] for part in post.labels["about"].split("; ")} for post in tests]
        right = sum(found == gold for found, gold in zip(types, golds, strict=True))
    else:
        right = sum(a.reading.label == post.labels["about"] for a, post in zip(answers, tests, strict=True))
    # Of 20. A scale is right if both items are, and nobody can know which items are not filled.
    assert right >= {"scale": 8}.get(kind, 17)


def test_every_present_label_has_its_sentence_and_its_quotation(trained: dict[str, Trained]) -> None:
    answer = trained["multi"].ask("then i skipped dinner and so hopeless it was")
    assert answer.reading.label == "appetite; low mood"
    assert "skipped dinner" in answer.reading.explanation
    assert answer.reading.explanation.count("wording of") == 2
    assert (
        answer.probabilities["sleep"]
        < 0.5
        < min(answer.probabilities["appetite"], answer.probabilities["low mood"])
    )
    assert all(span.weight is not None and span.weight > 0 for span in answer.evidence)
    none = trained["multi"].ask("then we went to the and it was")
    assert (none.reading.label, none.reading.explanation) == ("none", "The wording says little.")


def test_quotations_are_passages_of_the_post(trained: dict[str, Trained]) -> None:
    answer = trained["spans"].ask("today we went and cannot sleep then it was")
    assert answer.reading.label is not None
    assert answer.reading.label.startswith('sleep: "')
    assert "cannot sleep" in answer.reading.label


def test_phrases_below_the_weight_of_their_head_are_not_quoted(trained: dict[str, Trained]) -> None:
    task, text = trained["spans"].task, "today we went and cannot sleep then it was"
    ngrams, sets, name = load_linear_model(trained["spans"].folder)
    model = sets[task.set]
    heads = {
        head: replace(found, metadata=found.metadata.model_copy(update={"min_quote_weight": 99.0}))
        for head, found in model.heads.items()
    }
    strict = LinearAnalyst(ngrams, {task.set: replace(model, heads=heads)}, name, {task.set: task})
    (answer,) = strict.predict([example_of(make_post(task.set, "test", text, {}), "about", "instruction")])
    assert (answer.reading.label, answer.evidence) == ("none", ())
    assert answer.probabilities == trained["spans"].ask(text).probabilities


def test_an_item_above_its_lowest_level_has_a_sentence_with_its_name(trained: dict[str, Trained]) -> None:
    answer = trained["scale"].ask("awake all night and awake all night then we went")
    assert "sleep: nearly every day" in str(answer.reading.label)
    assert "sleep: The post says" in answer.reading.explanation
    assert "wording of nearly every day" in answer.reading.explanation
    of_item = [p for name, p in answer.probabilities.items() if name.startswith("energy: ")]
    assert sum(of_item) == pytest.approx(1)


def test_levels_in_between_are_reached_and_cumulative_probabilities_are_ordered(
    trained: dict[str, Trained],
) -> None:
    texts = ["fine today", "slightly worried today", "quite worried today", "utterly desperate today"]
    answers = [trained["ordinal"].ask(text) for text in texts]
    at_least = [np.cumsum(list(answer.probabilities.values())[::-1]) for answer in answers]
    assert all(total[-1] == pytest.approx(1) for total in at_least)
    assert all((np.diff(total) >= 0).all() for total in at_least)
    assert (answers[0].reading.label, answers[-1].reading.label) == ("minimal", "severe")


@pytest.mark.parametrize("level", ["minimal", "mild", "moderate", "severe"])
def test_contributions_add_up_to_the_log_odds_of_a_level(trained: dict[str, Trained], level: str) -> None:
    model = trained["ordinal"]
    text = "utterly desperate then quite worried today"
    example = example_of(make_post(model.task.set, "test", text, {}), "about", "instruction")
    found = model.analyst.explain(example, level)
    probability = model.ask(text).probabilities[level]
    assert found.contributions is not None
    assert found.completeness_gap == pytest.approx(0, abs=1e-6)
    _, sets, _ = load_linear_model(model.folder)
    head = sets[model.task.set].heads["about"]
    scale = head.level_scale
    index = head.metadata.labels.index(level)
    usual = scale.log_odds(scale.usual_score, index)
    log_odds = np.log(probability / (1 - probability))
    assert found.contributions.sum() == pytest.approx(log_odds - usual, abs=1e-5)


def test_items_without_a_level_are_not_trained_on(trained: dict[str, Trained]) -> None:
    summary = trained["scale"].summary.sets["synthetic-scale"].questions
    posts = [post for post in posts_of_kind(trained["scale"].task) if post.split == "train"]
    for item in ("sleep", "energy"):
        filled = sum(f"{item}: " in post.labels["about"] for post in posts)
        assert summary[f"about: {item}"].train == filled < 60


def test_a_label_that_no_post_has_is_absent_and_its_reason_is_given(tmp_path: Path) -> None:
    task = task_of_kind("multi")
    posts = [post for post in posts_of_kind(task) if "appetite" not in post.labels["about"]]
    model = Trained(task, tmp_path, posts)
    assert list(model.summary.skipped) == ["synthetic-multi, about: appetite"]
    assert model.ask("skipped dinner").probabilities["appetite"] == 0.0


def test_a_model_of_another_kind_is_refused(trained: dict[str, Trained]) -> None:
    changed = task_of_kind("ordinal", set="synthetic-multi")
    analyst = LinearAnalyst.load(trained["multi"].folder, {changed.set: changed})
    example = example_of(make_post(changed.set, "test", "fine", {}), "about", "instruction")
    with pytest.raises(UsageError, match="answers to synthetic-multi had other parts"):
        list(analyst.predict([example]))


def test_levels_in_another_order_are_refused(trained: dict[str, Trained]) -> None:
    labels = trained["ordinal"].task.model_dump()["labels"]
    turned = task_of_kind("ordinal", labels=dict(reversed(labels.items())))
    analyst = LinearAnalyst.load(trained["ordinal"].folder, {turned.set: turned})
    example = example_of(make_post(turned.set, "test", "fine", {}), "about", "instruction")
    with pytest.raises(UsageError, match="levels of synthetic-ordinal had another order"):
        list(analyst.predict([example]))
