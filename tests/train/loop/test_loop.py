"""The training loop: fingerprints, memory, infinite losses, early stopping, learning rates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from mentallama.config import CausalSettings
from mentallama.errors import MentallamaError
from mentallama.files.record_files import read_json
from mentallama.train.loop import loop
from mentallama.train.objectives import causal_sft
from mentallama.train.run import run
from tests.factories.causal_cases import make_run, save_llama


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny Llama of random weights."""
    folder = tmp_path_factory.mktemp("base")
    save_llama(folder)
    return folder


def test_a_checkpoint_of_another_training_is_not_resumed(tmp_path: Path, base: Path) -> None:
    recipe = make_run(tmp_path, base=str(base), checkpoint_minutes=1e-9)
    checkpoints = tmp_path / "checkpoints"
    (checkpoints / "step-00000002").mkdir(parents=True)
    (checkpoints / "step-00000002/state.json").write_text(
        '{"fingerprint": "other", "step": 2, "token_budget": 9}'
    )
    assert run(recipe, tmp_path, tmp_path / "train")["steps"] == 6
    assert len(read_json(tmp_path / "train/summary.json")["losses"]) == 6


def test_out_of_memory_halves_the_batch_and_is_logged(
    tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = run(make_run(tmp_path / "a", base=str(base)), tmp_path / "a", tmp_path / "a/train")
    loss = causal_sft.causal_loss

    def limited_memory(model: Any, batch: Any) -> torch.Tensor:
        if batch.input_ids.numel() > 400:
            raise torch.OutOfMemoryError("planted")
        return loss(model, batch)

    monkeypatch.setattr(causal_sft, "causal_loss", limited_memory)
    halved = run(
        make_run(tmp_path / "b", base=str(base), max_batch_tokens=1600), tmp_path / "b", tmp_path / "b/train"
    )
    log = capsys.readouterr().err
    assert "train: out of memory; continuing with 800 tokens per batch instead of 1600" in log
    assert "continuing with 400 tokens per batch instead of 800" in log
    assert halved["losses"] == pytest.approx(whole["losses"], rel=1e-4)


def test_a_row_that_never_fits_is_an_error(
    tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_memory(model: Any, batch: Any) -> torch.Tensor:
        raise torch.OutOfMemoryError("planted")

    monkeypatch.setattr(causal_sft, "causal_loss", no_memory)
    with pytest.raises(
        MentallamaError, match=r"out of memory at step 1 with \d+ tokens in a batch; the last checkpoint"
    ):
        run(make_run(tmp_path, base=str(base)), tmp_path, tmp_path / "train")


def test_a_non_finite_loss_stops_training_and_keeps_the_last_good_weights(
    tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loss = causal_sft.causal_loss
    calls = []

    def broken(model: Any, batch: Any) -> torch.Tensor:
        calls.append(1)
        return loss(model, batch) * (float("nan") if len(calls) == 3 else 1.0)

    monkeypatch.setattr(causal_sft, "causal_loss", broken)
    with pytest.raises(
        MentallamaError, match=r"the loss became NaN or infinite at step 3; the weights after step 2 are kept"
    ):
        run(make_run(tmp_path, base=str(base)), tmp_path, tmp_path / "train")
    assert (tmp_path / "checkpoints/step-00000002/state.json").is_file()


def test_early_stopping_after_evaluations_without_improvement(tmp_path: Path, base: Path) -> None:
    settings = {
        "base": str(base),
        "epochs": 8,
        "early_stopping_patience": 2,
        "learning_rate": 3.0,
        "schedule": "constant",
    }
    counts = run(make_run(tmp_path, **settings), tmp_path, tmp_path / "train")
    best = counts["best"]["step"]
    assert counts["steps"] < 24
    assert [evaluation["step"] for evaluation in counts["evaluations"]][-1] == counts["steps"]
    assert sum(evaluation["step"] > best for evaluation in counts["evaluations"]) == 2


def test_the_learning_rate_by_hand() -> None:
    settings = CausalSettings(
        analyst="causal", base="b", learning_rate=1.0, warmup_ratio=0.2, schedule="linear"
    )
    assert [loop.learning_rate_at(step, 10, settings) for step in range(10)] == pytest.approx(
        [0.5, 1.0, 1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125]
    )
    cosine = settings.model_copy(update={"schedule": "cosine"})
    assert loop.learning_rate_at(6, 10, cosine) == pytest.approx(0.5)
