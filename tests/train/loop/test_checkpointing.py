"""A checkpoint that was damaged is never continued from."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mentallama.errors import DataError
from mentallama.train.run import run
from tests.factories.causal_cases import make_run
from tests.factories.training import killed_at_step


@pytest.mark.parametrize("name", ["step-*/*.distcp", "step-*/state.json", "best-*/*.distcp"])
def test_a_damaged_checkpoint_is_named_and_kept(tmp_path: Path, name: str) -> None:
    torch.set_num_threads(1)
    recipe = make_run(tmp_path, eval_steps=1, checkpoint_minutes=1e-9)
    with killed_at_step(3):
        run(recipe, tmp_path, tmp_path / "train")
    (path,) = (tmp_path / "checkpoints").glob(name)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(
        DataError, match=rf"{path.name}: damaged or changed.*delete .*checkpoints to train again"
    ):
        run(recipe, tmp_path, tmp_path / "train")
    assert path.is_file()
