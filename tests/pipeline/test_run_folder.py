"""The folder of a run: a stage replaces only what it made, and the results of a killed one are kept."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from mentallama import progress
from mentallama.config import Recipe
from mentallama.errors import MentallamaError, UsageError
from mentallama.pipeline.runner import run_recipe
from mentallama.pipeline.stage import Stage

RECIPE = Recipe.model_validate({"name": "small", "data": ".", "collect": {}, "report": {}})


class Work:
    """Two stages that count how often they run."""

    def __init__(self) -> None:
        self.ran: list[str] = []

    def stage(self, name: str, *patterns: str) -> Stage:
        def run(recipe: Recipe, folder: Path, out: Path) -> dict[str, Any]:
            self.ran.append(name)
            (out / "index.html").write_text(f"{name} of {recipe.seed}", encoding="utf-8")
            return {}

        return Stage(name=name, help="", inputs=lambda *_: {}, run=run, file_patterns=patterns)

    def stages(self) -> tuple[Stage, ...]:
        return self.stage("collect"), self.stage("report", "index.html")

    def run(self, folder: Path, recipe: Recipe = RECIPE, stages: Sequence[Stage] = ()) -> list[str]:
        self.ran.clear()
        run_recipe(recipe, folder, lambda _: None, stages=stages or self.stages())
        return list(self.ran)


@pytest.fixture
def work() -> Work:
    return Work()


def test_a_folder_of_the_users_is_refused_before_any_stage(work: Work, tmp_path: Path) -> None:
    chapter = tmp_path / "thesis/report/chapter1.tex"
    chapter.parent.mkdir(parents=True)
    chapter.write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match=r"report would replace this folder.*chapter1\.tex"):
        work.run(tmp_path / "thesis")
    assert work.ran == []
    assert chapter.read_text(encoding="utf-8") == "mine"


def test_names_of_our_files_are_no_proof_outside_a_run(work: Work, tmp_path: Path) -> None:
    page = tmp_path / "site/report/index.html"
    page.parent.mkdir(parents=True)
    page.write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match=r"index\.html"):
        work.run(tmp_path / "site")
    assert page.read_text(encoding="utf-8") == "mine"


def test_a_file_added_to_a_stage_is_not_deleted_with_it(work: Work, tmp_path: Path) -> None:
    assert work.run(tmp_path) == ["collect", "report"]
    (tmp_path / "report/notes.md").write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match=r"notes\.md; move the file elsewhere"):
        work.run(tmp_path, RECIPE.model_copy(update={"seed": 8}))
    (tmp_path / "report/notes.md").rename(tmp_path / "notes.md")
    assert work.run(tmp_path, RECIPE.model_copy(update={"seed": 8})) == ["collect", "report"]
    assert (tmp_path / "notes.md").is_file()


def test_a_lost_manifest_in_a_run_is_made_again(work: Work, tmp_path: Path) -> None:
    work.run(tmp_path)
    (tmp_path / "report/manifest.json").unlink()
    assert work.run(tmp_path) == ["report"]


def test_a_linked_stage_is_refused_before_the_work_and_a_linked_run_works(work: Work, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "run").symlink_to("disk")
    assert work.run(tmp_path / "run") == ["collect", "report"]
    (tmp_path / "disk/report").rename(tmp_path / "moved")
    (tmp_path / "disk/report").symlink_to(tmp_path / "moved")
    with pytest.raises(UsageError, match="symbolic link"):
        work.run(tmp_path / "run", RECIPE.model_copy(update={"seed": 8}))
    assert work.ran == []


@pytest.mark.parametrize("call", ["replace", "rename"])
def test_results_of_a_stage_killed_while_it_took_its_name_are_kept(
    call: str, work: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`replace` moves the former folder aside, `rename` gives the new one its name."""
    only_report, real = work.stages()[1:], getattr(Path, call)

    def killed(path: Path, target: Path) -> Path:
        if path.is_dir():
            raise KeyboardInterrupt
        return Path(real(path, target))

    work.run(tmp_path)
    other = RECIPE.model_copy(update={"seed": 8})
    with monkeypatch.context() as patch:
        patch.setattr(Path, call, killed)
        with pytest.raises(KeyboardInterrupt):
            work.run(tmp_path, other, only_report)
    assert work.run(tmp_path, other, only_report) == []
    assert (tmp_path / "report/index.html").read_text(encoding="utf-8") == "report of 8"
    assert {path.name for path in tmp_path.iterdir()} == {".lock", "collect", "report"}


def test_a_folder_that_cannot_be_written_stops_the_run_at_once(work: Work, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    with pytest.raises(MentallamaError, match="there is a file where results would be written"):
        work.run(tmp_path / "file")
    assert work.ran == []


def test_results_of_another_recipe_are_kept(work: Work, tmp_path: Path) -> None:
    assert work.run(tmp_path) == ["collect", "report"]
    other = RECIPE.model_copy(update={"name": "other", "seed": RECIPE.seed + 1})
    with pytest.raises(
        UsageError, match=r"collect: these are results of the recipe small, which other would replace"
    ):
        work.run(tmp_path, other)
    assert work.ran == []
    assert (tmp_path / "report/index.html").read_text(encoding="utf-8") == f"report of {RECIPE.seed}"
    assert work.run(tmp_path, RECIPE.model_copy(update={"name": "renamed"})) == []
    assert work.run(tmp_path, other.model_copy(update={"name": "small"})) == ["collect", "report"]


def test_a_recipe_may_add_stages_to_results_that_it_keeps(work: Work, tmp_path: Path) -> None:
    collect, report = work.stages()
    assert work.run(tmp_path, stages=(collect,)) == ["collect"]
    longer = RECIPE.model_copy(update={"name": "longer"})
    assert work.run(tmp_path, longer, stages=(collect, report)) == ["report"]
    with pytest.raises(UsageError, match=r"report: these are results of the recipe longer"):
        work.run(tmp_path, RECIPE.model_copy(update={"seed": RECIPE.seed + 1}))


def test_an_empty_file_of_the_users_is_not_deleted_with_a_stage(work: Work, tmp_path: Path) -> None:
    work.run(tmp_path)
    (tmp_path / "report/TODO").touch()
    with pytest.raises(UsageError, match=r"TODO; move the file elsewhere"):
        work.run(tmp_path, RECIPE.model_copy(update={"seed": RECIPE.seed + 1}))
    assert (tmp_path / "report/TODO").exists()


def test_a_stage_that_reports_nothing_is_said_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The stage waits for its own lines, so it ends only if they come while it works."""
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    monkeypatch.setattr(progress, "TICK_SECONDS", 0.001)

    def run(recipe: Recipe, folder: Path, out: Path) -> dict[str, Any]:
        seen = 0
        while seen < 2:
            time.sleep(0.001)
            seen += capsys.readouterr().err.count("collect: still working, ")
        return {}

    stage = Stage(name="collect", help="", inputs=lambda *_: {}, run=run)
    run_recipe(RECIPE, tmp_path, lambda _: None, stages=(stage,))
    assert (tmp_path / "collect/manifest.json").is_file()
