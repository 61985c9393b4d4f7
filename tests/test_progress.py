"""Progress: lines where there is no terminal, bars where there is one."""

from __future__ import annotations

import io
import sys
import threading
import time

import pytest

from mentallama import progress
from mentallama.progress import ProgressLines, heartbeat, progress_bar


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every look at the clock is a line, and there is no pause between two looks."""
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    monkeypatch.setattr(progress, "TICK_SECONDS", 0.001)


def wait_for_lines(count: int, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Wait until as many lines with a text were written; the time limit of the tests ends a wait in vain."""
    seen = 0
    while seen < count:
        time.sleep(0.001)
        seen += capsys.readouterr().err.count(text)


def test_training_says_that_it_begins_and_then_speaks_every_half_minute() -> None:
    lines: list[str] = []
    clock = Clock()
    advance = ProgressLines("train: fit", 300, 0, lines.append, clock, "steps")
    for step in range(1, 8):
        clock.seconds += 10
        advance(1, f"epoch 1, loss {9 - step}.000")
    # from the first step on, 6 steps a minute: 296 steps left take 49 minutes, 293 as well
    assert lines == [
        "train: fit: 1 of 300 steps (0%), epoch 1, loss 8.000",
        "train: fit: 4 of 300 steps (1%), 6/min, about 49 min left, epoch 1, loss 5.000",
        "train: fit: 7 of 300 steps (2%), 6/min, about 49 min left, epoch 1, loss 2.000",
    ]


def test_what_was_done_before_does_not_count_as_speed() -> None:
    lines: list[str] = []
    clock = Clock()
    advance = ProgressLines("train: fit", 100, 0, lines.append, clock)
    advance(50)  # resumed
    clock.seconds = 10
    advance(1, "loss 1")
    clock.seconds = 70
    advance(1, "loss 1")
    assert lines[1] == "train: fit: 52 of 100 (52%), 1/min, about 48 min left, loss 1"


def test_work_of_less_than_half_a_minute_is_silent() -> None:
    lines: list[str] = []
    clock = Clock()
    advance = ProgressLines("predict: answer", 31, 0, lines.append, clock)
    for _ in range(29):
        clock.seconds += 1
        advance(1)
    assert lines == []
    clock.seconds += 1
    advance(1)
    assert lines == ["predict: answer: 30 of 31 (97%), 1/s, about 1 s left"]


def test_an_unknown_total_is_left_out() -> None:
    lines: list[str] = []
    clock = Clock()
    advance = ProgressLines("check: compare", None, 5, lines.append, clock)
    clock.seconds = 31
    advance(1)
    assert lines == ["check: compare: 6 done, 2/min"]


def test_work_that_reports_nothing_is_still_said_to_go_on() -> None:
    lines: list[str] = []
    clock = Clock()
    unknown = ProgressLines("evaluate", None, 0, lines.append, clock)
    stuck = ProgressLines("train: fit", 300, 0, lines.append, clock, "steps")
    stuck(3, "evaluating")
    for seconds in (29, 30, 59, 60, 119):
        clock.seconds = seconds
        unknown.tick()
        stuck.tick()
    assert lines == [
        "train: fit: 3 of 300 steps (1%), evaluating",
        "evaluate: still working, 30 s",
        "train: fit: 3 of 300 steps (1%), evaluating",
        "evaluate: still working, 1 min",
        "train: fit: 3 of 300 steps (1%), evaluating",
        "evaluate: still working, 2 min",
        "train: fit: 3 of 300 steps (1%), evaluating",
    ]


@pytest.mark.parametrize(
    ("seconds", "rate"),
    [(0.1, "10/s"), (1, "1/s"), (2, "30/min"), (60, "1/min"), (120, "30/h"), (7200, "12/day")],
)
def test_rates_by_hand(seconds: float, rate: str) -> None:
    """1,000 posts of `seconds` each."""
    lines: list[str] = []
    clock = Clock()
    advance = ProgressLines("collect", None, 0, lines.append, clock, "posts")
    clock.seconds = 1000 * seconds
    advance(1000)
    assert lines == [f"collect: 1,000 posts done, {rate}"]


def test_a_thread_speaks_for_work_that_calls_nothing(fast: None, capsys: pytest.CaptureFixture[str]) -> None:
    with heartbeat("train: load model"):
        wait_for_lines(3, "train: load model: still working, ", capsys)
    assert not [thread for thread in threading.enumerate() if thread.name == "progress"]


def test_the_innermost_work_speaks(fast: None, capsys: pytest.CaptureFixture[str]) -> None:
    with heartbeat("outer"):
        wait_for_lines(1, "outer: still working", capsys)
        with progress_bar("inner", 5, unit="posts") as advance:
            capsys.readouterr()
            advance(1)
            wait_for_lines(3, "inner: 1 of 5 posts (20%)", capsys)
        wait_for_lines(1, "outer: still working", capsys)


def test_inner_work_that_fails_leaves_the_outer_one_speaking(
    fast: None, capsys: pytest.CaptureFixture[str]
) -> None:
    with heartbeat("outer"):
        with pytest.raises(ValueError, match="planted"), heartbeat("inner"):
            raise ValueError("planted")
        wait_for_lines(1, "outer: still working", capsys)


def test_only_the_first_process_of_torchrun_speaks(
    fast: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with progress_bar("train: fit", 3) as advance:
        advance(1, "loss 1")
    assert capsys.readouterr().err == ""


def test_nested_bars_of_a_terminal_and_printed_output(monkeypatch: pytest.MonkeyPatch) -> None:
    screen, printed = Terminal(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(sys, "stdout", printed)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    for _ in range(2):
        with heartbeat("predict"), progress_bar("predict: answer", 4) as advance:
            advance(4, "4 posts")
            print("a row")
    shown = screen.getvalue()
    assert printed.getvalue() == "a row\n" * 2
    assert "a row" not in shown
    last = shown.split("\x1b[2K")[-1]
    assert "predict: answer" in shown
    assert "100%" in shown
    assert "4 posts" in shown
    assert "predict " not in last.replace("predict: answer", "")
