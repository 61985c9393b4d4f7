"""Fine-tuning an encoder: loss, weights and scores by hand, and training from end to end."""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from mentallama.analysts.base import InferenceOptions
from mentallama.analysts.checkpoints.digests import write_hashes
from mentallama.analysts.checkpoints.loading import load_pretrained
from mentallama.analysts.checkpoints.metadata import (
    EncoderHead,
    read_model_metadata,
    read_seen_hashes,
    seen_hash,
)
from mentallama.analysts.encoder.analyst import EncoderAnalyst
from mentallama.analysts.encoder.explanation_reader import ExplanationReader
from mentallama.analysts.encoder.model import (
    HEADS_FILE,
    EncoderClassifier,
    MultiTaskEncoder,
    head_slices,
    open_encoder,
    pad_batch,
)
from mentallama.analysts.inference.batching import TokenBudget
from mentallama.attribution.opening import open_analyst
from mentallama.config import EncoderSettings
from mentallama.errors import DataError, MentallamaError, UsageError
from mentallama.files.record_files import read_json, write_records
from mentallama.records import Example, Prediction, example_of
from mentallama.tasks import load_tasks
from mentallama.train.objectives.encoder_classification import (
    EncoderRow,
    balanced_label_weights,
    heads_with_temperature,
    label_loss,
    mean_and_set_f1,
    prepare_encoder,
)
from mentallama.train.run import run
from tests.factories import encoder_cases
from tests.factories.encoder_cases import make_post, make_run, posts, saved_bert, saved_roberta
from tests.factories.training import killed_at_step

HEAD_A = EncoderHead(set="dreaddit", question="stress", labels=("yes", "no"))
HEAD_B = EncoderHead(set="SAD", question="cause", labels=("work", "school", "family"))


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    run(make_run(folder), folder, folder / "train")
    return folder / "train"


def examples_of_split(split: str = "test") -> list[Example]:
    found = [post for post in posts() if post.split == split]
    return [example_of(post, question, "instruction") for post in found for question in post.labels]


def predict(folder: Path, examples: Sequence[Example], **options: Any) -> list[Prediction]:
    return list(EncoderAnalyst.load(str(folder), InferenceOptions(**options)).predict(examples))


def test_the_loss_by_hand() -> None:
    logits = torch.tensor([[1.0, 0.0, 9.0, 9.0, 9.0], [2.0, 2.0, 0.0, math.log(2), 0.0]])
    rows = [EncoderRow([1], {0: 0}), EncoderRow([1], {0: 1, 1: 1})]
    # row 1: -ln(e/(e+1)); row 2: half of ln 2, and half of -ln(2/4)
    first, second = math.log(1 + math.exp(-1)), (math.log(2) + math.log(2)) / 2
    columns = head_slices((HEAD_A, HEAD_B))
    assert columns == [slice(0, 2), slice(2, 5)]
    assert label_loss(logits, rows, columns, None).item() == pytest.approx(first + second)
    weights = {0: [2.0, 0.5], 1: [1.0, 3.0, 1.0]}
    weighted = 2 * first + (0.5 * math.log(2) + 3 * math.log(2)) / 2
    assert label_loss(logits, rows, columns, weights).item() == pytest.approx(weighted)


def test_weights_of_labels_by_hand() -> None:
    rows = [
        EncoderRow([1], {0: 0}),
        EncoderRow([1], {0: 0}),
        EncoderRow([1], {0: 0}),
        EncoderRow([1], {0: 1}),
        EncoderRow([1], {1: 2}),
    ]
    found = balanced_label_weights(rows, (HEAD_A, HEAD_B))
    assert found[0] == [4 / (2 * 3), 4 / (2 * 1)]
    assert found[1] == [0.0, 0.0, 1.0]  # labels that never occur weigh nothing


def test_scores_are_means_over_sets_by_hand() -> None:
    rows = [
        EncoderRow([1], {0: 0}),
        EncoderRow([1], {0: 1}),
        EncoderRow([1], {1: 0}),
        EncoderRow([1], {1: 0}),
    ]
    logits = np.array([[3, 1, 0, 0, 0], [3, 1, 0, 0, 0], [0, 0, 5, 1, 1], [0, 0, 5, 1, 1]], float)
    found = mean_and_set_f1((HEAD_A, HEAD_B), logits, rows)
    assert found["weighted_f1 dreaddit"] == pytest.approx(100 * (2 / 3) / 2)
    assert found["weighted_f1 SAD"] == 100
    assert found["weighted_f1"] == pytest.approx((100 / 3 + 100) / 2)


def test_overconfident_heads_get_a_higher_temperature() -> None:
    rows = [EncoderRow([1], {0: index % 10 == 0}) for index in range(200)]
    logits = np.tile([20.0, 0.0], (200, 1))
    assert heads_with_temperature((HEAD_A,), logits, rows)[0].temperature > 3


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_padding_does_not_change_logits(tmp_path: Path, pooling: Any) -> None:
    settings = EncoderSettings(analyst="encoder", base=str(saved_bert(tmp_path / "m")), pooling=pooling)
    opened = prepare_encoder(settings, 1, 5)
    opened.model.double()  # padding rounds differently in float32
    reader = EncoderClassifier(opened.model, opened.tokenizer, 40)
    rows, n_truncated = reader.tokenize(
        ["The noise.", "The tea and the rain and the walk again and again.", "work"]
    )
    alone = np.concatenate([reader.logits([row], TokenBudget(10_000, print)) for row in rows])
    np.testing.assert_allclose(reader.logits(rows, TokenBudget(10_000, print)), alone, atol=1e-6)
    assert n_truncated == 0
    assert np.ptp(alone, axis=0).max() > 1e-3


def test_loss_falls_and_test_posts_of_every_set_are_classified(trained: Path) -> None:
    summary = read_json(trained / "summary.json")
    assert summary["losses"][0] > 2 * summary["losses"][-1]
    assert summary["best"]["metrics"]["weighted_f1"] > 90
    assert summary["rows"] == {"train": 72, "validation": 24}
    right = [
        item.reading.label == example.label
        for item, example in zip(predict(trained, examples_of_split()), examples_of_split(), strict=True)
    ]
    assert sum(right) > 0.9 * len(right)


def test_predictions_hold_calibrated_probabilities(trained: Path) -> None:
    found = predict(trained, examples_of_split())
    assert [item.example_id for item in found] == [item.id for item in examples_of_split()]
    for item in found:
        assert sum(item.probabilities.values()) == pytest.approx(1)
        assert item.reading.label == max(item.probabilities, key=item.probabilities.__getitem__)
        assert item.reading.explanation == ""
    heads = {(head.set, head.question): head for head in read_model_metadata(trained).heads}  # type: ignore[union-attr]
    assert set(heads) == {("dreaddit", "stress"), ("MultiWD", "social"), ("MultiWD", "vocational")}
    assert len({head.temperature for head in heads.values()}) == 3


def test_a_reloaded_model_gives_identical_predictions(trained: Path) -> None:
    assert predict(trained, examples_of_split()) == predict(trained, examples_of_split())
    reader, _, _ = open_encoder(str(trained), "cpu", "float32")
    weights = load_file(trained / HEADS_FILE)
    assert torch.equal(reader.model.heads.weight, weights["weight"])


def test_a_post_is_encoded_once_for_all_its_questions(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    forward = MultiTaskEncoder.forward
    monkeypatch.setattr(
        MultiTaskEncoder,
        "forward",
        lambda self, ids, mask: (read.append(len(ids)), forward(self, ids, mask))[1],
    )
    examples = [item for item in examples_of_split() if item.task == "MultiWD"]
    predict(trained, examples)
    assert sum(read) == len(examples) / 2 == 12


def test_a_padding_token_without_an_embedding_is_not_used(tmp_path: Path) -> None:
    settings = EncoderSettings(analyst="encoder", base=str(saved_bert(tmp_path / "m")))
    opened = prepare_encoder(settings, 1, 5)
    texts = ["The noise.", "The tea and the rain and the walk again."]
    reader = EncoderClassifier(opened.model, opened.tokenizer, 40)
    rows, _ = reader.tokenize(texts)
    before = reader.logits(rows, TokenBudget(10_000, print))
    opened.tokenizer.add_special_tokens({"pad_token": "[PADDING]"})
    assert opened.tokenizer.pad_token_id == len(opened.tokenizer) - 1
    np.testing.assert_array_equal(reader.logits(rows, TokenBudget(10_000, print)), before)


def test_nan_is_an_error_and_never_a_prediction(trained: Path) -> None:
    analyst = EncoderAnalyst.load(str(trained), InferenceOptions())
    with torch.no_grad():
        analyst.classifier.model.heads.bias[1] = float("nan")
    with pytest.raises(MentallamaError, match=r"encoder:\w+: it computed NaN or infinite scores"):
        list(analyst.predict(examples_of_split()))


@pytest.mark.parametrize("name", ["model.safetensors", HEADS_FILE, "tokenizer.json", "mentallama.json"])
def test_a_damaged_file_of_a_trained_model_is_named(trained: Path, tmp_path: Path, name: str) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(trained, copy)
    content = bytearray((copy / name).read_bytes())
    content[-9] ^= 1
    (copy / name).write_bytes(content)
    with pytest.raises(DataError, match=rf"{name}: damaged or changed"):
        open_analyst(f"encoder:{copy}")


def test_long_posts_are_truncated_and_counted(trained: Path) -> None:
    analyst = EncoderAnalyst.load(str(trained), InferenceOptions())
    long = examples_of_split()[0].model_copy(update={"text": "tea " * 500})
    shorter = long.model_copy(update={"text": "tea " * 38})
    first, second = analyst.predict([long, shorter])
    assert analyst.counts == {"truncated_posts": 1}
    assert first.probabilities == pytest.approx(second.probabilities)


def test_out_of_memory_halves_the_batch(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    messages: list[str] = []
    whole = predict(trained, examples_of_split())
    forward = MultiTaskEncoder.forward

    def limited_memory(self: Any, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        if ids.numel() > 100:
            raise torch.OutOfMemoryError
        return forward(self, ids, mask)

    monkeypatch.setattr(MultiTaskEncoder, "forward", limited_memory)
    found = predict(trained, examples_of_split(), log=messages.append)
    assert any("out of memory" in line for line in messages)
    for one, other in zip(found, whole, strict=True):
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-5)


def test_a_killed_training_ends_with_the_same_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = make_run(tmp_path / "whole", epochs=3)
    run(recipe, tmp_path / "whole", tmp_path / "whole/train")
    again = make_run(
        tmp_path / "killed", base=str(tmp_path / "whole/base"), epochs=3, checkpoint_minutes=1e-9
    )
    with killed_at_step(14):
        run(again, tmp_path / "killed", tmp_path / "killed/train")
    assert list((tmp_path / "killed/checkpoints").glob("step-*13"))
    run(again, tmp_path / "killed", tmp_path / "killed/train")
    assert "resuming from step 13 of 27" in capsys.readouterr().err
    for name in ("model.safetensors", HEADS_FILE):
        assert (tmp_path / "whole/train" / name).read_bytes() == (
            tmp_path / "killed/train" / name
        ).read_bytes()
    assert not (tmp_path / "killed/checkpoints").exists()


def test_frozen_embeddings_and_dropout_of_the_base(tmp_path: Path) -> None:
    base = saved_bert(tmp_path / "m", hidden_dropout_prob=0.1)
    settings = EncoderSettings(analyst="encoder", base=str(base), freeze_embeddings=True, base_dropout=0.0)
    model = prepare_encoder(settings, 1, 2).model
    frozen = {
        name.split(".")[1] for name, parameter in model.named_parameters() if not parameter.requires_grad
    }
    assert frozen == {"embeddings", "pooler"}
    assert {item.p for item in model.encoder.modules() if isinstance(item, torch.nn.Dropout)} == {0.0}
    as_made = prepare_encoder(
        settings.model_copy(update={"base_dropout": None, "freeze_embeddings": False}), 1, 2
    ).model
    assert {item.p for item in as_made.encoder.modules() if isinstance(item, torch.nn.Dropout)} == {0.1}
    assert all(parameter.requires_grad for parameter in as_made.encoder.embeddings.parameters())


def test_a_tokenizer_needs_no_padding_token(tmp_path: Path, trained: Path) -> None:
    base = saved_bert(tmp_path / "m", pad=False)
    recipe = make_run(tmp_path / "run", base=str(base), epochs=1)
    run(recipe, tmp_path / "run", tmp_path / "run/train")
    assert len(predict(tmp_path / "run/train", examples_of_split())) == 36


def test_roberta_loses_positions_to_its_padding_index(tmp_path: Path) -> None:
    opened = load_pretrained(str(saved_roberta(tmp_path / "m")), "encoder", torch.float32, None)
    assert opened.context == 17
    reader = EncoderClassifier(MultiTaskEncoder(opened.model, 2, "mean"), opened.tokenizer, opened.context)
    rows, n_truncated = reader.tokenize(["tea " * 40])
    assert (len(rows[0]), n_truncated) == (17, 1)
    assert reader.logits(rows, TokenBudget(100, print)).shape == (1, 2)


def test_a_training_post_that_is_also_a_test_post_is_refused(tmp_path: Path) -> None:
    recipe = make_run(tmp_path)
    leaked = make_post("SAD", "test", 1, {"cause": "work"}, posts()[0].text.upper())
    write_records(tmp_path / "collect/posts.jsonl.zst", [*posts(), leaked])
    with pytest.raises(UsageError, match="test posts of the same set or of another are in 1 row to train on"):
        run(recipe, tmp_path, tmp_path / "train")


def test_seen_hashes_hold_training_posts_and_no_test_posts(trained: Path) -> None:
    seen = read_seen_hashes(trained)
    by_split = {
        split: {seen_hash(post.text) for post in posts() if post.split == split}
        for split in ("train", "test")
    }
    assert by_split["train"] < seen
    assert not by_split["test"] & seen


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (
            lambda post: post.model_copy(update={"labels": dict.fromkeys(post.labels, "no")}),
            "at least two are needed",
        ),
        (
            lambda post: post if post.split != "validation" else post.model_copy(update={"labels": {}}),
            "no validation rows; have collect draw some with validation_share",
        ),
        (
            lambda post: post.model_copy(update={"labels": dict.fromkeys(post.labels, "perhaps")}),
            "the task has no label 'perhaps'",
        ),
    ],
)
def test_untrainable_labels_are_errors(tmp_path: Path, change: Any, fault: str) -> None:
    recipe = make_run(tmp_path)
    write_records(tmp_path / "collect/posts.jsonl.zst", [change(post) for post in posts()])
    with pytest.raises(UsageError, match=fault):
        run(recipe, tmp_path, tmp_path / "train")


def test_a_question_with_a_single_label_is_skipped_and_reported(tmp_path: Path) -> None:
    recipe = make_run(tmp_path, epochs=1)
    found = [
        post.model_copy(update={"labels": {**post.labels, "social": "no"}}) if post.set == "MultiWD" else post
        for post in posts()
    ]
    write_records(tmp_path / "collect/posts.jsonl.zst", found)
    run(recipe, tmp_path, tmp_path / "train")
    assert read_json(tmp_path / "train/summary.json")["skipped"]["MultiWD, social"].startswith(
        "36 training rows with 1"
    )
    with pytest.raises(
        UsageError, match=r"was not trained on MultiWD \(social\); it answers .*MultiWD \(vocational\)"
    ):
        predict(tmp_path / "train", [item for item in examples_of_split() if item.question == "social"])


def test_an_encoder_without_heads_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no heads yet"):
        open_analyst(f"encoder:{saved_bert(tmp_path / 'm')}")


def test_damaged_heads_are_an_error(tmp_path: Path, trained: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in trained.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    (copy / HEADS_FILE).write_bytes(b"damaged")
    write_hashes(copy)
    with pytest.raises(DataError, match=r"heads.safetensors: .*not the heads of this encoder"):
        open_analyst(f"encoder:{copy}")


def test_a_non_finite_loss_stops_training(tmp_path: Path) -> None:
    recipe = make_run(tmp_path, learning_rate=1e30, max_grad_norm=1e30, warmup_ratio=0.0)
    with pytest.raises(MentallamaError, match="the loss became NaN or infinite"):
        run(recipe, tmp_path, tmp_path / "train")


def test_a_label_reader_predicts_labels_from_explanations(tmp_path: Path) -> None:
    recipe = make_run(tmp_path, reads="explanations")
    run(recipe, tmp_path, tmp_path / "train")
    reader, task = ExplanationReader.load(tmp_path / "train"), load_tasks()["dreaddit"]
    assert reader.supports(task, "stress")
    assert not reader.supports(load_tasks()["MultiWD"], "social")  # it has no explanations
    heavy, calm = reader.label_probabilities(task, "stress", ["because the day is heavy", "the tone is calm"])
    assert heavy["yes"] > 0.5 > calm["yes"]
    assert {
        seen_hash(post.text) for post in posts() if post.set == "dreaddit" and post.split == "train"
    } < reader.seen
    assert not {seen_hash(post.text) for post in posts() if post.split == "test"} & reader.seen
    with pytest.raises(UsageError, match="use it as the label reader of check and evaluate"):
        open_analyst(f"encoder:{tmp_path / 'train'}")


def test_an_encoder_of_posts_is_not_a_label_reader(trained: Path) -> None:
    with pytest.raises(UsageError, match="a label reader is trained with reads: explanations"):
        ExplanationReader.load(trained)


def test_padding_by_hand() -> None:
    ids, mask = pad_batch([[5, 6, 7], [8]], 9, torch.device("cpu"))
    assert ids.tolist() == [[5, 6, 7], [8, 9, 9]]
    assert mask.tolist() == [[1, 1, 1], [1, 0, 0]]


def test_the_tiny_tokenizer_knows_most_words_of_the_posts() -> None:
    unknown = encoder_cases.tokenizer().unk_token_id
    ids = encoder_cases.tokenizer()([post.text for post in posts()])["input_ids"]
    assert sum(token == unknown for row in ids for token in row) < 0.25 * sum(map(len, ids))
