"""The EMA of the weights: by hand, and in a resumed training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from mentallama.analysts.encoder.model import HEADS_FILE
from mentallama.train.loop.ema import WeightEMA
from mentallama.train.run import run
from tests.factories.encoder_cases import make_run
from tests.factories.training import killed_at_step


def linear_model(value: float) -> torch.nn.Linear:
    model = torch.nn.Linear(1, 1)
    torch.nn.init.constant_(model.weight, value)
    model.bias.requires_grad = False
    return model


def test_the_average_by_hand() -> None:
    model = linear_model(0.0)
    ema = WeightEMA(model, decay=0.5)
    assert set(ema.averages) == {"weight"}  # frozen weights are not averaged
    for step, value in ((1, 1.0), (20, 4.0)):
        torch.nn.init.constant_(model.weight, value)
        ema.update(model, step)
    # the new weights count 1 - 2/11 after step 1, and 1/2 after step 20
    assert ema.averages["weight"].item() == pytest.approx((9 / 11 + 4) / 2)


def test_the_averages_are_applied_only_within_the_block() -> None:
    model = linear_model(1.0)
    ema = WeightEMA(model, decay=0.9)
    torch.nn.init.constant_(model.weight, 5.0)
    during = []

    def fails() -> None:
        with ema.applied_to(model):
            during.append(model.weight.item())
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        fails()
    assert during == [1.0]
    assert model.weight.item() == 5.0
    assert ema.averages["weight"].item() == 1.0


def test_a_killed_training_resumes_averaging(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    settings: dict[str, Any] = {"epochs": 2, "ema_decay": 0.9, "checkpoint_minutes": 1e-9, "eval_steps": 6}
    run(make_run(tmp_path / "whole", **settings), tmp_path / "whole", tmp_path / "whole/train")
    again = make_run(tmp_path / "killed", base=str(tmp_path / "whole/base"), **settings)
    with killed_at_step(8):
        run(again, tmp_path / "killed", tmp_path / "killed/train")
    run(again, tmp_path / "killed", tmp_path / "killed/train")
    plain = make_run(tmp_path / "plain", base=str(tmp_path / "whole/base"), **{**settings, "ema_decay": None})
    run(plain, tmp_path / "plain", tmp_path / "plain/train")
    heads = [
        load_file(tmp_path / name / "train" / HEADS_FILE)["weight"] for name in ("whole", "killed", "plain")
    ]
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])
