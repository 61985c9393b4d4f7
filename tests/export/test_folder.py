"""The folder of an export: whole or not at all, nothing of others is replaced, and its README says the terms."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mentallama.cli.app import app
from mentallama.errors import UsageError
from mentallama.export import EXPORTERS, croissant, export, inspect_ai, llama_factory, lm_eval, trl
from mentallama.export.annotation import argilla, label_studio
from mentallama.export.folder import ExportSummary, render_readme
from mentallama.export.source import ExportSource
from mentallama.pipeline.run_lock import run_lock
from mentallama.safety import NOTICE
from mentallama.tasks import load_tasks
from tests.factories.export_run import make_run
from tests.factories.project import ROOT, SAMPLE


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("run"))


def to_trl(run: Path, out: Path) -> Path:
    export("trl", ExportSource(run, load_tasks()), out)
    return out


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_an_unchanged_export_is_replaced_by_the_same_bytes(run: Path, tmp_path: Path) -> None:
    first = content(to_trl(run, tmp_path / "out"))
    (tmp_path / "out/__pycache__").mkdir()
    (tmp_path / "out/__pycache__/utils.pyc").write_bytes(b"left by the tool")
    again = content(to_trl(run, tmp_path / "out"))
    del first["manifest.json"], again["manifest.json"]  # it holds the memory that was used
    assert again == first
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("name", ["notes.txt", "messages/train.jsonl"])
def test_a_changed_export_is_kept(run: Path, tmp_path: Path, name: str) -> None:
    out = to_trl(run, tmp_path / "out")
    (out / name).write_text("mine", encoding="utf-8")
    before = content(out)
    with pytest.raises(UsageError, match="were changed or added"):
        to_trl(run, out)
    assert content(out) == before


@pytest.mark.parametrize("kind", ["folder", "file", "link"])
def test_what_export_did_not_make_is_kept(run: Path, tmp_path: Path, kind: str) -> None:
    out, mine = tmp_path / "out", tmp_path / "mine"
    mine.mkdir()
    (mine / "a.txt").write_text("mine", encoding="utf-8")
    if kind == "file":
        out.write_text("mine", encoding="utf-8")
    elif kind == "link":
        out.symlink_to(mine)
    else:
        mine.rename(out)
    before = content(tmp_path)
    with pytest.raises(UsageError, match="choose another"):
        to_trl(run, out)
    assert content(tmp_path) == before


def test_a_failed_export_leaves_nothing_and_an_earlier_one_stays(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = to_trl(run, tmp_path / "out")
    before = content(tmp_path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mentallama.export.folder.write_manifest", full)  # the last file that is written
    for target in (out, tmp_path / "new"):
        with pytest.raises(OSError, match="No space left"):
            to_trl(run, target)
    assert content(tmp_path) == before


def test_what_a_killed_export_left_is_deleted_by_the_next(run: Path, tmp_path: Path) -> None:
    left = tmp_path / ".out.partial/new/messages"
    left.mkdir(parents=True)
    (left / "train.jsonl").write_text("half", encoding="utf-8")
    to_trl(run, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_two_exports_to_one_folder_do_not_mix(run: Path, tmp_path: Path) -> None:
    (tmp_path / ".out.partial").mkdir()
    with run_lock(tmp_path / ".out.partial"), pytest.raises(UsageError, match="another process"):
        to_trl(run, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_readme_says_notice_rows_and_terms(run: Path, tmp_path: Path) -> None:
    readme = (to_trl(run, tmp_path / "out") / "README.md").read_text(encoding="utf-8")
    tasks = load_tasks()
    assert NOTICE in readme
    assert "| messages/train.jsonl | train | 18 |" in readme
    for name in ("CLP", "Irf"):
        assert tasks[name].licence in readme
    assert "**Do not redistribute: CLP.**" in readme
    assert "dreaddit" not in readme
    assert "The responses were written by first-teacher." in readme


def test_synthetic_posts_of_a_restricted_set_may_be_passed_on() -> None:
    text = next(line for line in (SAMPLE / "sources/DR/posts.jsonl").read_text(encoding="utf-8").splitlines())
    summary = ExportSummary("")
    summary.add_post("DR", json.loads(text)["body"])
    readme = render_readme("trl", summary, load_tasks())
    assert "| yes | synthetic |" in readme
    assert "redistribute" not in readme
    summary.add_post("DR", "A text that nobody wrote for the sample of this project, long enough to tell.")
    assert "**Do not redistribute: DR.**" in render_readme("trl", summary, load_tasks())


def test_the_page_shows_the_lines_of_the_readmes_and_lists_every_format() -> None:
    page = (ROOT / "docs/export.md").read_text(encoding="utf-8")
    usages = [
        module.USAGE for module in (trl, llama_factory, lm_eval, inspect_ai, label_studio, argilla, croissant)
    ]
    lines = re.findall(r"```text\n(.*?)```", page, re.DOTALL)
    assert len(lines) == len(usages)
    for shown, usage in zip(lines, usages, strict=True):
        assert shown in usage
    assert all(f"`{name}`" in page.partition("\n\nThe folder named")[0] for name in EXPORTERS)


def test_an_unknown_format_is_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean trl"):
        export("trll", ExportSource(run, load_tasks()), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["lm-eval", "inspect", "label-studio", "argilla", "croissant"])
def test_a_folder_with_nothing_to_export_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="empty: this is not a"):
        export(name, ExportSource(tmp_path / "empty", load_tasks()), tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_options_that_a_format_does_not_read_are_refused(run: Path, tmp_path: Path) -> None:
    for source in (
        ExportSource(run, load_tasks(), posts=run),
        ExportSource(run, load_tasks(), text_column="body"),
    ):
        with pytest.raises(UsageError, match="are for exports of answered posts: label-studio and argilla"):
            export("trl", source, tmp_path / "out")


def test_the_command_writes_the_export_and_says_where(run: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(
        app, ["export", "trl", str(run), "--out", str(tmp_path / "out"), "--form", "completion"]
    )
    assert done.exit_code == 0, done.output
    assert f"{tmp_path / 'out'}/messages/train.jsonl: 18 rows" in done.output.replace("\n", "")
    assert (tmp_path / "out/README.md").is_file()
