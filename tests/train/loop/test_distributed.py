"""Sharded over two processes, a training ends with the weights of one process (gloo, no GPU)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.factories import encoder_cases
from tests.factories.project import ROOT
from tests.train.objectives.test_causal_sft import base, made, weights

from mentallama.analysts.encoder.model import HEADS_FILE
from mentallama.config import Recipe
from mentallama.train.run import run

__all__ = ["base"]

DRIVER = ROOT / "tests/factories/train_driver.py"


def torchrun(recipe: Recipe, folder: Path, out: Path) -> None:
    """Two processes that find each other on loopback."""
    (folder / "recipe.json").write_text(recipe.model_dump_json(), encoding="utf-8")
    source = str(ROOT / "src")
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        str(DRIVER),
    ]
    done = subprocess.run(
        [*command, str(folder / "recipe.json"), str(folder), str(out)],
        check=False,
        capture_output=True,
        text=True,
        timeout=200,
        env={**os.environ, "PYTHONPATH": source, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
    )
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{}, {"lora": {"rank": 4, "dropout": 0.0}}], ids=["full", "lora"])
def test_two_processes_end_with_the_weights_of_one(
    tmp_path: Path, base: Path, settings: dict[str, Any]
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    # 8 rows a step, one at a time: each process has its own, and every step takes several passes
    given = {"base": str(base), "max_batch_tokens": 100, "epochs": 1, "learning_rate": 1e-3, **settings}
    run(made(one, **given), one, one / "train")
    torchrun(made(two, **given), two, two / "train")
    left, right = weights(one / "train"), weights(two / "train")
    assert left.keys() == right.keys()
    for name, tensor in left.items():
        torch.testing.assert_close(right[name], tensor, atol=1e-5, rtol=0)
    # and something was learnt that could have differed
    begun = weights(base) if "lora" not in settings else None
    if begun is not None:
        assert max(float((left[name] - begun[name]).abs().max()) for name in left) > 1e-3
    assert not (two / "checkpoints").exists()


@pytest.mark.slow
def test_two_processes_end_with_the_encoder_and_the_heads_of_one(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    given = {"epochs": 1, "max_batch_tokens": 60, "dropout": 0.0, "base_dropout": 0.0, "ema_decay": 0.9}
    run(encoder_cases.made(one, **given), one, one / "train")
    torchrun(encoder_cases.made(two, base=str(one / "base"), **given), two, two / "train")
    for name in ("model.safetensors", HEADS_FILE):
        left, right = load_file(one / "train" / name), load_file(two / "train" / name)
        assert left.keys() == right.keys()
        for tensor, held in left.items():
            torch.testing.assert_close(right[tensor], held, atol=1e-5, rtol=0)
    begun = load_file(one / "base/model.safetensors")
    learnt = load_file(one / "train/model.safetensors")
    assert max(float((learnt[tensor] - begun[tensor]).abs().max()) for tensor in learnt) > 1e-3


def test_the_command_runs_under_torchrun_and_again_where_all_is_done(tmp_path: Path) -> None:
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
    where = {"PYTHONPATH": source, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    for told in ("train: done in", "train: up to date"):
        done = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            timeout=250,
            cwd=ROOT,
            env={**os.environ, **where},
        )
        assert done.returncode == 0, done.stderr[-2000:]
        assert done.stderr.count(told) == 1
    assert (tmp_path / "run/train/model.safetensors").is_file()
