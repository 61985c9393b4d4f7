"""The exports for LLaMA-Factory: its own parser and converters read them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mentallama.export import export
from mentallama.export.source import ExportSource
from mentallama.tasks import load_tasks
from tests.factories.export_run import AUTHOR, COUNTS, make_run
from tests.factories.export_tools import LLAMA_FACTORY, needs_tools, run_script

QUESTIONS = 3
FORMATS = ("alpaca", "sharegpt")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def exports(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both exports."""
    folder = tmp_path_factory.mktemp("exports")
    for name in FORMATS:
        export(name, ExportSource(run, load_tasks()), folder / name)
    return folder


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def turn(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


@needs_tools
def test_llama_factory_reads_both_formats_as_the_data_set(run: Path, exports: Path, tmp_path: Path) -> None:
    folders = [exports / name for name in FORMATS]
    found = run_script("read_llama_factory.py", LLAMA_FACTORY, *folders, home=tmp_path)
    for name in FORMATS:
        assert set(found[name]) == {
            *(f"mentallama_{split}" for split in COUNTS),
            "mentallama_preference_train",
            "mentallama_preference_validation",
        }
        for split in COUNTS:
            ours = rows(run / f"check/data/instruction/{split}.jsonl")
            assert found[name][f"mentallama_{split}"] == [
                {"_prompt": [turn("user", row["query"])], "_response": [turn("assistant", row["response"])]}
                for row in ours
            ]
        pairs = found[name]["mentallama_preference_train"]
        assert len(pairs) == COUNTS["train"] * QUESTIONS
        chosen, rejected = (answer["content"] for answer in pairs[0]["_response"])
        assert chosen.startswith("Yes, the poster suffers from depression.")
        assert rejected.startswith("No, the poster does not suffer from depression.")


@pytest.mark.parametrize("name", FORMATS)
def test_every_file_of_dataset_info_exists_with_its_columns(exports: Path, name: str) -> None:
    info = json.loads((exports / name / "dataset_info.json").read_text(encoding="utf-8"))
    assert len(info) == 5
    for entry in info.values():
        [first, *_] = rows(exports / name / entry["file_name"])
        assert set(entry["columns"].values()) <= set(first)


def test_no_author_is_exported(exports: Path) -> None:
    assert all(
        AUTHOR not in path.read_text(encoding="utf-8") for path in exports.rglob("*") if path.is_file()
    )
