"""Encoders of each kind of answer: losses by hand, and a tiny model trained, saved, opened and asked."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from mentallama.analysts.base import InferenceOptions
from mentallama.analysts.checkpoints.metadata import EncoderHead, ModelMetadata, read_model_metadata
from mentallama.analysts.encoder.analyst import EncoderAnalyst
from mentallama.analysts.encoder.model import (
    HeadLayout,
    MultiTaskEncoder,
    along_levels,
    head_slices,
    logits_and_margins,
)
from mentallama.attribution.log_odds import label_log_odds
from mentallama.attribution.methods.encoder_gradients import IntegratedGradients
from mentallama.config import Recipe
from mentallama.errors import UsageError
from mentallama.files.record_files import write_records
from mentallama.records import Example, Prediction, example_of
from mentallama.tasks import Task
from mentallama.tasks.answer_values import value_levels
from mentallama.train.objectives.encoder_classification import (
    EncoderRow,
    above_thresholds,
    finished_heads,
    label_loss,
    prepare_encoder,
    token_loss,
    token_thresholds,
)
from mentallama.train.run import run
from tests.factories.answer_kinds import task_of_kind
from tests.factories.encoder_cases import saved_bert
from tests.factories.kind_posts import posts_of_kind, words_of_posts
from tests.factories.linear_cases import make_post

KINDS = ("ordinal", "multi", "spans", "scale")
LEVELS = EncoderHead(set="a", question="q", ordered=True, labels=("low", "middle", "high"))
QUOTED = EncoderHead(set="b", question="q", part="sleep", of_tokens=True, labels=("absent", "present"))


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


TASKS = {task.set: task for task in map(task_of_kind, KINDS)}
POSTS = {name: posts_of_kind(task) for name, task in TASKS.items()}


class Trained:
    """One encoder of all tasks, trained on their synthetic posts and opened again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "train"
        (folder / "tasks").mkdir(parents=True)
        for name, task in TASKS.items():
            content = task.model_dump(mode="json", exclude_defaults=True)
            (folder / "tasks" / f"{name}.yaml").write_text(json.dumps(content))
        write_records(
            folder / "collect/posts.jsonl.zst", [post for posts in POSTS.values() for post in posts]
        )
        base = saved_bert(folder / "base", added_words=words_of_posts(), num_hidden_layers=1)
        recipe = Recipe.model_validate(
            {
                "name": "tiny",
                "data": folder,
                "tasks": folder / "tasks",
                "sets": list(TASKS),
                "train": {
                    "analyst": "encoder",
                    "base": str(base),
                    "epochs": 12,
                    "batch_size": 12,
                    "learning_rate": 1e-2,
                    "head_lr_multiplier": 3,
                    "max_tokens": 40,
                    "base_dropout": 0,
                },
            }
        )
        run(recipe, folder, self.folder)
        self.analyst = self.open()

    def open(self, *changed: Task) -> EncoderAnalyst:
        tasks = TASKS | {task.set: task for task in changed}
        return EncoderAnalyst.load(str(self.folder), InferenceOptions(tasks=tasks))

    def ask(self, kind: str, *texts: str) -> list[Prediction]:
        return list(self.analyst.predict([example(kind, text) for text in texts]))


def example(kind: str, text: str = "fine today") -> Example:
    return example_of(make_post(f"synthetic-{kind}", "test", text, {}), "about", "instruction")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    torch.set_num_threads(1)
    return Trained(tmp_path_factory.mktemp("kinds"))


@pytest.mark.parametrize("kind", KINDS)
def test_it_learns_what_the_words_decide(trained: Trained, kind: str) -> None:
    task = TASKS[f"synthetic-{kind}"]
    assert (task.set, "about") in trained.analyst.supported_questions
    tests = [post for post in POSTS[task.set] if post.split == "test"]
    answers = trained.ask(kind, *(post.text for post in tests))
    right, parts = 0, 0
    for answer, post in zip(answers, tests, strict=True):
        assert answer.reading.label is not None
        found = value_levels(task, answer.reading.label)
        gold = value_levels(task, post.labels["about"])
        right += sum(found[part] == level for part, level in gold.items())
        parts += len(gold)
    assert right >= 0.8 * parts


@pytest.mark.parametrize("kind", KINDS)
def test_metadata_say_what_each_head_decides_about(trained: Trained, kind: str) -> None:
    metadata = read_model_metadata(trained.folder)
    assert metadata is not None
    heads = [head for head in metadata.heads if head.set == f"synthetic-{kind}"]
    parts = [(part.name, part.levels, part.ordered) for part in TASKS[f"synthetic-{kind}"].parts]
    assert [(head.part, head.labels, head.ordered) for head in heads] == parts
    assert all(head.of_tokens == (kind == "spans") for head in heads)


def test_quotations_are_whole_words_of_the_post(trained: Trained) -> None:
    text = "today we went and cannot sleep then it was so"
    (answer,) = trained.ask("spans", text)
    assert answer.reading.label == 'sleep: "cannot sleep"'
    assert [text[span.start : span.end] for span in answer.evidence] == ["cannot sleep"]
    assert answer.probabilities["sleep"] > 0.5 > answer.probabilities["low mood"]


def test_a_head_of_levels_has_ordered_cumulative_probabilities(trained: Trained) -> None:
    texts = ["fine today", "slightly worried today", "quite worried today", "utterly desperate today"]
    answers = trained.ask("ordinal", *texts)
    assert (answers[0].reading.label, answers[-1].reading.label) == ("minimal", "severe")
    at_least = np.cumsum([list(answer.probabilities.values())[::-1] for answer in answers], axis=1)[:, ::-1]
    # Every "at least this level" rises from text to text.
    assert (np.diff(at_least[:, 1:], axis=0) > 0).all()


@pytest.mark.parametrize(
    ("kind", "label"),
    [("ordinal", "mild"), ("multi", "sleep; low mood"), ("spans", "sleep"), ("scale", "energy: not at all")],
)
def test_integrated_gradients_explain_the_parts_that_a_label_names(
    trained: Trained, kind: str, label: str
) -> None:
    asked = example(kind, "so hopeless and cannot sleep today")
    (found,) = IntegratedGradients(trained.analyst, steps=64).attribute([asked], [label])
    trained.analyst.tasks = TASKS
    (log_odds,) = label_log_odds(trained.analyst, [asked], [label])
    assert found.completeness_gap is not None
    assert found.completeness_gap < 0.1 * max(1, abs(log_odds), abs(sum(found.weights)))


def test_a_model_for_other_parts_or_another_order_is_refused(trained: Trained) -> None:
    other = task_of_kind("multi", set="synthetic-scale")
    with pytest.raises(UsageError, match="other labels of synthetic-scale"):
        list(trained.open(other).predict([example("scale")]))
    labels = TASKS["synthetic-ordinal"].model_dump()["labels"]
    turned = task_of_kind("ordinal", labels=dict(reversed(labels.items())))
    with pytest.raises(UsageError, match="in another order"):
        list(trained.open(turned).predict([example("ordinal")]))


def test_metadata_of_single_decisions_are_written_as_before() -> None:
    head = EncoderHead(set="DR", question="depression", labels=("yes", "no"))
    assert head.model_dump() == {
        "set": "DR",
        "question": "depression",
        "labels": ("yes", "no"),
        "temperature": 1.0,
    }
    written = ModelMetadata(
        analyst="encoder", fingerprint="f", form="instruction", max_tokens=9, sets=("DR",), heads=(head,)
    )
    assert ModelMetadata.model_validate(written.model_dump()) == written


def test_rows_along_levels_by_hand() -> None:
    rows = torch.tensor([[0.0, 3.0], [6.0, 0.0], [4.0, 3.0]])
    # Numbers -1, 0, 1: (4 - 0) / 2 and (3 - 3) / 2 are what they have in common.
    assert along_levels(rows).tolist() == [[-2.0, 0.0], [0.0, 0.0], [2.0, 0.0]]
    assert along_levels(along_levels(rows)).tolist() == along_levels(rows).tolist()


def test_the_loss_of_tokens_by_hand() -> None:
    margins = torch.zeros(2, 3, 1)
    margins[0, 1] = math.log(3)
    rows = [
        EncoderRow([1, 2], {0: 1}, {0: np.array([False, True])}),
        EncoderRow([1, 2, 3], {0: 0, 1: 0}, {0: np.zeros(3, np.bool_)}),
    ]
    # Row 1: mean of ln 2 and -ln(3/4), without the padding; row 2: ln 2 on each token, half of the row's heads.
    expected = (math.log(2) + math.log(4 / 3)) / 2 + math.log(2) / 2
    assert token_loss(margins, rows, [0]).item() == pytest.approx(expected)
    # The other head of row 2 is of the text; head 0 is left to its tokens.
    logits = torch.tensor([[5.0, 0.0, 0.0, 0.0], [5.0, 0.0, 0.0, 0.0]])
    columns = [slice(0, 2), slice(2, 4)]
    assert label_loss(logits, rows, columns, None).item() == pytest.approx(math.log(2) / 2)


def test_a_threshold_becomes_part_of_the_bias() -> None:
    heads = (LEVELS, QUOTED)
    rows = [EncoderRow([1, 2, 3], {1: 1}, {1: np.array([True, True, False])})]
    margins = [np.array([[-1.0], [-2.0], [-5.0]], np.float32)]
    thresholds = token_thresholds(heads, margins, rows)
    assert thresholds == {1: -3.5}
    logits = np.array([[0.0, 0.0, 0.0, 0.5, -0.5]])  # the best token has the margin -1, which is 2.5 above
    assert above_thresholds(heads, logits, thresholds)[0].tolist() == [0, 0, 0, -1.25, 1.25]
    weights = {"weight": torch.eye(5), "bias": torch.zeros(5)}
    finished = finished_heads(heads, thresholds, weights)
    assert finished["bias"].tolist() == [0, 0, 0, -1.75, 1.75]
    assert finished["weight"][:3].tolist() == [[0.5, 0, -0.5, 0, 0], [0, 0, 0, 0, 0], [-0.5, 0, 0.5, 0, 0]]
    assert weights["bias"].tolist() == [0] * 5


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_saved_heads_answer_as_those_that_were_trained_and_gradients_are_finite(
    tmp_path: Path, pooling: str
) -> None:
    heads = (LEVELS, QUOTED)
    settings = Recipe.model_validate(
        {
            "name": "x",
            "data": tmp_path,
            "train": {
                "analyst": "encoder",
                "base": str(saved_bert(tmp_path / "m")),
                "pooling": pooling,
                "dropout": 0,
                "base_dropout": 0,
            },
        }
    ).train
    model = prepare_encoder(settings, 1, 5, heads).model  # type: ignore[arg-type]
    ids = torch.tensor([[2, 5, 6, 3], [2, 7, 3, 0]])
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])
    logits, margins = logits_and_margins(model, ids, mask)
    assert margins.shape == (2, 4, 1)
    # Text 2 has three tokens; its logits are those of the best of them.
    assert (logits[1, 4] - logits[1, 3]).item() == pytest.approx(margins[1, :3, 0].max().item())
    rows = [
        EncoderRow([2, 5, 6, 3], {0: 2, 1: 1}, {1: np.array([False, True, False, False])}),
        EncoderRow([2, 7, 3], {0: 0, 1: 0}, {1: np.zeros(3, np.bool_)}),
    ]
    loss = label_loss(logits, rows, head_slices(heads), None) + token_loss(margins, rows, [1])
    torch.autograd.backward(loss)
    gradients = [p.grad for p in model.parameters() if p.requires_grad and p.grad is not None]
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
    # The gradient of an ordered head is along its levels: the middle level has none.
    assert model.heads.weight.grad[1].abs().max().item() == pytest.approx(0, abs=1e-7)
    stock = MultiTaskEncoder(model.encoder, 5, pooling, layout=HeadLayout(tokens=(slice(3, 5),)))
    stock.heads.load_state_dict(finished_heads(heads, {}, model.heads.state_dict()))
    torch.testing.assert_close(stock.eval()(ids, mask), model.eval()(ids, mask))
