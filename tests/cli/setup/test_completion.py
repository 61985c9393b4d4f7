"""Completion in the shell: what is offered for recipes, tasks and models, and that it loads nothing heavy."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mentallama.analysts.registry import ANALYSTS
from mentallama.cli.setup.completion import complete_models, complete_recipes, complete_tasks
from mentallama.tasks import load_tasks
from tests.factories.project import SOURCE


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("mine.yaml", "recipes/a.yaml", "recipes/b.yml", "recipes/c.txt", "other/d.yaml"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("name: x\n", encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("", ["mine.yaml", "recipes/a.yaml", "recipes/b.yml"]),
        ("m", ["mine.yaml"]),
        ("rec", ["recipes/a.yaml", "recipes/b.yml"]),
        ("recipes/a", ["recipes/a.yaml"]),
        ("other/", ["other/d.yaml"]),
        ("gone/", []),
        ("x", []),
    ],
)
def test_recipes_are_offered_by_their_paths(typed: str, offered: list[str], here: Path) -> None:
    assert complete_recipes(typed) == offered


def context(**params: Any) -> Any:
    return SimpleNamespace(params=params)


def test_tasks_are_offered_with_ones_own(here: Path) -> None:
    assert complete_tasks(context(), "") == sorted(load_tasks())
    assert complete_tasks(context(), "D") == ["DR"]
    own = here / "tasks"
    own.mkdir()
    (own / "one.yaml").write_text('# a comment\nset: "sleep"  # mine\n', encoding="utf-8")
    (own / "damaged.yaml").write_bytes(b"\xff\xfe set: x")
    (own / "folder.yaml").mkdir()
    assert complete_tasks(context(tasks_folder=own), "s") == ["sleep", "swmh"]
    assert complete_tasks(context(tasks_folder=here / "gone"), "s") == ["swmh"]


def test_models_are_offered_with_every_kind(here: Path) -> None:
    for name, file, text in (("good", "model.json", "{}"), ("bad", "mentallama.json", "{")):
        (here / f"runs/{name}/train").mkdir(parents=True)
        (here / f"runs/{name}/train" / file).write_text(text, encoding="utf-8")
    assert complete_models("li") == ["linear:", "linear:runs/good/train"]
    assert complete_models("") == sorted(["linear:runs/good/train", *(f"{kind}:" for kind in ANALYSTS)])


@pytest.mark.parametrize(
    ("shell", "words"),
    [
        ("bash", {"COMP_WORDS": "mentallama tasks show dre", "COMP_CWORD": "3"}),
        ("zsh", {"_TYPER_COMPLETE_ARGS": "mentallama tasks show dre"}),
        (
            "fish",
            {"_TYPER_COMPLETE_ARGS": "mentallama tasks show dre", "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
        ),
    ],
)
def test_each_shell_is_answered_without_heavy_libraries(shell: str, words: dict[str, str]) -> None:
    code = (
        "import atexit, json, sys\n"
        "atexit.register(lambda: print(json.dumps(sorted(sys.modules)), file=sys.stderr))\n"
        "sys.argv = ['mentallama']\n"
        "from mentallama.__main__ import main\n"
        "main()"
    )
    environ = {**os.environ, "PYTHONPATH": str(SOURCE), "_MENTALLAMA_COMPLETE": f"complete_{shell}", **words}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True, timeout=60
    )
    assert "dreaddit" in done.stdout
    assert "CAMS" not in done.stdout
    loaded = {name.partition(".")[0] for name in json.loads(done.stderr)}
    assert "mentallama" in loaded
    assert loaded & {"numpy", "scipy", "sklearn", "torch", "aiohttp", "transformers", "pandas"} == set()
