"""Checkpoints: a damaged one is never continued from, and nothing but checkpoints is deleted with them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mentallama.errors import DataError
from mentallama.train.loop.checkpointing import Checkpoints
from mentallama.train.loop.distributed import DistributedContext
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


def test_only_checkpoints_are_deleted_from_their_folder(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "checkpoints", DistributedContext(torch.device("cpu")))
    ours = ("step-00000003", "best-00000002", ".step-00000004.partial")
    theirs = ("step-by-step", "best-practices", "step-00000003-copy")
    for name in (*ours, *theirs):
        (checkpoints.folder / name).mkdir(parents=True)
    (checkpoints.folder / "notes.txt").write_text("mine", encoding="utf-8")
    checkpoints.remove()
    assert {path.name for path in checkpoints.folder.iterdir()} == {*theirs, "notes.txt"}


def test_a_folder_of_checkpoints_alone_goes_with_them(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "checkpoints", DistributedContext(torch.device("cpu")))
    (checkpoints.folder / "step-00000003").mkdir(parents=True)
    checkpoints.remove()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_the_users_is_no_checkpoint(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "checkpoints", DistributedContext(torch.device("cpu")))
    theirs = checkpoints.folder / "step-by-step"
    theirs.mkdir(parents=True)
    (theirs / "state.json").write_text("mine", encoding="utf-8")
    assert checkpoints.resume_state("a") is None
    assert (theirs / "state.json").is_file()
