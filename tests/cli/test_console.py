"""Output in any encoding and on broken streams, version and help, and errors that nobody expected."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import mentallama
from mentallama.cli import app as cli
from mentallama.cli import console
from tests.factories.project import ROOT

MARKER = "zebrafish"


def run(
    *arguments: str, cwd: Path = ROOT, shell: str | None = None, **variables: str
) -> subprocess.CompletedProcess[bytes]:
    """The command, or a line of shell in which `mentallama` is the command."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG"))}
    environment |= {"PYTHONPATH": str(ROOT / "src"), **variables}
    command = [sys.executable, "-m", "mentallama", *arguments]
    if shell is not None:
        definition = f'mentallama() {{ "{sys.executable}" -m mentallama "$@"; }}\n'
        command = ["/bin/sh", "-c", definition + shell]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, timeout=120, check=False)


ENCODINGS = {
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "strict ascii": {"PYTHONIOENCODING": "ascii:strict"},
    "cp949": {"PYTHONIOENCODING": "cp949"},
    "cp1252": {"PYTHONIOENCODING": "cp1252"},
    "C locale": {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
}


@pytest.mark.parametrize("variables", ENCODINGS.values(), ids=ENCODINGS)
@pytest.mark.parametrize("command", [["tasks", "show", "CAMS"], ["tasks"], ["sources"], ["--help"]])
def test_any_encoding_can_print_the_catalogue(
    command: list[str], variables: dict[str, str], tmp_path: Path
) -> None:
    done = run(*command, cwd=tmp_path, **variables)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout


@pytest.mark.parametrize("variables", ENCODINGS.values(), ids=ENCODINGS)
def test_any_encoding_can_print_an_error(variables: dict[str, str], tmp_path: Path) -> None:
    done = run("run", "레시피😔.yaml", cwd=tmp_path, **variables)
    assert done.returncode == 2
    assert b"there is no such recipe" in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("encoding", "text", "written"),
    [
        ("ascii", "70.4–82.3", b"70.4-82.3"),
        ("ascii", "“can’t” → …", b'"can\'t" -> ...'),
        ("ascii", "가😔", b"\\uac00\\U0001f614"),
        ("cp949", "가 – 😔", "가 - \\U0001f614".encode("cp949")),
        ("utf-8", "가 – 😔 \udcff", "가 – 😔 \\udcff".encode()),
    ],
)
def test_what_an_encoding_lacks_is_written_in_ascii(
    encoding: str, text: str, written: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding, errors="strict"))
    console.prepare_streams()
    print(text, end="", flush=True)
    assert raw.getvalue() == written


@pytest.mark.parametrize("encoding", ["ascii", "cp949", "utf-8"])
def test_json_is_valid_in_any_encoding(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    raw, value = io.BytesIO(), {"text": "가 é 😔 “x”"}
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding, errors="strict"))
    console.prepare_streams()
    console.echo_json(value)
    sys.stdout.flush()
    assert json.loads(raw.getvalue().decode(encoding)) == value
    assert ("가" in raw.getvalue().decode(encoding)) == (encoding == "utf-8")


@pytest.mark.parametrize(
    "line",
    [
        "mentallama tasks show CAMS | head -n 1",
        "mentallama tasks show CAMS | true",
        "mentallama sources | head -c 10",
        "mentallama --help | true",
        "mentallama tasks 2>&1 | true",
        "mentallama tasks show CAMS >&-",
        "mentallama tasks show GONE 2>&- || true",
        "mentallama tasks show CAMS >&- 2>&-",
        "mentallama tasks <&-",
        "unset HOME; mentallama tasks",
        "COLUMNS=1 mentallama tasks",
        "COLUMNS=1 mentallama --help",
        "COLUMNS=x mentallama tasks",
        "PYTHONUTF8=1 mentallama tasks",
        "TERM=dumb mentallama tasks",
    ],
)
def test_odd_streams_and_environments_are_no_error(line: str) -> None:
    done = run(shell=line)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_working_directory_that_is_gone_or_read_only(tmp_path: Path) -> None:
    gone = run(shell=f"mkdir '{tmp_path}/d'; cd '{tmp_path}/d'; rmdir '{tmp_path}/d'; mentallama tasks")
    assert (gone.returncode, gone.stderr) == (0, b"")
    done = run(shell=f"mkdir '{tmp_path}/e'; cd '{tmp_path}/e'; rmdir '{tmp_path}/e'; mentallama init x")
    assert done.returncode in {1, 2}
    assert b"Traceback" not in done.stderr


def test_the_version() -> None:
    done = run("--version")
    assert (done.returncode, done.stdout.decode().strip()) == (0, f"mentallama {mentallama.__version__}")


def all_commands() -> list[list[str]]:
    from typer.main import get_command

    top = get_command(cli.app)
    names = [[name] for name in top.commands]  # type: ignore[attr-defined]
    return [[], *names, *(["tasks", name] for name in top.commands["tasks"].commands)]  # type: ignore[attr-defined]


@pytest.mark.parametrize("command", all_commands(), ids=" ".join)
def test_every_command_has_help_under_both_names(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = []
    monkeypatch.setenv("COLUMNS", "80")
    for option in ("-h", "--help"):
        monkeypatch.setattr(sys, "argv", ["mentallama", *command, option])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert ended.value.code == 0
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1]
    page = re.split("^Examples?:$", shown[0], flags=re.MULTILINE)[0]  # an example stays on one line
    assert "..." not in re.sub(r"(\[ARGS\]|SOURCE|SYSTEM|RATINGS)\.\.\.", "", page)
    assert max(map(len, page.splitlines())) <= 80
    for line in page.partition("Options:")[2].splitlines():
        assert "<str>" not in line
        assert "list[str]" not in line


def raising(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> int:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("mentallama.tasks.load_tasks", fail)
    monkeypatch.setattr(sys, "argv", ["mentallama", "tasks"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(str(ended.value.code))


@pytest.mark.parametrize("error", [ValueError(MARKER), KeyError(MARKER), RecursionError(MARKER)])
def test_an_unexpected_error_is_one_sentence_without_its_message(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert raising(error, monkeypatch) == 1
    shown = capsys.readouterr().err
    assert shown.startswith(f"mentallama: unexpected {type(error).__name__} in ")
    assert shown.count("\n") == 1
    assert MARKER not in shown
    assert "MENTALLAMA_DEBUG=1" in shown


def test_too_little_memory_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert raising(MemoryError(), monkeypatch) == 1
    assert "not enough memory" in capsys.readouterr().err


def test_the_traceback_is_shown_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MENTALLAMA_DEBUG", "1")
    monkeypatch.setattr("mentallama.tasks.load_tasks", lambda *_: 1 / 0)
    monkeypatch.setattr(sys, "argv", ["mentallama", "tasks"])
    with pytest.raises(ZeroDivisionError):
        cli.main()


def test_a_library_that_is_missing_is_named() -> None:
    sentence = console.unexpected_error_sentence(
        ModuleNotFoundError("No module", name="packaging.specifiers")
    )
    assert sentence.startswith("the library packaging is not installed; `pip check`")
    own = console.unexpected_error_sentence(ModuleNotFoundError("No module", name="mentallama.gone"))
    assert own.startswith("unexpected ModuleNotFoundError")
