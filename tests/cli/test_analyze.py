"""`analyze` at its door: posts that look like options, posts from pipes, tasks of the user's, answers of any kind."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from mentallama.analysts.answer import Answer, Answers, Quotation
from mentallama.cli import app as cli
from mentallama.cli.terminal import explanation_or_reason, print_answers
from mentallama.tasks import load_tasks, write_query
from tests.factories.project import ROOT

MARKER = "zebrafish"
TASK = "Mood"
MODEL = ("--model", "scripted:answers.jsonl", "--tasks", "mine", "--task", TASK)


class Outcome(NamedTuple):
    """Exit code and both streams of a command."""

    code: int
    out: str
    err: str


Run = Callable[..., Outcome]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command in a folder with a scripted model and one task of the user's own."""
    task = (ROOT / "src/mentallama/tasks/data/dr.yaml").read_text(encoding="utf-8")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/mood.yaml").write_text(task.replace("set: DR", f"set: {TASK}", 1), encoding="utf-8")
    answers = [
        {"task": TASK, "question": "depression", "text": "Yes, the poster suffers from depression."},
        {"task": "DR", "question": "depression", "text": "It is hard to say."},
    ]
    (tmp_path / "answers.jsonl").write_text("\n".join(map(json.dumps, answers)), encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    def command(*arguments: str, stdin: bytes = b"") -> Outcome:
        monkeypatch.setattr(sys, "argv", ["mentallama", *arguments])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="ascii"))
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return Outcome(int(str(ended.value.code)), *capsys.readouterr())

    return command


def text_of(outcome: Outcome) -> str:
    assert outcome.code == 0, outcome.err
    read: str = json.loads(outcome.out)["text"]
    return read


@pytest.mark.parametrize(
    "post",
    [
        "- nothing helps",
        "-I can't sleep",
        "--help me please",
        "-h is all I feel",
        "-\nnothing",
        "— no dash",
        "😔",
        "0",
    ],
)
def test_any_text_is_a_post(post: str, run: Run) -> None:
    expected = post.strip()
    assert text_of(run("analyze", *MODEL, "--json", post)) == expected
    assert text_of(run("analyze", post, *MODEL, "--json")) == expected
    assert text_of(run("analyze", *MODEL, "--json", "--", post)) == expected
    assert text_of(run("analyze", *MODEL, "--json", "-", stdin=post.encode())) == expected


def test_one_word_with_a_dash_goes_behind_a_double_dash(run: Run) -> None:
    refused = run("analyze", *MODEL, f"-{MARKER}")
    assert refused.code == 2
    assert "goes behind --" in refused.err
    assert MARKER not in refused.err
    assert text_of(run("analyze", *MODEL, "--json", "--", f"-{MARKER}")) == f"-{MARKER}"


def test_a_misspelled_option_is_not_a_post(run: Run) -> None:
    refused = run("analyze", MARKER, "--taks", "DR")
    assert refused.code == 2
    assert "--task" in refused.err
    assert MARKER not in refused.err


def test_a_post_without_quotation_marks_is_not_shown(run: Run) -> None:
    refused = run("analyze", *MODEL, "I", "like", MARKER)
    assert refused == (2, "", "mentallama: the post is more than one argument; put it in quotation marks\n")


def test_bytes_of_an_ascii_locale_are_read_as_utf_8(run: Run) -> None:
    argument = "nie wieder schön".encode().decode("ascii", "surrogateescape")
    assert text_of(run("analyze", *MODEL, "--json", argument)) == "nie wieder schön"


def test_a_task_of_the_users_own(run: Run) -> None:
    shown = run("analyze", *MODEL, "nothing helps")
    assert shown.code == 0
    assert shown.out.startswith(f"{TASK}: Does the poster suffer from depression? yes\n  nothing helps\n")
    assert [line for line in shown.out.splitlines() if line != line.rstrip()] == []
    unknown = run("analyze", *MODEL[:2], "--task", TASK, "nothing helps")
    assert unknown.code == 2
    assert f"no task named '{TASK}'" in unknown.err


def test_criteria_that_the_evidence_mentions(capsys: pytest.CaptureFixture[str]) -> None:
    post = "I can't sleep and the bus was late"
    answer = Answer(
        post=post, task="dreaddit", question="stress", label="yes", status="parsed", model="m",
        evidence=(Quotation(start=8, end=17, text="sleep and", weight=1.0),),
    )  # fmt: skip
    print_answers(Answers([answer]), load_tasks(), "PHQ-9")
    print_answers(Answers([answer]), load_tasks(), "GAD-7")
    print_answers(Answers([answer.model_copy(update={"evidence": ()})]), load_tasks(), "PHQ-2")
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert "PHQ-9: sleep: “can't sleep and”" in lines
    assert "GAD-7: not mentioned by the evidence" in lines
    assert "PHQ-2: the answer has no evidence to name; --evidence fast or full asks for it" in lines


def test_criteria_in_json_and_of_an_unknown_pack(run: Run) -> None:
    shown = run("analyze", *MODEL, "--criteria", "phq-9", "--json", "I can't sleep")
    assert [answer["criteria"] for answer in json.loads(shown.out)["answers"]] == [
        []
    ]  # scripted: no evidence
    unknown = run("analyze", *MODEL, "--criteria", "PHQ9", "I can't sleep")
    assert unknown.code == 2
    assert "did you mean PHQ-9?" in unknown.err


def test_a_level_of_evidence_that_does_not_exist(run: Run) -> None:
    refused = run("analyze", *MODEL, "--evidence", "some", MARKER)
    assert refused == (2, "", "mentallama: --evidence: should be 'none', 'fast' or 'full'\n")


def test_an_answer_without_a_label_says_why(run: Run) -> None:
    shown = run("analyze", *MODEL[:2], "--task", "DR", "nothing helps")
    assert shown.code == 0
    assert "DR: Does the poster suffer from depression? unparsed" in shown.out
    assert "  The answer is unparsed: " in shown.out


def test_a_label_without_a_reason_is_no_failure() -> None:
    label_only = Answer(
        post="Rain.", task="DR", question="depression", label="yes", status="parsed", model="m"
    )
    assert explanation_or_reason(label_only) == "There is no explanation: this model gives labels only."
    assert explanation_or_reason(label_only.model_copy(update={"explanation": "Rain."})) == "Rain."
    refused = label_only.model_copy(update={"label": None, "status": "refused", "reason": "it declines"})
    assert explanation_or_reason(refused) == "The answer is refused: it declines."


@pytest.mark.parametrize("arguments", [("show", TASK, "--tasks", "mine"), ("--tasks", "mine", "show", TASK)])
def test_the_page_of_a_task_of_the_users_own(arguments: tuple[str, ...], run: Run) -> None:
    assert run("tasks", *arguments).out.startswith(f"## {TASK}: ")


@pytest.mark.parametrize(
    "arguments", [("--tasks", "mine"), ("list", "--tasks", "mine"), ("--tasks", "mine", "list")]
)
def test_tasks_of_the_users_own_are_listed(arguments: tuple[str, ...], run: Run) -> None:
    lines = run("tasks", *arguments).out.splitlines()
    assert [line.split()[0] for line in lines][-1] == TASK
    assert len(lines) == 11


def test_sources_teach_where_there_is_no_data(run: Run) -> None:
    shown = run("sources", "--tasks", "mine")
    assert shown.code == 0
    assert f"\n{TASK}: depression detection" in shown.out
    assert shown.out.count("  licence   ") == shown.out.count("  obtain    ") == 11
    assert "There is no folder data/ here." in shown.out
    assert run("sources", "--data", "gone").code == 2


def test_a_benchmark_of_the_users_own_task(run: Run, tmp_path: Path) -> None:
    golden = "Yes, the poster suffers from depression. Reasoning: rain."
    task = load_tasks(tmp_path / "mine")[TASK]
    query = write_query(task, "depression", "instruction", "nothing helps").replace('"', '""')
    folder = tmp_path / "release/test_data/test_instruction"
    folder.mkdir(parents=True)
    (folder / f"{TASK}.csv").write_text(f'query,gpt-3.5-turbo\n"{query}","{golden}"\n', encoding="utf-8")
    (tmp_path / "outputs").mkdir()
    (tmp_path / f"outputs/{TASK}.csv").write_text(
        f'goldens,generated_text\n"{golden}","Yes."\n', encoding="utf-8"
    )
    command = (
        "evaluate",
        "--benchmark",
        "release",
        "--responses",
        "outputs",
        "--as-published",
        "--out",
        "out",
    )
    unknown = run(*command)
    assert (unknown.code, "no test files" in unknown.err) == (2, True)
    scored = run(*command, "--tasks", "mine")
    assert scored.code == 0, scored.err
    assert f"│ {TASK} │    1 │      100.00 │" in scored.out
    assert "no score for CAMS, CLP, DR" in scored.out
    assert len(scored.out.splitlines()) < 20  # two tables, and what is not in them
