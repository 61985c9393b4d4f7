"""Every recipe and every task file that is shipped, and what becomes of them when a person slips."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mentallama.config import read_recipe
from mentallama.errors import DataError, UsageError
from mentallama.tasks import read_task
from tests.factories.project import ROOT

RECIPES = sorted((ROOT / "recipes").glob("*.yaml"))
TASK_FILES = sorted((ROOT / "src/mentallama/tasks/data").glob("*.yaml"))

SCALARS = (
    "", "null", "~", "no", "yes", "-1", "0", "1e400", ".nan", ".inf", "nan", "99999999999999999999", "2024-13-45",
    "0x1F", "'", '"', "[", "]", "{", "}", "[a, b]", "{a: b}", "*x", "&x y", "!!int ''", "!!binary aGk=",
    "!!timestamp x", "!!python/name:os.system", "!x y", "|", ">", "%", "@", "`", "\t", "\0", "\x1b[31m", "\ud7ff", "é",
    "a: b: c", "- a", "? a", "<<: x", "..", "../..", "/", "~/x", "linear:", "remote:m@http://u:p@h", "remote:", ":",
    "forest",
)  # fmt: skip
"""Values that people, editors and attackers write."""


def replace_value(lines: list[str], dice: random.Random) -> None:
    at = dice.randrange(len(lines))
    key, colon, _ = lines[at].partition(":")
    lines[at] = f"{key}{colon} {dice.choice(SCALARS)}"


def misspell(lines: list[str], dice: random.Random) -> None:
    at = dice.randrange(len(lines))
    letter = dice.randrange(len(lines[at]) + 1)
    lines[at] = lines[at][:letter] + dice.choice("aZ:-#\t [{'\"") + lines[at][letter + 1 :]


def repeat(lines: list[str], dice: random.Random) -> None:
    lines.insert(dice.randrange(len(lines)), dice.choice(lines))


def drop(lines: list[str], dice: random.Random) -> None:
    del lines[dice.randrange(len(lines))]


def indent(lines: list[str], dice: random.Random) -> None:
    at = dice.randrange(len(lines))
    lines[at] = dice.choice(("  ", "\t", " ")) + lines[at]


def cut(lines: list[str], dice: random.Random) -> None:
    del lines[1 + dice.randrange(len(lines)) :]


SLIPS: tuple[Callable[[list[str], random.Random], None], ...] = (
    replace_value, misspell, repeat, drop, indent, cut,
)  # fmt: skip


def with_slips(path: Path, seed: int, count: int) -> str:
    dice = random.Random(seed)
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    for _ in range(count):
        dice.choice(SLIPS)(lines, dice)
        lines = lines or [""]
    return "\n".join(lines)


def sentences(error: Exception) -> list[str]:
    head, *faults = str(error).split("\n")
    assert all(fault.startswith("  - ") for fault in faults)
    return [head, *faults]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_shipped_recipe_is_read(path: Path) -> None:
    assert read_recipe(path).name == path.stem


@given(path=st.sampled_from(RECIPES), seed=st.integers(0, 2**32), count=st.integers(1, 4))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
def test_a_recipe_with_slips_is_read_or_refused_in_sentences(
    path: Path, seed: int, count: int, tmp_path: Path
) -> None:
    written = tmp_path / "mine.yaml"
    written.write_bytes(with_slips(path, seed, count).encode("utf-8", "surrogatepass"))
    refused: list[str] = [f"{written}: "]
    try:
        read_recipe(written)
    except UsageError as fault:
        refused = sentences(fault)
    assert refused[0].startswith(f"{written}: ")
    assert not any(word in line for line in refused for word in ("Traceback", "pydantic", "Input should"))


@given(path=st.sampled_from(TASK_FILES), seed=st.integers(0, 2**32), count=st.integers(1, 3))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
def test_a_task_file_with_slips_is_read_or_refused_in_a_sentence(
    path: Path, seed: int, count: int, tmp_path: Path
) -> None:
    written = tmp_path / "mine.yaml"
    written.write_bytes(with_slips(path, seed, count).encode("utf-8", "surrogatepass"))
    refused = f"{written}: "
    try:
        read_task(written)
    except DataError as fault:
        refused = str(fault)
    assert refused.startswith(f"{written}: ")
    assert not any(word in refused for word in ("\n", "pydantic", "Input should"))


@given(key=st.sampled_from(("seed", "sets", "data", "collect.tables", "teach.teacher", "train", "train.base",
                            "predict.splits[0]", "teach.teacher[0].spec", "name", "tasks", "ray")),
       value=st.sampled_from(SCALARS) | st.text(max_size=12))  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_any_override_is_applied_or_refused_in_sentences(key: str, value: str) -> None:
    refused: list[str] = []
    try:
        read_recipe(ROOT / "recipes/sample-build.yaml", (f"{key}={value}",))
    except UsageError as fault:
        refused = sentences(fault)
    assert not any(word in line for line in refused for word in ("pydantic", "Input should"))
