"""The command `report`: a recipe, or folders of runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from mentallama.cli.app import app
from mentallama.errors import UsageError
from tests.factories.report_run import make_scores


def test_folders_of_runs_become_a_page(tmp_path: Path) -> None:
    for name in ("a", "b"):
        make_scores(tmp_path / name)
    arguments = ["report", str(tmp_path / "a"), str(tmp_path / "b"), "--out", str(tmp_path / "page")]
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert (done.exit_code, done.stdout) == (0, f"{tmp_path / 'page/index.html'}\n")
    assert "Differences in weighted F1 from a." in (tmp_path / "page/report.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["a", "recipe.yaml"],
            r"recipe\.yaml: this is no folder of a run; give one recipe, or folders of runs",
        ),
        (["a", "a/nothing"], r"nothing: this is no folder of a run"),
        (["a", "--set", "seed=1"], r"--set is for a recipe"),
        (["recipe.yaml", "--tasks", "a"], r"--tasks is for folders of runs"),
        (["nothing.yaml"], r"nothing\.yaml: there is no such recipe or folder of a run"),
        (["a"], r"a: this is no folder of a run: no stage has finished in it"),
    ],
)
def test_what_does_not_go_together_is_refused(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "recipe.yaml").write_text("name: a\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=message):
        CliRunner().invoke(app, ["report", *arguments], catch_exceptions=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "recipe.yaml"]
