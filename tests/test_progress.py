"""Lines of progress where there is no terminal."""

from __future__ import annotations

from itertools import count

from mentallama.progress import ProgressLines


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_training_says_that_it_begins_and_then_speaks_once_a_minute() -> None:
    lines: list[str] = []
    clock = Clock()
    advance = ProgressLines("train: fit", 300, 0, lines.append, clock)
    for step in range(1, 8):
        clock.seconds += 20
        advance(1, f"epoch 1, loss {9 - step}.000")
    # from the first step on, 3 steps a minute: 296 steps left take 98 minutes, 293 take 97
    assert lines == [
        "train: fit: 1 of 300 (0%), about 1 h 40 min left, epoch 1, loss 8.000",
        "train: fit: 4 of 300 (1%), about 1 h 39 min left, epoch 1, loss 5.000",
        "train: fit: 7 of 300 (2%), about 1 h 38 min left, epoch 1, loss 2.000",
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
    assert lines[1] == "train: fit: 52 of 100 (52%), about 48 min left, loss 1"


def test_work_of_less_than_a_minute_is_silent() -> None:
    lines: list[str] = []
    numbers = count()
    advance = ProgressLines("predict: answer", 59, 0, lines.append, lambda: float(next(numbers)))
    for _ in range(59):
        advance(1)
    assert lines == []
    advance(1)
    assert len(lines) == 1


def test_an_unknown_total_is_left_out() -> None:
    lines: list[str] = []
    clock = Clock()
    advance = ProgressLines("check: compare", None, 5, lines.append, clock)
    clock.seconds = 61
    advance(1)
    assert lines == ["check: compare: 6 done"]
