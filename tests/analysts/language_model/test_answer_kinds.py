"""Language models and answers of several parts: they are generated and parsed; levels are scored as labels are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from mentallama.analysts.base import Analyst, InferenceOptions
from mentallama.analysts.checkpoints.loading import LoadedModel
from mentallama.analysts.language_model.causal import CausalAnalyst
from mentallama.analysts.language_model.generative import Generation, PredictionBuilder
from mentallama.analysts.language_model.remote import RemoteAnalyst
from mentallama.analysts.language_model.seq2seq import Seq2seqAnalyst
from mentallama.analysts.scripted import ScriptedAnalyst
from mentallama.answers.format import write_answer
from mentallama.records import Example, Prediction, example_of
from mentallama.tasks import Task, load_tasks
from tests.factories.answer_kinds import task_of_kind
from tests.factories.endpoint_server import Body, Plan, serving
from tests.factories.linear_cases import make_post
from tests.factories.tiny_models import made_up_posts, tiny_llama, tiny_pair, tiny_tokenizer

KINDS = {kind: task_of_kind(kind) for kind in ("ordinal", "multi", "spans", "scale")}
TASKS: dict[str, Task] = load_tasks() | {task.set: task for task in KINDS.values()}
ANSWERS = {
    "ordinal": "mild",
    "multi": "sleep; low mood",
    "spans": 'sleep: "slept badly"',
    "scale": "energy: several days",
}
COMPOSITE = ("multi", "spans", "scale")


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def ask(kind: str, number: int = 0) -> Example:
    post = make_post(f"synthetic-{kind}", "test", made_up_posts()[number], {})
    return example_of(post, "about", "instruction")


def ask_depression() -> Example:
    return example_of(make_post("DR", "test", made_up_posts()[0], {}), "depression", "instruction")


def options(**settings: Any) -> InferenceOptions:
    return InferenceOptions(**{"max_new_tokens": 12, "log": lambda _: None, "tasks": TASKS, **settings})


def local_analyst(kind: str, **settings: Any) -> Analyst:
    if kind == "causal":
        tokenizer = tiny_tokenizer()
        model = tiny_llama(None, tokenizer)
        return CausalAnalyst(LoadedModel(model, tokenizer, 512, "causal:tiny", None), options(**settings))
    model, tokenizer = tiny_pair("bart")
    return Seq2seqAnalyst(LoadedModel(model, tokenizer, 512, "seq2seq:tiny", None), options(**settings))


def mixed() -> list[Example]:
    """Questions of every kind about two posts, among them one of the published ones."""
    return [ask_depression(), *(ask(kind, number) for number in (0, 1) for kind in KINDS)]


@pytest.mark.parametrize("settings", [{}, {"labels_only": True}], ids=repr)
@pytest.mark.parametrize("kind", ["causal", "seq2seq"])
def test_levels_are_scored_and_answers_of_several_parts_are_generated(
    kind: str, settings: dict[str, Any]
) -> None:
    analyst, examples = local_analyst(kind, **settings), mixed()
    predictions = list(analyst.predict(examples))
    assert [each.example_id for each in predictions] == [each.id for each in examples]
    for example, prediction in zip(examples, predictions, strict=True):
        task = TASKS[example.task]
        if task.is_composite:
            # The answer is what a model writes in free mode; a random one states nothing.
            (free,) = local_analyst(kind, mode="free").predict([example])
            assert prediction == free
            assert (prediction.probabilities, prediction.reading.label) == ({}, None)
        else:
            assert list(prediction.probabilities) == list(task.labels)
            assert prediction.reading.label in task.labels
    # Questions of several parts beside it change nothing about the others.
    (alone,) = local_analyst(kind, **settings).predict([examples[0]])
    assert predictions[0].probabilities == pytest.approx(alone.probabilities, abs=1e-4)


def test_a_seq2seq_batch_may_have_nothing_to_score() -> None:
    predictions = list(local_analyst("seq2seq").predict([ask("multi"), ask("scale")]))
    assert [each.probabilities for each in predictions] == [{}, {}]


@pytest.mark.parametrize("kind", COMPOSITE)
def test_if_only_the_label_is_needed_an_answer_may_break_off_in_its_reason(kind: str) -> None:
    task = KINDS[kind]
    text = write_answer(task, None, ANSWERS[kind], "The post")
    unfinished = Generation([], text, truncated=True)
    before_reason = Generation([], text.partition(" Reasoning:")[0], truncated=True)
    wanted = {True: [ANSWERS[kind], None], False: [None, None]}
    for labels_only, labels in wanted.items():
        builder = PredictionBuilder("m", 512, options(labels_only=labels_only))
        readings = [builder.build(ask(kind), task, each).reading for each in (unfinished, before_reason)]
        assert [reading.label for reading in readings] == labels
        assert readings[1].status == "truncated"
        assert builder.counts["truncated_answers"] == labels.count(None)


def reply_to(body: Body) -> str:
    """The answer to a question, which the server tells by its post."""
    asked = body["messages"][-1]["content"] if "messages" in body else body["prompt"]
    kind = next(kind for number, kind in enumerate(ANSWERS) if made_up_posts()[number] in asked)
    return write_answer(KINDS[kind], "about", ANSWERS[kind], "The post says so.")


def remote_predictions(examples: Sequence[Example], plan: Plan, **settings: Any) -> list[Prediction]:
    with serving(plan) as server:
        analyst = RemoteAnalyst.load(f"test-model@{server.url}", options(**settings), environ={})
        next(analyst.describe_cost(examples, len(examples)))
        return list(analyst.predict(examples))


@pytest.mark.parametrize("settings", [{}, {"labels_only": True}, {"mode": "free"}], ids=repr)
def test_a_server_scores_levels_and_writes_answers_of_several_parts(settings: dict[str, Any]) -> None:
    examples = [ask(kind, number) for number, kind in enumerate(ANSWERS)]
    plan = Plan(reply=reply_to, chance=lambda *_: -1.0)
    ordinal, *composite = remote_predictions(examples, plan, **settings)
    assert bool(ordinal.probabilities) == (settings != {"mode": "free"})
    assert [each.reading.label for each in composite] == [ANSWERS[kind] for kind in COMPOSITE]
    assert {each.reading.explanation for each in composite} == {"The post says so."}
    assert [each.probabilities for each in composite] == [{}, {}, {}]


def test_scripted_answers_of_every_kind_are_parsed(tmp_path: Path) -> None:
    lines = [
        {
            "task": f"synthetic-{kind}",
            "question": "about",
            "text": write_answer(KINDS[kind], None, label, "So."),
        }
        for kind, label in ANSWERS.items()
    ]
    file = tmp_path / "answers.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    predictions = list(ScriptedAnalyst.load(file, TASKS).predict([ask(kind) for kind in ANSWERS]))
    assert [each.reading.label for each in predictions] == list(ANSWERS.values())
