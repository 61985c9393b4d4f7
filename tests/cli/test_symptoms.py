"""`symptoms` at its door: one post, standard input, a table, wrong use."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mentallama.cli import app as cli
from mentallama.safety import SYMPTOM_NOTICE

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command in an empty folder: exit code and both streams."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "400")

    def command(*arguments: str, stdin: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["mentallama", "symptoms", *arguments])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        code = 0
        try:
            cli.main()
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = capsys.readouterr()
        return code, " ".join(out.split()), err

    return command


def test_one_post(run: Run) -> None:
    code, out, _ = run("--pack", "phq-9", "I'm not sad, I just can't sleep")
    assert code == 0
    assert "quotation" in out
    assert "can't sleep" in out
    assert "negated" in out
    assert "GAD-7" not in out
    assert SYMPTOM_NOTICE in out


def test_criteria_have_a_column_if_they_were_named_or_have_an_entry(run: Run) -> None:
    _, out, _ = run("I can't sleep")
    assert "language en" in out
    assert "PHQ-9" in out
    assert "GAD-7" not in out
    _, out, _ = run("--pack", "GAD-7", "--pack", "PHQ-9", "I can't sleep")
    assert "GAD-7" in out


def test_a_post_without_a_mention(run: Run) -> None:
    code, out, _ = run("lunch was nice")
    assert code == 0
    assert "that is no sign that there is none" in out
    assert SYMPTOM_NOTICE in out


def test_json_of_standard_input(run: Run) -> None:
    code, out, _ = run("--json", "-", stdin="ich kann nicht schlafen\n")
    table = json.loads(out)
    assert code == 0
    assert table["language"] == "de"
    assert [(m["symptom"], m["quotation"]) for m in table["mentions"]] == [
        ("insomnia", "kann nicht schlafen")
    ]
    assert table["notice"] == SYMPTOM_NOTICE


def test_a_table(run: Run) -> None:
    Path("posts.csv").write_text("body\nI can't sleep\nlunch\n")
    code, out, _ = run("--data", "posts.csv", "--out", "out.csv")
    assert code == 0
    assert out.startswith("2 posts, 1 with 1 mention: out.csv")
    assert SYMPTOM_NOTICE in out
    assert "can't sleep" in Path("out.csv").read_text()


def test_rows_without_a_text_are_exit_code_3(run: Run) -> None:
    Path("posts.jsonl").write_text('{"body": [1]}\n{"body": "so tired"}\n')
    code, _, err = run("--data", "posts.jsonl", "--out", "out.jsonl")
    assert code == 3
    assert err == "mentallama: 1 row without a readable text; column problem of out.jsonl says why\n"


@pytest.mark.parametrize(("option", "rows"), [("--text", "body\nI am tired\n"), ("--id", "body\nlunch\n")])
def test_a_column_that_no_row_has_is_an_error_and_leaves_no_output(run: Run, option: str, rows: str) -> None:
    Path("posts.csv").write_text(rows)
    code, _, err = run("--data", "posts.csv", option, "post", "--out", "out.csv")
    assert code == 2
    assert f"there is no column 'post' ({option}); the columns are 'body'" in err
    assert not Path("out.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ((), "give one post"),
        (("a post", "--data", "posts.csv", "--out", "o.csv"), "give one post"),
        (("--data", "posts.csv"), "--data FILE and --out FILE go together"),
        (("a post", "--out", "o.csv"), "--data FILE and --out FILE go together"),
        (("--language", "xx", "a post"), "--language xx: there are rules for de, en, es, ko, zh"),
        (("--pack", "PHQ9", "a post"), "did you mean PHQ-9?"),
        (("--packs", "none", "a post"), "there is no such folder of criterion packs"),
        (("--data", "none.csv", "--out", "o.csv"), "there is no such file"),
    ],
)
def test_wrong_use(run: Run, arguments: tuple[str, ...], problem: str) -> None:
    code, _, err = run(*arguments)
    assert code == 2
    assert problem in err
