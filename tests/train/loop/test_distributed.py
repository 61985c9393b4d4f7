"""Training in two processes (gloo, no GPU) equals training in one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from tests.factories import causal_cases, encoder_cases
from tests.factories.project import ROOT
from tests.factories.training import assert_two_processes_train_as_one


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{}, {"lora": {"rank": 4, "dropout": 0.0}}], ids=["full", "lora"])
def test_two_processes_train_a_language_model_as_one(tmp_path: Path, settings: dict[str, Any]) -> None:
    one, two, base = tmp_path / "one", tmp_path / "two", tmp_path / "base"
    causal_cases.save_llama(base)
    # 8 rows per step, one in each micro-batch: the processes compute different rows, in several passes per step
    settings = {"base": str(base), "max_batch_tokens": 100, "epochs": 1, "learning_rate": 1e-3, **settings}
    assert_two_processes_train_as_one(
        causal_cases.make_run(one, **settings), one, causal_cases.make_run(two, **settings), two
    )
    trained = causal_cases.weights(two / "train")
    if "lora" not in settings:  # and something was trained that could have differed
        initial = causal_cases.weights(base)
        assert max(float((trained[name] - initial[name]).abs().max()) for name in trained) > 1e-3


@pytest.mark.slow
def test_two_processes_train_an_encoder_and_its_heads_as_one(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    settings = {"epochs": 1, "max_batch_tokens": 60, "dropout": 0.0, "base_dropout": 0.0, "ema_decay": 0.9}
    recipe = encoder_cases.make_run(one, **settings)
    again = encoder_cases.make_run(two, base=str(one / "base"), **settings)
    assert_two_processes_train_as_one(recipe, one, again, two)
    initial, trained = load_file(one / "base/model.safetensors"), load_file(two / "train/model.safetensors")
    assert max(float((trained[name] - initial[name]).abs().max()) for name in trained) > 1e-3


def test_the_command_runs_under_torchrun_and_is_up_to_date_the_second_time(tmp_path: Path) -> None:
    sample = ROOT / "recipes/sample-tiny-llama.yaml"
    source = str(ROOT / "src")
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"),
        *("-m", "mentallama", "train", str(sample), "--out", str(tmp_path / "run")),
        *("--set", "sets=[DR, dreaddit]", "--set", "train.max_steps=2", "--set", "train.max_tokens=256"),
        *(
            "--set",
            "train.from_scratch={hidden_size: 32, num_hidden_layers: 1, num_attention_heads: 2, vocab_size: 400}",
        ),
    ]
    environment = {"PYTHONPATH": source, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    for message in ("train: done in", "train: up to date"):
        done = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            timeout=250,
            cwd=ROOT,
            env={**os.environ, **environment},
        )
        assert done.returncode == 0, done.stderr[-2000:]
        assert done.stderr.count(message) == 1
    assert (tmp_path / "run/train/model.safetensors").is_file()
