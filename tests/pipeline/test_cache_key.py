"""Cache keys: the settings and files that change them, and those that do not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mentallama.config import Recipe
from mentallama.pipeline.cache_key import cache_key, stage_cache_key
from mentallama.pipeline.registry import STAGES
from mentallama.tasks import load_tasks

TEACH = next(stage for stage in STAGES if stage.name == "teach")
TASKS = load_tasks()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "input"
    path.write_text("content", encoding="utf-8")
    return path


def test_a_key_holds_settings_tasks_versions_and_inputs(file: Path) -> None:
    key = cache_key({"pair": (1, 2)}, TASKS, (), {"shown": file})
    assert list(key) == ["settings", "tasks", "versions", "inputs"]
    assert key["settings"] == {"pair": [1, 2]}  # as JSON has it, so that it equals what a manifest holds
    # printf content | sha256sum
    digest = "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73"
    assert key["inputs"] == [{"name": "shown", "bytes": 7, "sha256": digest}]
    assert cache_key({}, TASKS, (), {}, {"review": "x"})["human_inputs"] == {"review": "x"}


@pytest.mark.parametrize(
    "change",
    [
        lambda file: cache_key({"a": 2}, TASKS, (), {"shown": file}),
        lambda file: cache_key({"a": 1}, {"CAMS": TASKS["CAMS"]}, (), {"shown": file}),
        lambda file: cache_key({"a": 1}, TASKS, ("causal",), {"shown": file}),
        lambda file: cache_key({"a": 1}, TASKS, (), {"other": file}),
        lambda file: cache_key({"a": 1}, TASKS, (), {"shown": file}, {}),
    ],
)
def test_each_part_changes_the_key(change: Callable[[Path], Any], file: Path) -> None:
    assert change(file) != cache_key({"a": 1}, TASKS, (), {"shown": file})


def test_a_stage_key_leaves_out_what_does_not_change_results(tmp_path: Path) -> None:
    (tmp_path / "collect").mkdir()
    (tmp_path / "collect/posts.jsonl.zst").write_bytes(b"posts")

    def key(teach: dict[str, Any], jobs: int = 1) -> dict[str, Any]:
        recipe = Recipe.model_validate({"name": "x", "data": ".", "jobs": jobs, "teach": teach})
        return stage_cache_key(TEACH, recipe, tmp_path)

    assert key({"budget": 1.0, "max_concurrency": 2, "timeout": 9.0}, jobs=3) != key({"splits": ["test"]})
    teacher = {"spec": "remote:m@http://localhost:1", "input_price": 1.0, "output_price": 2.0}
    assert key({"teacher": teacher, "budget": 1.0, "max_concurrency": 2}) == key({"teacher": teacher["spec"]})
    assert key({"teacher": teacher["spec"]}, jobs=3) == key({"teacher": teacher["spec"]})
    assert key({})["settings"]["teach"]["prompts"]
