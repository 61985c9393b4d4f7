"""The table of perturbations, the variants of tasks that they ask about, and the minimal pairs."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from mentallama.config import Predict
from mentallama.predict.stage import PredictJob
from mentallama.records import Example
from mentallama.robustness.minimal_pairs import load_minimal_pairs, minimal_pairs
from mentallama.robustness.perturbations import PERTURBATIONS, ChangeOptions, variant_tasks
from mentallama.tasks import load_tasks, write_query

TASKS = variant_tasks(load_tasks())
OPTIONS = ChangeOptions(TASKS)
PAIRS_VERSION = ("1", "a0c4b6914ab69183")
"""The version of the pairs, and the SHA-256 of their texts: change both together."""


def example(text: str = "So tired of everything.", **fields: Any) -> Example:
    given = {"task": "DR", "question": "depression", "form": "instruction", "label": "yes", **fields}
    return Example(id="e", post_id="p", text=text, **given)


def apply(name: str, to: Example, options: ChangeOptions = OPTIONS) -> Example | None:
    return PERTURBATIONS[name].apply(name, to, options)


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_a_copy_keeps_the_post_the_question_and_the_label(name: str) -> None:
    options = ChangeOptions(TASKS, typo_rate=1.0)
    copy = apply(name, example(), options)
    assert copy is not None
    assert copy == apply(name, example(), options)
    assert (copy.post_id, copy.question, copy.label) == ("p", "depression", "yes")


def test_copies_have_ids_of_their_own() -> None:
    options = ChangeOptions(TASKS, typo_rate=1.0)
    copies = [apply(name, example(), options) for name in PERTURBATIONS]
    assert len({"e", *(copy.id for copy in copies if copy)}) == 1 + len(PERTURBATIONS)


def test_what_is_not_changed_is_not_asked_again() -> None:
    assert apply("lower", example("so tired")) is None
    assert apply("upper", example("1, 2, 3")) is None
    assert apply("typos", example("so sad")) is None
    assert apply("wording-1", example(form="completion")) is None


@pytest.mark.parametrize("name", ["wording-1", "wording-2"])
def test_every_question_is_asked_in_other_words(name: str) -> None:
    for task in load_tasks().values():
        for question in task.questions:
            copy = apply(name, example(task=task.set, question=question, label=None))
            assert copy is not None
            queries = {
                write_query(TASKS[name], question, "instruction", "x") for name in (task.set, copy.task)
            }
            assert len(queries) == 2


def test_the_order_of_answers_is_reversed_and_their_names_stay() -> None:
    copy = apply("order", example(task="SAD", question="cause"))
    assert copy is not None
    assert list(TASKS[copy.task].labels) == list(reversed(TASKS["SAD"].labels))
    assert TASKS[copy.task].high_risk_label == TASKS["SAD"].high_risk_label


def test_a_task_without_paraphrases_has_no_such_variant() -> None:
    bare = {
        name: task.model_copy(
            update={
                "questions": {
                    key: q.model_copy(update={"paraphrases": ()}) for key, q in task.questions.items()
                }
            }
        )
        for name, task in load_tasks().items()
    }
    tasks = variant_tasks(bare)
    assert "DR.reversed" in tasks
    assert "DR.wording-1" not in tasks
    assert apply("wording-1", example(), ChangeOptions(tasks)) is None


@pytest.mark.parametrize(
    ("spec", "settings", "obstacles"),
    [
        ("linear:x", {}, {"wording-1", "wording-2", "form", "order"}),
        ("encoder:x", {}, {"wording-1", "wording-2", "form", "order"}),
        ("causal:x", {}, {"order"}),
        ("remote:m@http://h/v1", {"scoring": "chat"}, set()),
    ],
)
def test_what_a_model_does_not_read_is_not_tried(
    spec: str, settings: dict[str, Any], obstacles: set[str]
) -> None:
    job = PredictJob(spec, Predict(**settings), TASKS)
    assert {name for name, each in PERTURBATIONS.items() if each.obstacle(job)} == obstacles


def test_minimal_pairs_state_and_negate_labels_that_exist() -> None:
    tasks = load_tasks()
    keys = {(name, question) for name, task in tasks.items() for question in task.questions}
    found = list(minimal_pairs(keys))
    assert {pair.set for pair in found} == {"DR", "CLP", "dreaddit", "loneliness", "Irf", "swmh", "t-sid"}
    for pair in found:
        stated, negated = (post.labels[pair.question] for post in (pair.stated, pair.negated))
        assert {stated, negated} <= set(tasks[pair.set].labels)
        assert stated != negated
        assert pair.stated.text != pair.negated.text
        assert pair.stated.provenance.synthetic
    assert len({post.id for pair in found for post in (pair.stated, pair.negated)}) == 2 * len(found)
    assert list(minimal_pairs({("SAD", "cause")})) == []


def test_the_version_of_the_pairs_changes_with_every_letter() -> None:
    pairs = load_minimal_pairs()
    texts = json.dumps(pairs.model_dump(exclude={"version"}), sort_keys=True)
    assert (pairs.version, hashlib.sha256(texts.encode()).hexdigest()[:16]) == PAIRS_VERSION
