"""The moving average of the weights: by hand, and in a resumed training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from mentallama.analysts.encoder.model import HEADS_FILE
from mentallama.train.loop.ema import WeightEMA
from mentallama.train.run import run
from tests.factories.encoder_cases import made
from tests.factories.training import killed_at_step


def line(value: float) -> torch.nn.Linear:
    model = torch.nn.Linear(1, 1)
    torch.nn.init.constant_(model.weight, value)
    model.bias.requires_grad = False
    return model


def test_the_average_by_hand() -> None:
    model = line(0.0)
    average = WeightEMA(model, decay=0.5)
    assert set(average.averages) == {"weight"}  # what does not learn is not averaged
    for step, value in ((1, 1.0), (20, 4.0)):
        torch.nn.init.constant_(model.weight, value)
        average.update(model, step)
    # after step 1 the new weight counts 1 - 2/11; later, a half
    assert average.averages["weight"].item() == pytest.approx((9 / 11 + 4) / 2)


def test_the_model_has_it_only_within() -> None:
    model = line(1.0)
    average = WeightEMA(model, decay=0.9)
    torch.nn.init.constant_(model.weight, 5.0)
    during = []

    def fails() -> None:
        with average.applied_to(model):
            during.append(model.weight.item())
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        fails()
    assert during == [1.0]
    assert model.weight.item() == 5.0
    assert average.averages["weight"].item() == 1.0


def test_a_killed_training_resumes_averaging(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    settings: dict[str, Any] = {"epochs": 2, "ema_decay": 0.9, "checkpoint_minutes": 1e-9, "eval_steps": 6}
    run(made(tmp_path / "whole", **settings), tmp_path / "whole", tmp_path / "whole/train")
    again = made(tmp_path / "killed", base=str(tmp_path / "whole/base"), **settings)
    with killed_at_step(8):
        run(again, tmp_path / "killed", tmp_path / "killed/train")
    run(again, tmp_path / "killed", tmp_path / "killed/train")
    plain = made(tmp_path / "plain", base=str(tmp_path / "whole/base"), **{**settings, "ema_decay": None})
    run(plain, tmp_path / "plain", tmp_path / "plain/train")
    heads = [
        load_file(tmp_path / name / "train" / HEADS_FILE)["weight"] for name in ("whole", "killed", "plain")
    ]
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])
