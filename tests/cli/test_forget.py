"""The command `forget`: what it asks, what it says, and its exit codes."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mentallama.cli import app as cli
from mentallama.files.record_files import write_records
from mentallama.records import Post, Provenance

POSTS = [
    Post(
        id=f"{number:016x}",
        set="DR",
        split="train",
        text=f"the garden of neighbour {number} floods whenever it rains for long",
        author=f"{number:x}" * 16,
        provenance=Provenance(file="posts.csv", row=number, origin="table"),
    )
    for number in (1, 2, 3)
]
Forget = Callable[..., tuple[int, str]]


class Terminal(io.StringIO):
    """Standard input with a person before it."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Two runs, one without the first post, and a folder of somebody's."""
    write_records(tmp_path / "runs/a/collect/posts.jsonl.zst", POSTS)
    write_records(tmp_path / "runs/b/collect/posts.jsonl.zst", POSTS[1:])
    (tmp_path / "runs/thesis/collect").mkdir(parents=True)
    (tmp_path / "runs/thesis/collect/notes.csv").write_text(POSTS[0].id, encoding="utf-8")
    return tmp_path


@pytest.fixture
def forget(runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Forget:
    """Runs the command; returns its exit code and all that it printed."""

    def run(*arguments: str, answer: str | None = None) -> tuple[int, str]:
        monkeypatch.chdir(runs)
        monkeypatch.setattr(sys, "argv", ["mentallama", "forget", *arguments])
        monkeypatch.setattr(sys, "stdin", io.StringIO() if answer is None else Terminal(f"{answer}\n"))
        with pytest.raises(SystemExit) as ended:
            cli.main()
        printed = capsys.readouterr()
        return int(str(ended.value.code or 0)), printed.out + printed.err

    return run


def contents(folder: Path) -> dict[str, bytes]:
    return {path.as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("",), "the id is empty"),
        (("yes",), "no post, example or author of 2 runs has the id 'yes'"),
        (("DR", "--out", "runs/a"), "no post, example or author of this run has the id 'DR'"),
        ((POSTS[0].id, "--out", "runs/thesis"), "runs/thesis: this folder is no run of mentallama"),
        ((POSTS[0].id, "--out", "gone"), "gone: there is no such run"),
        ((POSTS[0].id, "--ledger", "gone.sqlite"), "gone.sqlite: there is no such ledger"),
    ],
)
def test_wrong_use_changes_nothing(
    arguments: tuple[str, ...], sentence: str, forget: Forget, runs: Path
) -> None:
    before = contents(runs)
    code, printed = forget(*arguments)
    assert (code, printed.count("\n"), contents(runs)) == (2, 1, before)
    assert sentence in printed


def test_a_dry_run_changes_nothing_and_names_every_run(forget: Forget, runs: Path) -> None:
    before = contents(runs)
    code, printed = forget(POSTS[1].id, "--dry-run")
    assert (code, contents(runs)) == (0, before)
    for name in ("a", "b"):
        assert (
            f"runs/{name}: 1 post to be erased\n  collect/posts.jsonl.zst: 1 row to be removed\n" in printed
        )


@pytest.mark.parametrize(
    ("options", "answer", "is_erased"),
    [((), None, True), ((), "y", True), ((), "n", False), ((), "", False), (("--yes",), "n", True)],
)
def test_a_person_at_a_terminal_is_asked(
    options: tuple[str, ...], answer: str | None, is_erased: bool, forget: Forget, runs: Path
) -> None:
    before = contents(runs)
    code, printed = forget(POSTS[0].id, *options, answer=answer)
    assert (contents(runs) != before) == is_erased
    assert code == (0 if is_erased else 1)
    assert ("to be erased" in printed) == (answer is not None and not options)
    assert ("runs/a: 1 post erased" in printed) == is_erased


def test_a_repeat_is_a_success(forget: Forget, runs: Path) -> None:
    forget(POSTS[0].id)
    before = contents(runs)
    for options in ((), ("--dry-run",), ("--yes",)):
        code, printed = forget(POSTS[0].id, *options)
        assert (code, contents(runs)) == (0, before)
        assert printed.startswith("runs/a: erased before, nothing is left to erase")
