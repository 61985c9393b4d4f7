"""The baseline of a training, and files of the user's beside it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mentallama.analysts.base import NonFiniteOutputError
from mentallama.errors import UsageError
from mentallama.train.loop.distributed import DistributedContext
from mentallama.train.loop.session import cached_baseline

DEVICES = DistributedContext(torch.device("cpu"))


def test_a_baseline_is_measured_once_for_a_training(tmp_path: Path) -> None:
    values = iter(({"loss": 1.0}, {"loss": 2.0}))
    results = [cached_baseline(tmp_path, DEVICES, fingerprint, lambda: next(values)) for fingerprint in "aab"]
    assert results == [{"loss": 1.0}, {"loss": 1.0}, {"loss": 2.0}]


@pytest.mark.parametrize(
    "text", ['{"accuracy": 0.5}', "[]", '{"fingerprint": "a", "metrics": {}, "mine": 1}']
)
def test_a_file_of_the_users_with_the_name_of_the_baseline_is_kept(text: str, tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=r"baseline\.json: training writes a file of this name"):
        cached_baseline(tmp_path, DEVICES, "a", lambda: {"loss": 1.0})
    assert path.read_text(encoding="utf-8") == text


@pytest.mark.parametrize("metrics", [{"loss": float("nan")}, {"DR": [{"f1": float("inf")}]}])
def test_a_baseline_that_is_not_finite_is_an_error_and_is_not_saved(metrics: object, tmp_path: Path) -> None:
    with pytest.raises(NonFiniteOutputError):
        cached_baseline(tmp_path, DEVICES, "a", lambda: metrics)
    assert list(tmp_path.iterdir()) == []
