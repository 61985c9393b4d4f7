"""The help of every command: what it reads and writes, an example that can be typed, and 80 columns."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from typer.main import get_command

from mentallama.cli.app import app
from tests.factories.project import SOURCE

WIDTH = 80


def command_tree(command: Any, name: str, parent: Any = None) -> Iterator[tuple[str, Any]]:
    """The context of every command, by its path such as `mentallama tasks show`."""
    settings = command.context_settings
    context = command.context_class(
        command, info_name=name, parent=parent, terminal_width=WIDTH, max_content_width=WIDTH, **settings
    )
    yield context.command_path, context
    for child, below in getattr(command, "commands", {}).items():
        yield from command_tree(below, child, context)


PAGES = {path: context.get_help() for path, context in command_tree(get_command(app), "mentallama")}
every_page = pytest.mark.parametrize("path", PAGES)


def example_lines(path: str) -> list[str]:
    """Lines of the examples, a continued one joined with those that follow."""
    text = re.split(r"^Examples?:\n", PAGES[path], flags=re.MULTILINE)[-1]
    return [line.strip() for line in text.replace("\\\n", " ").splitlines() if line.strip()]


def test_all_commands_are_seen() -> None:
    assert len(PAGES) >= 18
    assert {"mentallama", "mentallama run", "mentallama tasks show", "mentallama doctor"} <= set(PAGES)


@every_page
def test_the_help_says_what_the_command_reads_and_writes(path: str) -> None:
    text = " ".join(re.split(r"^Arguments:|^Options:", PAGES[path], flags=re.MULTILINE)[0].split())
    assert re.search(r"\b[Rr]eads?\b", text), text
    assert re.search(r"\b([Ww]rites?|rewrites|prints)\b", text), text


@every_page
def test_the_help_ends_with_examples_of_the_command(path: str) -> None:
    examples = example_lines(path)
    assert examples
    for example in examples:
        assert example.startswith(path), example
        accept(re.split(r" [<>|] ", example)[0])


def accept(example: str) -> None:
    """Look up the command of an example and its options; one that does not exist is an error."""
    command: Any = get_command(app)
    words = shlex.split(example)[1:]
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]
    known = {"-h", "--help", *(option for param in command.params for option in param.opts)}
    unknown = [word for word in words if word.startswith("--") and word not in known]
    assert unknown == []
    takes_words = any(param.param_type_name == "argument" for param in command.params)
    assert takes_words or not words or words[0].startswith("--"), f"{words[0]} is no command"


@every_page
def test_the_help_fits_a_terminal_and_shows_no_type_beside_a_metavar(path: str) -> None:
    page = re.split(r"^Examples?:\n", PAGES[path], flags=re.MULTILINE)[0]
    assert [line for line in page.splitlines() if len(line) > WIDTH] == []
    assert re.findall(r"<(?:str|path|int|float|text)>|[{}]", page) == []


def test_what_does_not_exist_is_found() -> None:
    with pytest.raises(AssertionError, match="--gone"):
        accept("mentallama run x.yaml --gone")
    with pytest.raises(AssertionError, match="gone is no command"):
        accept("mentallama gone")


@pytest.mark.parametrize(
    ("arguments", "code", "part"),
    [
        (["--version"], 0, "mentallama 0."),
        (["tasks", "show", "-h"], 0, "Usage: {program} tasks show [OPTIONS] SET"),
        (["run"], 2, "Try '{program} run -h' for help."),
        (["--show-completion"], 0, "_MENTALLAMA_COMPLETE=complete_bash"),
    ],
)
def test_the_program_is_named_as_it_was_called(arguments: list[str], code: int, part: str) -> None:
    words = [sys.executable, "-m", "mentallama"]
    environ = {**os.environ, "PYTHONPATH": str(SOURCE), "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": ""}
    line = f"{shlex.join([*words, *arguments])}; exit $?"  # a shell that completion can detect
    done = subprocess.run(
        ["bash", "-c", line], env=environ, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == code, done.stderr
    shown = " ".join((done.stdout + done.stderr).split())
    assert part.format(program=shlex.join(words)) in shown
