"""Answers scored against labels in memory, by the same metrics as files."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pandas
import pytest

import mentallama
from mentallama.analysts.answer import Answer, Answers
from mentallama.answers.format import write_answer
from mentallama.answers.parse import read_answer
from mentallama.errors import UsageError
from mentallama.evaluate.answers import evaluate, evaluate_folder
from mentallama.evaluate.run import evaluate_responses
from mentallama.tasks import find_task, load_tasks, write_query
from tests.factories.model_outputs import write_csv

DR = find_task("DR")
REFUSAL = "I'm sorry, but I can't provide a diagnosis."


def answer(label: str | None, task: str = "DR", question: str = "depression", **fields: Any) -> Answer:
    status = "parsed" if label else "refused"
    given = {"post": "a post", "task": task, "question": question, "label": label, "status": status}
    return Answer.model_validate({**given, "model": "m:1", **fields})


def test_labels_and_texts_are_scored_alike() -> None:
    """By hand: yes has precision 1/1 and recall 1/2, so F1 2/3; no is never predicted rightly, so 0."""
    gold = ["yes", "yes", "no"]
    labels = evaluate(["yes", "no", REFUSAL], gold, "DR")["DR"]
    texts = evaluate(
        [write_answer("DR", None, "yes", "w"), write_answer("DR", None, "no", "w"), REFUSAL], gold, "dr"
    )
    readings = evaluate([read_answer("DR", text) for text in ("yes", "no", REFUSAL)], gold, "DR")
    assert labels == texts["DR"] == readings["DR"]
    assert (labels.weighted_f1, labels.accuracy, labels.macro_f1) == (44.4444, 33.3333, 33.3333)
    assert (labels.n, labels.parsed, labels.unparsed, labels.refused, labels.truncated) == (3, 2, 0, 1, 0)
    assert labels.confusion["no"] == {"yes": 0, "no": 0, "unparsed": 0, "refused": 1, "truncated": 0}


def test_answers_say_their_task_and_bring_probabilities() -> None:
    given = [
        answer("yes", probability=0.75, probabilities={"yes": 0.75, "no": 0.25}),
        answer("no", probability=0.75, probabilities={"yes": 0.25, "no": 0.75}),
    ]
    scores = evaluate(Answers(given), ["yes", "yes"])["DR"]
    assert scores.accuracy == 50.0
    assert scores.calibration is not None
    assert scores.calibration.brier == pytest.approx((2 * 0.25**2 + 2 * 0.75**2) / 2)


def test_every_label_of_every_task_scores_100_against_itself() -> None:
    for name, task in load_tasks().items():
        asked = f"{name}:{next(iter(task.questions))}"
        assert evaluate(list(task.labels), list(task.labels), asked)[name].weighted_f1 == 100.0


def test_a_missing_text_is_unparsed_and_a_missing_label_is_not_scored() -> None:
    labels = pandas.Series(["yes", "no", None, float("nan")], index=[5, 3, 2, 1])
    scores = evaluate(["yes", None, "yes", "no"], labels, "DR")
    assert (scores["DR"].n, scores["DR"].unparsed) == (2, 1)
    assert scores.unlabelled == {"DR": 2}


def test_several_questions_are_scored_by_task() -> None:
    asked = [answer("yes", "MultiWD", question) for question in ("social", "physical")] * 2
    answers = Answers(asked, [0, 0, 1, 1])
    by_name = evaluate(answers, {"MultiWD:social": ["yes", "yes"], "multiwd:physical": ["yes", "no"]})
    in_order = evaluate(answers, ["yes", "yes", "yes", "no"])
    assert by_name == in_order
    scores = by_name["MultiWD"]
    assert (scores.n, scores.posts, scores.accuracy) == (4, 2, 75.0)
    assert {name: part.accuracy for name, part in scores.by_question.items()} == {
        "social": 100.0,
        "physical": 50.0,
    }


@pytest.mark.parametrize(
    ("answers", "labels", "task", "message"),
    [
        (["yes"], ["yes", "no"], "DR", "there are 1 answers and 2 labels"),
        (["yes"], ["a whole post"], "DR", "label 0 is not a label of DR; there are yes, no$"),
        (["yes"], [1], "DR", "label 0 is not a label of DR"),
        (["yes"], ["yes"], None, "answer 0 does not say what was asked; name it, such as task='dreaddit'"),
        (["yes"], ["yes"], "MultiWD", "asks several questions; name one, such as task='MultiWD:"),
        (["yes"], ["yes"], "DRR", "there is no task named 'DRR'"),
        ([answer("yes")], ["yes"], "SAD", r"answer 0 is about DR \(depression\), not about SAD"),
        ([answer(None, status="failed")], ["yes"], None, "answer 0 is failed, .* ask again"),
        ([answer(None, status="skipped")], ["yes"], None, "answer 0 is skipped, .* leave it out"),
        ([answer("yes")], {"DR": []}, None, r"DR \(depression\): there are 1 answers and 0 labels"),
        ([answer("yes")], {}, None, r"there are no labels for DR \(depression\)"),
        ([answer("yes")], {"DR": ["yes"], "SAD": ["work"]}, None, r"SAD \(cause\): there are 0 answers"),
        (["yes"], [None], "DR", "there is nothing to score: no answer has a label"),
        ([], [], "DR", "there is nothing to score"),
        ([7], ["yes"], "DR", "post 0 is of type int"),
    ],
)
def test_what_cannot_be_scored_is_one_sentence_without_texts(
    answers: Any, labels: Any, task: str | None, message: str
) -> None:
    with pytest.raises(UsageError, match=message) as refused:
        evaluate(answers, labels, task)
    assert "whole post" not in str(refused.value)


@pytest.mark.parametrize("answers", ["yes", pandas.DataFrame({"a": ["yes"], "b": ["no"], "c": ["no"]})])
def test_a_text_or_a_table_is_no_list_of_answers(answers: Any) -> None:
    with pytest.raises(UsageError, match=f"answers are a list .*, not a {type(answers).__name__}"):
        evaluate(answers, ["yes", "no", "no"], "DR")


@pytest.mark.parametrize("wrong", [{"resamples": 0}, {"seed": -1}])
def test_impossible_resampling_is_wrong_use(wrong: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="there are resamples from 1, and seeds from 0"):
        evaluate(["yes"], ["yes"], "DR", **wrong)  # type: ignore[arg-type]


def test_scores_as_a_table() -> None:
    scores = evaluate(["yes", "no", REFUSAL], ["yes", "yes", "no"], "DR")
    (row,) = scores.to_dicts()
    assert (row["set"], row["n"], row["weighted_f1"], row["refused"]) == ("DR", 3, 44.4444, 1)
    assert (row["weighted_f1_low"], row["weighted_f1_high"]) == scores["DR"].weighted_f1_interval
    frame = scores.to_frame()
    assert list(frame.columns) == list(row)
    assert scores.to_frame("polars").rows(named=True) == [row]
    assert repr(scores) == "ScoreFile(weighted_f1={'DR': 44.4444})"
    assert "confusion" not in repr(scores["DR"])
    html = scores._repr_html_()
    assert re.findall("<t[hd]>(.*?)</t[hd]>", html) == [
        "set", "rows", "weighted F1", "95 %", "majority", "accuracy", "macro F1", "unparsed", "refused", "truncated",
        "DR", "3", "44.44", "0.0–100.0", "", "33.33", "33.33", "0", "1", "0",
    ]  # fmt: skip
    hidden = scores.model_copy(update={"missing_reasons": {"<b>": "<script>"}})._repr_html_()
    assert "&lt;b&gt; has no score: &lt;script&gt;" in hidden
    with pytest.raises(KeyError, match="SAD: there are scores of DR"):
        scores["SAD"]


def test_a_folder_is_scored_as_the_command_does(tmp_path: Path) -> None:
    texts = [write_answer("DR", None, label, "made up") for label in ("yes", "no")]
    write_csv(
        tmp_path / "release/test_data/test_instruction/DR.csv",
        {
            "query": [write_query(DR, "depression", "instruction", f"made-up {name}") for name in "ab"],
            "gpt-3.5-turbo": texts,
        },
    )
    write_csv(tmp_path / "outputs/DR.csv", {"goldens": texts, "generated_text": [texts[0], REFUSAL]})
    scores = evaluate_folder(str(tmp_path / "outputs"), str(tmp_path / "release"), str(tmp_path / "scores"))
    assert (scores["DR"].accuracy, scores["DR"].refused) == (50.0, 1)
    assert (tmp_path / "scores/scores.json").is_file()
    again = evaluate_responses(tmp_path / "release", "instruction", tmp_path / "outputs", tmp_path / "again")
    assert again == scores
    assert evaluate_folder("reference", tmp_path / "release", tmp_path / "r")["DR"].accuracy == 100.0
    with pytest.raises(UsageError, match="nowhere: there is no such folder"):
        evaluate_folder("nowhere", tmp_path / "release", tmp_path / "n")
    with pytest.raises(KeyError, match="CLP: the benchmark has no test file for it"):
        scores["CLP"]


def test_the_package_is_its_function_whatever_was_imported_before() -> None:
    assert mentallama.evaluate(["yes"], ["yes"], "DR")["DR"].accuracy == 100.0
    assert inspect.signature(mentallama.evaluate) == inspect.signature(evaluate)
    assert inspect.getdoc(mentallama.evaluate) == inspect.getdoc(evaluate)
    assert inspect.ismodule(mentallama.evaluate)
