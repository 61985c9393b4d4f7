"""Extensions from outside the package: each is one object, and one line in a table.

A test passes its own table where the package takes one as an argument; what it adds is all that an extension needs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from mentallama.cli.stages import add_stage_commands
from mentallama.config import Recipe, read_recipe
from mentallama.config.base import Settings
from mentallama.errors import TooManyRejectsError, UsageError
from mentallama.files.manifest import read_manifest
from mentallama.files.record_files import read_json, write_json
from mentallama.pipeline.registry import STAGES, recipe_model
from mentallama.pipeline.runner import run_recipe
from mentallama.pipeline.stage import Stage
from mentallama.progress import LogFn

# --- a stage: config/count.py, count/run.py, count/stage.py, and a line in pipeline.registry.STAGES ----


class Count(Settings):
    """Settings of a stage that counts the characters of a file."""

    file: Path
    at_most: int = 100
    workers: int = 1
    """Does not change the count."""


def count_inputs(recipe: Recipe, folder: Path) -> dict[str, Path]:
    return {"text": recipe.count.file}  # type: ignore[attr-defined]


def count_characters(recipe: Recipe, folder: Path, out: Path) -> dict[str, Any]:
    count = len(recipe.count.file.read_text(encoding="utf-8"))  # type: ignore[attr-defined]
    write_json(out / "count.json", {"characters": count})
    return {"characters": count}


def count_verdict(recipe: Recipe, folder: Path, log: LogFn) -> str | None:
    characters = read_json(folder / "count/count.json")["characters"]
    return f"{characters} characters" if characters > recipe.count.at_most else None  # type: ignore[attr-defined]


COUNT_STAGE = Stage(
    name="count",
    help="Count characters.",
    inputs=count_inputs,
    run=count_characters,
    settings=Count,
    cache_exclude={"workers": True, "at_most": True},
    notes=lambda folder: [f"note: {folder.name} counted"],
    verdict=count_verdict,
)
WITH_COUNT = (*STAGES[:1], COUNT_STAGE, *STAGES[1:])


@pytest.fixture
def recipe_path(tmp_path: Path) -> Path:
    (tmp_path / "text.txt").write_text("seven c", encoding="utf-8")
    path = tmp_path / "recipe.yaml"
    path.write_text(f"name: toy\ndata: .\ncount: {{file: {tmp_path / 'text.txt'}}}\n", encoding="utf-8")
    return path


def run_count(recipe_path: Path, *overrides: str) -> list[str]:
    """The lines that a run logs."""
    lines: list[str] = []
    recipe = read_recipe(recipe_path, overrides, recipe_model(WITH_COUNT))
    run_recipe(recipe, recipe_path.parent / "run", lines.append, stages=WITH_COUNT)
    return lines


def test_a_stage_is_run_skipped_and_rerun_by_its_own_rules(recipe_path: Path) -> None:
    first = run_count(recipe_path)
    assert first[0].startswith("count: done in ")
    assert first[1:] == ["note: run counted"]
    manifest = read_manifest(recipe_path.parent / "run/count")
    assert manifest is not None
    assert manifest.counts == {"characters": 7}
    assert "workers" not in manifest.cache_key["settings"]["count"]

    assert run_count(recipe_path, "count.workers=3") == ["count: up to date", "note: run counted"]
    (recipe_path.parent / "text.txt").write_text("eight ch", encoding="utf-8")
    assert run_count(recipe_path)[0].startswith("count: done in ")


def test_the_verdict_of_a_stage_ends_the_run_with_exit_code_3(recipe_path: Path) -> None:
    with pytest.raises(TooManyRejectsError, match="7 characters"):
        run_count(recipe_path, "count.at_most=6")
    assert (recipe_path.parent / "run/count/count.json").is_file()


def test_the_keys_of_a_stage_are_checked_with_the_recipe(recipe_path: Path) -> None:
    with pytest.raises(UsageError, match=r"count\.at_mots: no such key; did you mean at_most\?"):
        run_count(recipe_path, "count.at_mots=6")
    with pytest.raises(UsageError, match=r"count: no such key"):
        read_recipe(recipe_path)  # without the line in the table


def test_a_stage_has_a_command(recipe_path: Path) -> None:
    app = typer.Typer()
    add_stage_commands(app, WITH_COUNT)
    runner = CliRunner()
    assert (
        "Count characters. Runs the recipe up to this stage."
        in runner.invoke(app, ["count", "--help"]).output
    )
    out = recipe_path.parent / "run"
    done = runner.invoke(app, ["count", str(recipe_path), "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[-1] == str(out / "count")
