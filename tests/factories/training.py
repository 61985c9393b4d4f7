"""Helpers for tests of training: killing a run at a step, and comparing one process with two."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.optim.optimizer import register_optimizer_step_pre_hook

from mentallama.config import NeuralSettings, Recipe
from mentallama.files.record_files import read_json, read_records
from mentallama.records import TrainingMetrics
from mentallama.train.run import run
from tests.factories.project import ROOT

DRIVER = ROOT / "tests/factories/train_driver.py"
GRADIENTS_FILE = "gradients.safetensors"


@contextmanager
def killed_at_step(number: int) -> Iterator[None]:
    """Kill the training in the block before its optimiser takes step `number`, counted from 1; it must get that far."""
    steps = 0

    def kill(*_: Any) -> None:
        nonlocal steps
        steps += 1
        if steps == number:
            raise KeyboardInterrupt

    handle = register_optimizer_step_pre_hook(kill)
    try:
        with pytest.raises(KeyboardInterrupt):
            yield
    finally:
        handle.remove()


@contextmanager
def first_gradients_saved(folder: Path) -> Iterator[None]:
    """Save the gradients of the first optimiser step in the block; sharded ones are gathered, and saved by rank 0."""

    def save(optimiser: torch.optim.Optimizer, *_: Any) -> None:
        handle.remove()
        parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
        gradients = [
            gradient.full_tensor() if hasattr(gradient, "full_tensor") else gradient
            for gradient in (parameter.grad for parameter in parameters)
        ]
        if int(os.environ.get("RANK", "0")) == 0:
            numbered = {str(index): gradient.contiguous() for index, gradient in enumerate(gradients)}
            save_file(numbered, folder / GRADIENTS_FILE)

    handle = register_optimizer_step_pre_hook(save)
    try:
        yield
    finally:
        handle.remove()


def torchrun(recipe: Recipe, folder: Path, out: Path) -> None:
    """Train in two processes that find each other on loopback."""
    (folder / "recipe.json").write_text(recipe.model_dump_json(), encoding="utf-8")
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"),
        *(str(DRIVER), str(folder / "recipe.json"), str(folder), str(out)),
    ]
    paths = os.pathsep.join((str(ROOT / "src"), str(ROOT)))
    done = subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        timeout=200,
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
    )
    assert done.returncode == 0, done.stderr[-2000:]


def assert_two_processes_train_as_one(one: Recipe, one_folder: Path, two: Recipe, two_folder: Path) -> None:
    """Train one recipe in this process and the other in two; gradients and losses must agree up to rounding.

    Weights are not compared one by one: AdamW divides a gradient by its own size, so that a weight whose gradient is
    all rounding moves by a whole learning rate, up or down.
    """
    with first_gradients_saved(one_folder):
        alone = run(one, one_folder, one_folder / "train")
    torchrun(two, two_folder, two_folder / "train")
    together = read_json(two_folder / "train/summary.json")
    expected, actual = (load_file(folder / GRADIENTS_FILE) for folder in (one_folder, two_folder))
    assert expected.keys() == actual.keys()
    # A gradient is a sum over the targets of a step, fewer than 1,000; in another order, a float32 sum of n terms
    # differs by at most n * 2**-24 of the sum of their magnitudes (Higham 2002, section 4.2). Gradients that cancel to
    # 0, as those of attention's key biases, are all rounding; hence the scale is the largest gradient of all.
    largest = max(float(gradient.abs().max()) for gradient in expected.values())
    for name, gradient in expected.items():
        torch.testing.assert_close(actual[name], gradient, atol=1000 * 2**-24 * largest, rtol=1000 * 2**-24)
    # Later steps see weights that differ by that rounding; their losses are means over hundreds of targets.
    assert len(alone["losses"]) > 1
    assert together["losses"] == pytest.approx(alone["losses"], rel=1e-4)
    losses = (
        [evaluation["metrics"]["loss"] for evaluation in counts["evaluations"]]
        for counts in (together, alone)
    )
    assert next(losses) == pytest.approx(next(losses), rel=1e-4)
    # Every weight of every file is compared: two runs diverge by at most two learning rates per step.
    settings = one.train
    assert isinstance(settings, NeuralSettings)
    rate = settings.learning_rate * getattr(settings, "head_lr_multiplier", 1)
    for file in (one_folder / "train").glob("*.safetensors"):
        expected, actual = load_file(file), load_file(two_folder / "train" / file.name)
        assert expected.keys() == actual.keys()
        for name, weight in expected.items():
            torch.testing.assert_close(actual[name], weight, atol=2 * rate * len(alone["losses"]), rtol=0)
    assert not (two_folder / "checkpoints").exists()
    steps = [line for line in read_records(two_folder / "train/metrics.jsonl", TrainingMetrics) if line.loss]
    assert [line.loss for line in steps] == pytest.approx(together["losses"], abs=1e-6)
