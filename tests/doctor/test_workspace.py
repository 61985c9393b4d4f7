"""Data and models in a working folder; a damaged file hides nothing else."""

from __future__ import annotations

from pathlib import Path

from mentallama.analysts.checkpoints.metadata import ModelMetadata, write_model_metadata
from mentallama.doctor.workspace import DataFound, describe_workspace
from mentallama.tasks import load_tasks

HEADER = "id,subreddit,post_id,sentence_range,text,label,confidence,social_timestamp\n"


def test_without_folders_nothing_is_found(tmp_path: Path) -> None:
    workspace = describe_workspace(tmp_path / "data", tmp_path / "runs", load_tasks())
    assert (workspace.data, workspace.models, workspace.faults) == (None, (), ())


def test_data_and_models_are_found_beside_damaged_ones(tmp_path: Path) -> None:
    sources = tmp_path / "data/sources"
    for name in ("dreaddit", "Irf"):
        (sources / name).mkdir(parents=True)
    (sources / "dreaddit/dreaddit-train.csv").write_text(f"{HEADER}1,x,p,s,rain,0,1,2\n", encoding="utf-8")
    (sources / "Irf/train_data.csv").write_text("", encoding="utf-8")
    metadata = ModelMetadata(
        analyst="causal", fingerprint="f", form="instruction", max_tokens=8, sets=("DR",)
    )
    good, bad = (tmp_path / "runs" / name / "train" for name in ("good", "bad"))
    write_model_metadata(good, metadata, ())
    bad.mkdir(parents=True)
    (bad / "mentallama.json").write_text("{", encoding="utf-8")

    workspace = describe_workspace(tmp_path / "data", tmp_path / "runs", load_tasks())
    assert workspace.data == (DataFound("dreaddit", {}, {"dreaddit-train.csv": 1}),)
    assert workspace.models == (f"causal:{good}",)
    assert len(workspace.faults) == 2
    assert any("train_data.csv" in fault for fault in workspace.faults)
    assert any("mentallama.json" in fault for fault in workspace.faults)
