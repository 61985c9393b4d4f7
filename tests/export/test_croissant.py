"""The Croissant export: mlcroissant loads the rows from the exported folder alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from mentallama.check.output.croissant import croissant_metadata, dataset_files
from mentallama.check.output.dataset_card import DatasetCardData, dataset_card_path, render_dataset_card
from mentallama.check.output.gate_report_schema import AcceptedCount, GateReport
from mentallama.config import Publication
from mentallama.errors import DataError, UsageError
from mentallama.export import export
from mentallama.export.source import ExportSource
from mentallama.files.atomic import write_json, write_text
from mentallama.tasks import load_tasks
from tests.factories.export_run import AUTHOR, COUNTS, make_run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run whose check wrote the card and the metadata."""
    run = make_run(tmp_path / "run")
    accepted = tuple(
        AcceptedCount(set="CLP", split=split, label="yes", rows=count) for split, count in COUNTS.items()
    )
    report = GateReport(responses=36, accepted=36, unanswered=0, gates=(), accepted_by_label=accepted)
    card = DatasetCardData("a-build", report, load_tasks(), False, ("en",))
    write_text(dataset_card_path(run / "check"), render_dataset_card(card))
    metadata = croissant_metadata(card, Publication(), dataset_files(run / "check"))
    write_json(run / "check/croissant.json", metadata)
    return run


def to_croissant(run: Path, out: Path) -> Path:
    export("croissant", ExportSource(run, load_tasks()), out)
    return out


def test_mlcroissant_loads_the_rows_of_the_exported_folder(run: Path, tmp_path: Path) -> None:
    import mlcroissant

    out = to_croissant(run, tmp_path / "out")
    shutil.rmtree(run)
    rows = list(mlcroissant.Dataset(jsonld=str(out / "croissant.json")).records("instruction"))
    assert len(rows) == 3 * sum(COUNTS.values())
    splits = [row["instruction/split"].decode() for row in rows]
    assert {split: splits.count(split) for split in COUNTS} == {
        split: 3 * count for split, count in COUNTS.items()
    }
    assert {path.name for path in out.iterdir()} == {
        "README.md", "croissant.json", "data", "dataset_card.md", "gates.json", "manifest.json"
    }  # fmt: skip
    assert "| data/instruction/train.jsonl | train | 18 |" in (out / "README.md").read_text(encoding="utf-8")


def test_no_author_is_exported(run: Path, tmp_path: Path) -> None:
    out = to_croissant(run, tmp_path / "out")
    assert all(AUTHOR not in path.read_text(encoding="utf-8") for path in out.rglob("*") if path.is_file())


def test_files_that_the_metadata_does_not_describe_any_more_are_refused(run: Path, tmp_path: Path) -> None:
    changed = run / "check/data/completion/train.jsonl"
    changed.write_text(changed.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"train.jsonl: its content is not what croissant.json describes"):
        to_croissant(run, tmp_path / "out")
    changed.unlink()
    with pytest.raises(DataError, match=r"describes data/completion/train\.jsonl, which is not there"):
        to_croissant(run, tmp_path / "out")


def test_metadata_never_names_a_file_outside_the_data_set(run: Path, tmp_path: Path) -> None:
    path = run / "check/croissant.json"
    metadata = json.loads(path.read_text(encoding="utf-8"))
    metadata["distribution"][0]["contentUrl"] = "../collect/posts.jsonl.zst"
    write_json(path, metadata)
    with pytest.raises(DataError, match="which is not there"):
        to_croissant(run, tmp_path / "out")


def test_a_data_set_without_metadata_is_refused(run: Path, tmp_path: Path) -> None:
    (run / "check/croissant.json").unlink()
    with pytest.raises(UsageError, match="run check again, which writes it"):
        to_croissant(run, tmp_path / "out")
