"""Who may import whom (DESIGN 5), read from the syntax tree; and what a bare import brings in."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.factories.project import SOURCE

CONTRACTS = frozenset(
    (
        "errors",
        "records",
        "store",
        "tables",
        "release",
        "config",
        "tasks",
        "answers",
        "claims",
        "prompts",
        "privacy",
        "safety",
        "parallel",
        "progress",
        "manifest",
        "keys",
        "duplicates",
        "quotes",
        "quoting",
        "forgotten",
        "words",
        "answer_sentence",
    )
)
STAGES = frozenset(("collect", "teach", "check", "train", "predict", "evaluate", "rate"))
TOP = frozenset(
    ("__main__", "report", "serve", "cli", "predicting", "stages", "wiring", "analysis", "forget", "show")
)
HEAVY = frozenset(
    (
        "aiohttp",
        "sacrebleu",
        "py3langid",
        "torch",
        "transformers",
        "sklearn",
        "scipy",
        "matplotlib",
        "openpyxl",
        "pyarrow",
        "ftfy",
        "rensa",
        "rich",
    )
)
LIGHT = CONTRACTS | {"cli", "predicting", "stages", "wiring", "predict"}
"""Rooms that every command passes through: heavy libraries only inside the functions that need them."""
OPTIONAL = frozenset(
    (
        "torch",
        "transformers",
        "peft",
        "trl",
        "vllm",
        "ray",
        "fastapi",
        "uvicorn",
        "httpx",
        "safetensors",
        "tokenizers",
    )
)
"""Not in a bare install, which imports every module that does not need them."""

Import = tuple[str, str, bool]
"""room that imports, room or library imported, at the top of the module"""


def imports(source: Path) -> Iterator[tuple[Path, Import]]:
    """Every import below `source`/mentallama, also those inside functions."""
    for path in sorted((source / "mentallama").rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        room = path.relative_to(source / "mentallama").with_suffix("").parts[0]
        nested = {
            node for outer in ast.walk(tree) if isinstance(outer, (ast.FunctionDef, ast.AsyncFunctionDef))
            for node in ast.walk(outer)
        }  # fmt: skip
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}: a relative import"
                module = node.module or ""
                inside = module == "mentallama"
                names = [f"{module}.{alias.name}" for alias in node.names] if inside else [module]
            else:
                continue
            for name in names:
                first, _, rest = name.partition(".")
                target = f"mentallama.{rest.split('.')[0]}" if first == "mentallama" and rest else first
                yield path, (room, target, node not in nested)


def allowed(room: str, target: str) -> bool:
    """Whether a room may import another room of the package."""
    if room in TOP or room in {"__init__", target}:
        return True
    below = CONTRACTS | {"__version__"}
    if room in CONTRACTS:
        return target in below
    if room == "endpoint":
        return target in below
    if room == "models":
        return target in below | {"endpoint"}
    assert room in STAGES, f"{room}: a room that DESIGN 5 does not know; say where it stands"
    return target in below | {"endpoint", "models"}


def faults(source: Path) -> list[str]:
    found = []
    for path, (room, target, top) in imports(source):
        if target.startswith("mentallama."):
            if not allowed(room, target.removeprefix("mentallama.")):
                found.append(f"{path.name} of {room} imports {target}")
        elif top and target in HEAVY and room in LIGHT:
            found.append(f"{path.name} of {room} imports {target} at its top")
    return found


def test_no_room_imports_what_stands_beside_or_above_it() -> None:
    assert faults(SOURCE) == []


def test_the_test_saw_the_house() -> None:
    seen = [each for _, each in imports(SOURCE)]
    rooms = {room for room, _, _ in seen}
    inner = [(room, target) for room, target, _ in seen if target.startswith("mentallama.")]
    assert len(list((SOURCE / "mentallama").rglob("*.py"))) >= 60
    assert len(seen) >= 350
    assert len(inner) >= 180
    assert rooms >= {
        "errors",
        "records",
        "store",
        "tasks",
        "answers",
        "models",
        "collect",
        "train",
        "evaluate",
        "cli",
    }
    assert sum(not top for _, _, top in seen) >= 20  # imports inside functions are seen too
    assert sum(room in STAGES and target == "mentallama.analysts" for room, target in inner) >= 3


@pytest.mark.parametrize(
    ("file", "line", "fault"),
    [
        (
            "store.py",
            "from mentallama.analysts.linear.analyst import Linear",
            "store.py of store imports mentallama.analysts",
        ),
        ("tasks/task.py", "from mentallama import collect", "task.py of tasks imports mentallama.collect"),
        (
            "models/linear.py",
            "import mentallama.train.linear.fit",
            "linear.py of models imports mentallama.train",
        ),
        (
            "collect/run.py",
            "from mentallama.evaluate import score",
            "run.py of collect imports mentallama.evaluate",
        ),
        (
            "predict.py",
            "def f():\n    from mentallama.train.linear.fit import g",
            "predict.py of predict imports mentallama.train",
        ),
        (
            "evaluate/run.py",
            "from mentallama.cli.app import app",
            "run.py of evaluate imports mentallama.cli.app",
        ),
        ("answers.py", "import torch.nn", "answers.py of answers imports torch at its top"),
        ("cli.py", "if True:\n    from sklearn.svm import SVC", "cli.py of cli imports sklearn at its top"),
    ],
)
def test_a_broken_rule_is_found(file: str, line: str, fault: str, tmp_path: Path) -> None:
    path = tmp_path / "mentallama" / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"import json\nfrom mentallama.errors import BadData\n{line}\n", encoding="utf-8")
    assert faults(tmp_path) == [fault]


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("store.py", "from mentallama.errors import BadData"),
        ("models/linear.py", "from mentallama.analysts.linear.features import f"),
        ("train/run.py", "from mentallama.analysts.linear.analyst import Linear"),
        ("train/run.py", "from mentallama.train.linear.fit import fit"),
        ("cli.py", "from mentallama.collect.run import run"),
        ("models/linear.py", "def f():\n    import torch"),
    ],
)
def test_a_kept_rule_is_no_fault(file: str, line: str, tmp_path: Path) -> None:
    path = tmp_path / "mentallama" / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{line}\n", encoding="utf-8")
    assert faults(tmp_path) == []
    assert len(list(imports(tmp_path))) == 1


def test_a_room_that_the_design_does_not_know_must_be_placed(tmp_path: Path) -> None:
    path = tmp_path / "mentallama" / "utils.py"
    path.parent.mkdir()
    path.write_text("from mentallama.errors import BadData\n", encoding="utf-8")
    with pytest.raises(AssertionError, match="utils: a room that DESIGN 5 does not know"):
        faults(tmp_path)


def loaded(statement: str) -> set[str]:
    """Libraries in memory once a fresh Python has run a statement."""
    code = f"{statement}\nimport sys\nprint(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(SOURCE)},
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "module", ["cli", "answers", "config", "store", "tasks", "release", "privacy", "stages"]
)
def test_a_bare_import_brings_in_nothing_heavy(module: str) -> None:
    found = loaded(f"import mentallama.{module}")
    assert "mentallama" in found
    assert found & HEAVY == set()


def test_something_heavy_would_be_seen() -> None:
    assert "scipy" in loaded("import scipy.sparse") & HEAVY


def modules() -> list[str]:
    paths = sorted((SOURCE / "mentallama").rglob("*.py"))
    names = [".".join(path.relative_to(SOURCE).with_suffix("").parts) for path in paths]
    return [name.removesuffix(".__init__") for name in names]


def test_every_module_can_be_imported_that_asks_for_nothing_optional() -> None:
    lacking = Counter(_lacking(name) for name in modules())
    assert set(lacking) <= OPTIONAL | {None}
    assert lacking[None] >= 60


def _lacking(module: str) -> str | None:
    """The library that a module cannot be imported without, where it is not there."""
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as fault:
        return fault.name
    return None
