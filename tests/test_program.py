"""The words that start this program, as its reader called it."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from mentallama.program import command_line, program_words
from tests.factories.project import SOURCE


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A script `mentallama` in a folder that the shell does not search; the working folder is the one above."""
    script = tmp_path / "bin dir/mentallama"
    script.parent.mkdir()
    script.write_text(
        f"#!{sys.executable}\nfrom mentallama.program import command_line\n"
        "print(command_line('run x.yaml'))\nprint(command_line('run x.yaml', elsewhere=True))\n",
        encoding="utf-8",
    )
    script.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", os.defpath)
    monkeypatch.setenv("PYTHONPATH", str(SOURCE))
    return script


def typed(line: str) -> list[str]:
    done = subprocess.run(["/bin/sh", "-c", line], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_a_script_is_named_as_it_was_called(tool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    absolute = f"{shlex.quote(str(tool))} run x.yaml"
    assert typed("'bin dir/mentallama'") == ["'bin dir/mentallama' run x.yaml", absolute]
    assert typed(shlex.quote(str(tool))) == [absolute, absolute]
    monkeypatch.setenv("PATH", str(tool.parent))
    assert typed("mentallama") == ["mentallama run x.yaml"] * 2


def test_what_is_printed_can_be_typed(tool: Path) -> None:
    first, elsewhere = typed("'bin dir/mentallama'")
    assert typed(first) == [first, elsewhere]
    assert typed(f"cd / && {elsewhere}") == [elsewhere, elsewhere]


@pytest.mark.parametrize(
    ("interpreter", "elsewhere", "words"),
    [
        ("python3", True, ["python3", "-m", "mentallama"]),
        ("env/bin/python", False, ["env/bin/python", "-m", "mentallama"]),
        ("env/bin/python", True, [str(Path.cwd() / "env/bin/python"), "-m", "mentallama"]),
    ],
)
def test_a_module_is_named_with_its_python(interpreter: str, elsewhere: bool, words: list[str]) -> None:
    assert program_words("/lib/mentallama/__main__.py", interpreter, elsewhere=elsewhere) == words


@pytest.mark.parametrize("argv0", ["", "-c", "notebook.py", "/lib/ipykernel/__main__.py", "/bin/pytest"])
def test_another_program_that_imports_the_package_gets_the_plain_name(argv0: str) -> None:
    assert program_words(argv0, "python") == ["mentallama"]


def test_messages_within_this_process_have_the_plain_name() -> None:
    assert command_line("init DIR") == "mentallama init DIR"
