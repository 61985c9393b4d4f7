"""The TRL export: `datasets` loads every configuration, and SFTTrainer and DPOTrainer take a step on it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mentallama.errors import UsageError
from mentallama.export import export
from mentallama.export.source import ExportSource
from mentallama.files.record_files import write_records
from mentallama.records import Form
from mentallama.run_files import POSTS_PATH
from mentallama.tasks import load_tasks
from tests.factories.check_cases import post_of
from tests.factories.export_run import AUTHOR, COUNTS, make_posts, make_run
from tests.factories.tiny_models import tiny_llama, tiny_tokenizer

QUESTIONS = 3
"""One of CLP and two of Irf, about as many posts each."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def exported(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return to_trl(run, tmp_path_factory.mktemp("exports") / "trl")


def to_trl(source: Path, out: Path, form: Form = "instruction") -> Path:
    export("trl", ExportSource(source, load_tasks(), form), out)
    return out


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_conversations_and_completions_are_the_rows_of_the_data_set(run: Path, exported: Path) -> None:
    source = rows(run / "check/data/instruction/train.jsonl")
    for ours, messages, completion in zip(
        source,
        rows(exported / "messages/train.jsonl"),
        rows(exported / "prompt_completion/train.jsonl"),
        strict=True,
    ):
        assert messages["messages"] == [
            {"role": "user", "content": ours["query"]},
            {"role": "assistant", "content": ours["response"]},
        ]
        assert (completion["prompt"], completion["completion"]) == (ours["query"], " " + ours["response"])
        assert ours["id"] == messages["id"] == completion["id"]


def test_a_completion_query_is_joined_to_its_answer_by_one_space(run: Path, tmp_path: Path) -> None:
    out = to_trl(run, tmp_path / "out", "completion")
    first = rows(out / "prompt_completion/train.jsonl")[0]
    assert (first["prompt"] + first["completion"]).endswith(
        "is yes. Reasoning: The post says “The kettle 🫖 sang 0 ”."
    )


def test_pairs_prefer_the_accepted_response(exported: Path) -> None:
    pairs = rows(exported / "preference/train.jsonl")
    assert len(pairs) == COUNTS["train"] * QUESTIONS
    assert pairs[0]["chosen"].startswith(" Yes, the poster suffers from depression.")
    assert pairs[0]["rejected"].startswith(" No, the poster does not suffer from depression.")
    assert not (exported / "preference/test.jsonl").exists()


def test_datasets_loads_every_configuration_with_its_splits(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path))
    for config in ("messages", "prompt_completion"):
        loaded = datasets.load_dataset(str(exported), config, cache_dir=str(tmp_path))
        assert {split: len(part) for split, part in loaded.items()} == {
            split: count * QUESTIONS for split, count in COUNTS.items()
        }
    assert set(datasets.load_dataset(str(exported), "preference", cache_dir=str(tmp_path))) == {
        "train",
        "validation",
    }


@pytest.mark.parametrize("config", ["messages", "prompt_completion"])
def test_the_sft_trainer_takes_a_step(exported: Path, tmp_path: Path, config: str) -> None:
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    tokenizer = tiny_tokenizer(chat=True)
    model = tiny_llama(tokenizer=tokenizer)
    before = model.lm_head.weight.clone()
    settings = SFTConfig(max_steps=1, learning_rate=0.1, warmup_steps=0, max_length=None, **cheap(tmp_path))
    data = Dataset.from_list(rows(exported / config / "train.jsonl"))
    trainer = SFTTrainer(model=model, args=settings, train_dataset=data, processing_class=tokenizer)
    done = trainer.train()
    assert done.global_step == 1
    assert done.training_loss > 0
    assert not (model.lm_head.weight == before).all()


def test_the_dpo_trainer_takes_a_step(exported: Path, tmp_path: Path) -> None:
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    tokenizer = tiny_tokenizer(chat=True)
    data = Dataset.from_list(rows(exported / "preference/train.jsonl"))
    tiny_llama(tmp_path / "model", tokenizer)
    trainer = DPOTrainer(
        model=str(tmp_path / "model"),  # it loads the reference model itself
        args=DPOConfig(max_steps=1, max_length=None, **cheap(tmp_path)),
        train_dataset=data,
        processing_class=tokenizer,
    )
    assert trainer.train().global_step == 1


def cheap(folder: Path) -> dict[str, Any]:
    return {
        "output_dir": str(folder),
        "per_device_train_batch_size": 2,
        "use_cpu": True,
        "bf16": False,
        "report_to": "none",
        "save_strategy": "no",
        "disable_tqdm": True,
        "gradient_checkpointing": False,
    }


def test_no_author_is_exported(exported: Path) -> None:
    assert all(
        AUTHOR not in path.read_text(encoding="utf-8") for path in exported.rglob("*") if path.is_file()
    )


def test_a_training_row_about_a_test_post_of_the_run_is_refused(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    posts = make_posts()
    copy = post_of("DR", posts[0].text.upper(), {"depression": "yes"}, "test")
    write_records(run / POSTS_PATH, [*posts, copy])
    with pytest.raises(UsageError, match="test posts of the same set or of another are in 1 row to train on"):
        to_trl(run, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_training_row_about_a_test_post_of_a_moved_data_set_is_refused(tmp_path: Path) -> None:
    posts = make_posts()
    copy = posts[0].model_copy(update={"id": "copy", "split": "test"})
    run = make_run(tmp_path / "run", [*posts, copy])
    moved = (run / "check").rename(tmp_path / "moved")
    with pytest.raises(UsageError, match="test posts of the same set"):
        to_trl(moved, tmp_path / "out")


def test_a_moved_data_set_has_no_pairs(tmp_path: Path) -> None:
    moved = (make_run(tmp_path / "run") / "check").rename(tmp_path / "moved")
    out = to_trl(moved, tmp_path / "out")
    assert (out / "messages/test.jsonl").exists()
    assert not (out / "preference").exists()


def test_a_folder_without_a_data_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="this is not a built data set or a run with one"):
        to_trl(tmp_path, tmp_path / "out")
    with pytest.raises(UsageError, match="there is no such file or folder"):
        to_trl(tmp_path / "nowhere", tmp_path / "out")
