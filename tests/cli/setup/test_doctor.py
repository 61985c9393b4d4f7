"""The command `doctor`: what it prints, and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mentallama.cli.app import app
from mentallama.doctor import report
from mentallama.doctor.installation import LibraryState
from tests.factories.project import ROOT


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MY_API_KEY", "v-of-the-key")
    monkeypatch.setenv("HTTPS_PROXY", "http://me:v-of-the-password@proxy.example:3128")
    return tmp_path


def test_a_usable_installation_exits_with_0_and_shows_no_secret(here: Path) -> None:
    done = CliRunner().invoke(app, ["doctor", "--data", str(ROOT / "sample")])
    assert done.exit_code == 0, done.output
    for part in (
        "mentallama 0.1.0, Python 3.",
        "proxy          HTTPS_PROXY=http://proxy.example:3128 (with credentials)",
        "MY_API_KEY",
        "scikit-learn ",
        "[parquet]",
        str(here),
        "data           CAMS: ",
        "Nothing is broken. Next: mentallama init study",
    ):
        assert part in done.output
    assert "v-of-the" not in done.output
    assert list(here.iterdir()) == []


def test_files_of_a_task_of_ones_own_are_found(here: Path) -> None:
    task = (ROOT / "src/mentallama/starter/tasks/sleep.yaml").read_text(encoding="utf-8")
    for name, text in (("tasks/sleep.yaml", task), ("mine/sources/sleep/posts.csv", "body\na walk\n")):
        (here / name).parent.mkdir(parents=True)
        (here / name).write_text(text, encoding="utf-8")
    command = ["doctor", "--data", "mine"]
    assert "data           mine: no file of a set in it" in CliRunner().invoke(app, command).output
    done = CliRunner().invoke(app, [*command, "--tasks", "tasks"])
    assert (done.exit_code, "posts.csv 1" in done.output) == (0, True), done.output


def test_json_holds_the_same_facts(here: Path) -> None:
    done = CliRunner().invoke(app, ["doctor", "--json"])
    facts = json.loads(done.output)
    assert set(facts) == {"installation", "machine", "workspace", "problems", "advice"}
    assert facts["problems"] == []
    assert "MY_API_KEY" in facts["machine"]["keys"]
    assert facts["workspace"]["data"] is None
    assert "v-of-the" not in done.output


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_something_broken_exits_with_1(
    here: Path, options: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    old = LibraryState("numpy", ">=2.0", "1.26")
    describe = report.describe_installation

    def with_old_numpy(version: str) -> object:
        found = describe(version)
        return type(found)(**{**vars(found), "libraries": (old,)})

    monkeypatch.setattr(report, "describe_installation", with_old_numpy)
    done = CliRunner().invoke(app, ["doctor", *options])
    assert done.exit_code == 1
    assert "numpy 1.26 is installed, but numpy>=2.0 is needed" in done.output
    assert "Nothing is broken" not in done.output


def test_a_data_folder_that_does_not_exist_is_wrong_use(here: Path) -> None:
    done = CliRunner().invoke(app, ["doctor", "--data", "gone"])
    assert "there is no such folder" in str(done.exception)
