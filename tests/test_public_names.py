"""The names that `import mentallama` offers: lazily imported, typed, and with examples that run."""

from __future__ import annotations

import doctest
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import mentallama
from tests.factories.project import ROOT
from tests.test_architecture import HEAVY

FUNCTIONS = [name for name in mentallama.__all__ if inspect.isfunction(getattr(mentallama, name))]


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_importing_the_package_loads_nothing() -> None:
    loaded = "sorted(name for name in sys.modules if name.startswith('mentallama'))"
    assert python(f"import sys, mentallama; print({loaded})") == "['mentallama']"
    assert python("import mentallama; print(mentallama.__all__ == sorted(mentallama.__all__))") == "True"


def test_every_public_name_can_be_imported_and_is_listed() -> None:
    listed = python("import mentallama; print(*dir(mentallama))").split()
    assert {name for name in listed if not name.startswith("_")} == set(mentallama.__all__) - {"__version__"}
    star = python("from mentallama import *; print(*sorted(set(dir()) - {'__builtins__'}))").split()
    assert set(mentallama.__all__) <= set(star)
    assert len(mentallama.__all__) >= 17
    assert len(FUNCTIONS) >= 6
    with pytest.raises(AttributeError, match="no attribute 'analyse'"):
        _ = mentallama.analyse  # type: ignore[attr-defined]


def test_opening_an_analyst_loads_no_neural_library() -> None:
    loaded = python("import sys, mentallama; mentallama.open_analyst; print(*sys.modules)").split()
    assert not {"torch", "transformers", "sklearn", "matplotlib", "aiohttp"} & set(loaded)
    assert {"torch", "transformers"} < HEAVY


@pytest.mark.parametrize("name", [*FUNCTIONS, "evaluate"])
def test_functions_are_documented(name: str) -> None:
    function = getattr(mentallama, name)
    described = inspect.getdoc(function) or ""
    for section in ("Parameters", "Raises", "Examples"):
        assert f"\n{section}\n{'-' * len(section)}\n" in described
    parameters = described.partition("Parameters\n---")[2].partition("\n---")[0]
    documented = set(re.split(r"[,\s]+", " ".join(re.findall(r"^[a-z_]+(?:, [a-z_]+)*$", parameters, re.M))))
    assert set(inspect.signature(function).parameters) <= documented
    assert all(parameter.annotation for parameter in inspect.signature(function).parameters.values())


@pytest.mark.parametrize(
    "module",
    [
        "analysts.answer",
        "answers.format",
        "answers.parse",
        "cli.tables",
        "doctor.installation",
        "doctor.machine",
        "environment",
        "errors",
        "evaluate.answers",
        "program",
        "tasks.catalogue",
    ],
)
def test_examples_of_docstrings_run(module: str) -> None:
    tested = doctest.testmod(__import__(f"mentallama.{module}", fromlist=["x"]))
    assert tested.failed == 0
    assert tested.attempted >= 1


USER_CODE = """
import pandas as pd
import mentallama as ml

analyst = ml.open_analyst("linear:runs/sample-linear/train", device="cpu", max_new_tokens=64)
answers = analyst.analyze(pd.Series(["a"]), task="dreaddit")
reveal_type(answers[0].label)
reveal_type(answers[0].probability)
reveal_type(answers[0].evidence)
reveal_type(answers[:2])
reveal_type(answers.to_frame())
reveal_type(answers.to_frame("polars"))
reveal_type(ml.evaluate(answers, pd.Series(["yes"]))["dreaddit"].weighted_f1)
reveal_type(ml.run("recipes/x.yaml", {"jobs": 1}).scores)
reveal_type(ml.read_answer("SAD", "work"))
reveal_type(ml.load_tasks("tasks"))
ml.open_analyst("linear:x", device="tpu")
answers.to_frame("arrow")
"""

REVEALED = [
    "str | None",
    "float | None",
    "tuple[mentallama.analysts.answer.Quotation, ...]",
    "mentallama.analysts.answer.Answers",
    "pandas.core.frame.DataFrame",
    "polars.dataframe.frame.DataFrame",
    "float",
    "mentallama.evaluate.score_file.ScoreFile",
    "mentallama.records.Reading",
    "typing.Mapping[str, mentallama.tasks.schema.Task]",
]


@pytest.mark.slow
def test_types_of_a_users_code(tmp_path: Path) -> None:
    """With the cache of the project's own check, if there is one."""
    (tmp_path / "user.py").write_text(USER_CODE, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file", "pyproject.toml", tmp_path / "user.py"],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        env={"MYPYPATH": str(ROOT / "src"), "PATH": ""},
    )
    assert re.findall(r'Revealed type is "(.*)"', done.stdout) == REVEALED, done.stdout + done.stderr
    errors = re.findall(r"user\.py:(\d+): error: .*\[([\w-]+)\]", done.stdout)
    assert errors == [("17", "arg-type"), ("18", "call-overload")], done.stdout
