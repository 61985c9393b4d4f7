"""Answers of several parts, given as lists, dictionaries and texts, scored in memory."""

from __future__ import annotations

from typing import Any

import pytest

from mentallama.analysts.answer import Answer
from mentallama.errors import UsageError
from mentallama.evaluate.answers import evaluate
from tests.factories.answer_kinds import task_of_kind


def test_several_labels_as_lists_and_texts() -> None:
    task = task_of_kind("multi")
    given = [["sleep"], "The post shows: low mood; appetite. Reasoning: because of the words.", "none", None]
    scores = evaluate(
        given, [["sleep"], ["appetite", "low mood"], [], "sleep"], task.set, tasks={task.set: task}
    )
    one = scores[task.set]
    assert (one.n, one.accuracy, one.unparsed) == (4, 75.0, 1)
    assert one.metrics["hamming_loss"] == 25.0


def test_a_scale_as_dictionaries() -> None:
    task = task_of_kind("scale")
    gold = {"sleep": "not at all", "energy": "several days"}
    scores = evaluate([gold, gold], [gold, {"sleep": "several days"}], task.set, tasks={task.set: task})
    assert scores[task.set].parts["sleep"].metrics["mean_absolute_error"] == 0.5


def test_quotations_need_their_posts() -> None:
    task = task_of_kind("spans")
    quoted, posts = [[("sleep", "at four")]], ["Awake at four again."]
    with pytest.raises(UsageError, match="quote their posts"):
        evaluate(quoted, quoted, task.set, tasks={task.set: task})
    with pytest.raises(UsageError, match="1 answers and 2 posts"):
        evaluate(quoted, quoted, task.set, posts=posts * 2, tasks={task.set: task})
    scores = evaluate(quoted, quoted, task.set, posts=posts, tasks={task.set: task})
    assert scores[task.set].metrics["exact_span_f1"] == 100.0
    answer = Answer(
        post=posts[0], task=task.set, question="about", label='sleep: "four"', status="parsed", model="m"
    )
    assert evaluate([answer], quoted, tasks={task.set: task})[task.set].metrics["partial_span_f1"] == 50.0


def test_a_quotation_that_is_not_in_its_post_is_no_gold_answer() -> None:
    task = task_of_kind("spans")
    with pytest.raises(UsageError, match="answer 0: a quotation of the gold answer, for sleep") as caught:
        evaluate(["none"], [[("sleep", "secret")]], task.set, posts=["Awake."], tasks={task.set: task})
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "gold", "sentence"),
    [
        ("ordinal", "awful", "label 0 is not a label of synthetic-ordinal; there are minimal, mild"),
        ("multi", ["pain"], "label 0 is not a label of synthetic-multi; a list of its labels"),
        ("scale", {"sleep": "often"}, "a dictionary from items to levels"),
        ("spans", [("pain", "four")], "a list of pairs of type and quotation"),
    ],
)
def test_a_label_of_no_such_kind_gives_a_sentence(kind: str, gold: Any, sentence: str) -> None:
    task = task_of_kind(kind)
    with pytest.raises(UsageError, match=sentence):
        evaluate(["none"], [gold], task.set, posts=["Awake at four."], tasks={task.set: task})


def test_labels_without_anything_to_find_have_no_score() -> None:
    task = task_of_kind("multi")
    with pytest.raises(UsageError, match="nothing to score of synthetic-multi"):
        evaluate([["sleep"]], [[]], task.set, tasks={task.set: task})
