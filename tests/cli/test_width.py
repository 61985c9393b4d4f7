"""Everything that commands print in a terminal of 80 columns: no line is too long, no word cut, no number lost."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mentallama.cli import console, tables
from mentallama.cli.app import app
from mentallama.cli.tables import (
    WideTable,
    cost_table,
    explanation_notes,
    explanation_table,
    print_table,
    refusal_lines,
    score_notes,
    score_table,
)
from mentallama.evaluate.score_file import ScoreFile
from mentallama.metrics.bootstrap import Resampling
from mentallama.metrics.registry import METRICS
from mentallama.tasks import load_tasks
from mentallama.teach.summary import LabelRefusals, TaskCost, TeachSummary
from tests.factories.project import ROOT

WIDTH = 80


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (console, tables):
        monkeypatch.setattr(module, "terminal_width", lambda: WIDTH)
    monkeypatch.setattr("mentallama.cli.catalogue.terminal_width", lambda: WIDTH)


def assert_fits(shown: str) -> None:
    """No line is too long except a command or a single long word, which is copied whole."""
    lines = shown.splitlines()
    assert len(lines) >= 3
    too_long = [line for line in lines if len(line) > WIDTH and len(line.split()[-1]) < WIDTH - 20]
    assert [line for line in too_long if not line.startswith("  mentallama ")] == []


def cells(shown: str) -> list[str]:
    """Texts of a table's cells, those that go over several lines joined."""
    rows: list[list[str]] = []
    for line in shown.splitlines():
        parts = [part.strip() for part in re.split("[│┃]", line)[1:-1]]
        if parts and not parts[-1] and rows:  # a long key goes on
            rows[-1] = [before + part for before, part in zip(rows[-1], parts, strict=True)]
        elif parts:
            rows.append(parts)
    return [cell for row in rows for cell in row]


def assert_shows(table: WideTable, capsys: pytest.CaptureFixture[str]) -> None:
    print_table(table)
    shown = capsys.readouterr().out
    assert_fits(shown)
    expected = {*table.header, *(cell for row in table.rows for cell in row), *(table.total or ())}
    assert expected <= set(cells(shown))


MODEL = "remote:meta-llama/Llama-3.3-70B-Instruct@https://inference.example.org/v1"


def test_costs_of_teachers_with_long_names(terminal: None, capsys: pytest.CaptureFixture[str]) -> None:
    costs = [
        TaskCost(
            model=MODEL,
            task=task,
            requests=123_456,
            answered=123_450,
            refused=4,
            failed=2,
            tokens_in=98_765_432,
            tokens_out=12_345_678,
            cost=1234.5678,
        )
        for task in ("loneliness", "MultiWD")
    ]
    refusal = LabelRefusals(
        model=MODEL, task="t-sid", label="suicide or self-harm", high_risk=True, questions=12_345, refused=6_789,
        refusal_rate=0.55,
    )  # fmt: skip
    summary = TeachSummary(
        prompts_version="1",
        prompt_mode="label-given",
        structured=False,
        questions=246_912,
        outcomes={},
        failed={},
        refusals=(refusal,),
        costs=tuple(costs),
        disagreements=0,
    )
    assert_shows(cost_table(summary), capsys)
    for line in refusal_lines(summary):
        console.echo_wrapped(line)
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= WIDTH
    assert shown.split() == " ".join(refusal_lines(summary)).split()


def test_scores_of_all_sets_beside_the_published_ones(
    terminal: None, capsys: pytest.CaptureFixture[str]
) -> None:
    one = {
        "n": 10_882,
        "posts": 10_882,
        "metrics": {metric.name: 71.7012 for metric in METRICS},
        "weighted_f1_interval": (70.1, 72.3),
        "parsed": 1,
        "unparsed": 12_345,
        "refused": 67_890,
        "truncated": 2,
        "high_risk": None,
        "calibration": None,
        "per_class": {},
        "confusion": {},
    }
    published = {
        "weighted_f1": 71.7,
        "accuracy": 70.1,
        "reason": None,
        "n_references": 3,
        "n_outputs": 3,
        "n_defaulted": 12_347,
        "n_differences": 10_883,
    }
    explained = {
        "rows": 9,
        "absent": {"refused": 1},
        "unscored": {"evidence": {"no quotation": 3}},
        "columns": {"rouge1": {"mean": 12.3, "interval": (10.0, 15.0), "n": 8}},
        "right_reason": {
            "n": 9, "undecided": 0, "share": 22.2, "interval": (0.0, 50.0), "right": 66.7, "consistent": 55.6,
            "unquoted": 11.1,
        },
    }  # fmt: skip
    file = ScoreFile.model_validate(
        {
            "form": "instruction",
            "source": {"kind": "responses"},
            "resampling": Resampling(resamples=10),
            "sets": dict.fromkeys(load_tasks(), one),
            "missing": ("mine",),
            "missing_reasons": {
                "mine": "there is neither a file of outputs for it nor a row of the benchmark"
            },
            "as_published": dict.fromkeys(load_tasks(), published),
            "explanation_metrics": dict.fromkeys(load_tasks(), explained),
        }
    )
    assert_shows(score_table(file), capsys)
    assert_shows(explanation_table(file), capsys)
    notes = [*score_notes(file), *explanation_notes(file)]
    assert any(len(note) > WIDTH for note in notes)
    for note in notes:
        console.echo_wrapped(note)
    shown = capsys.readouterr().out
    assert_fits(shown)
    assert shown.split() == " ".join(notes).split()


@pytest.mark.parametrize(
    "arguments",
    [
        ["tasks"],
        ["tasks", "list"],
        *(["tasks", "show", name] for name in load_tasks()),
        ["sources"],
        ["sources", "--data", str(ROOT / "sample")],
        ["doctor", "--data", str(ROOT / "sample")],
    ],
    ids=" ".join,
)
def test_what_commands_print(
    arguments: list[str], terminal: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert_fits(done.output)
    words = done.output.split()
    for task in load_tasks().values() if arguments[0] == "tasks" and len(arguments) < 3 else ():
        assert set(" ".join(task.labels).split()) <= {word.rstrip(",") for word in words}
    if "show" in arguments:
        task = load_tasks()[arguments[2]]
        shown = " ".join(words)
        texts = [question.wording for question in task.questions.values()]
        texts += [label.answer for label in task.labels.values()]
        for wording in texts:
            assert wording.instruction in shown
            assert wording.completion in shown
        assert task.teacher_instruction in shown
