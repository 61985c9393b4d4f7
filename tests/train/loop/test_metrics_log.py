"""The log of a training: no step is lost or repeated by a kill, and nothing depends on it."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mentallama.config import CausalSettings
from mentallama.errors import UsageError
from mentallama.files.record_files import read_json, read_records
from mentallama.pipeline.stage import spec_files
from mentallama.records import TrainingMetrics
from mentallama.train.loop.loop import learning_rate_at
from mentallama.train.loop.metrics_log import MetricsLog
from mentallama.train.run import run
from tests.factories.causal_cases import make_run
from tests.factories.training import killed_at_step


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def step(number: int, seconds: float = 0.0) -> TrainingMetrics:
    return TrainingMetrics(step=number, epoch=number / 4, seconds=seconds, loss=1 / number)


def evaluation(number: int) -> TrainingMetrics:
    return TrainingMetrics(step=number, epoch=number / 4, seconds=0.0, validation={"loss": 2.0})


def test_a_line_is_there_as_soon_as_its_step_is_done(tmp_path: Path) -> None:
    with MetricsLog(tmp_path / "metrics.jsonl") as log:
        log.resume(0)
        log.add(step(1))
        assert (tmp_path / "metrics.jsonl").read_text() == (
            '{"step":1,"epoch":0.25,"seconds":0.0,"loss":1.0}\n'
        )
        log.add(evaluation(1))
        assert list(read_records(tmp_path / "metrics.jsonl", TrainingMetrics)) == [step(1), evaluation(1)]


@given(done=st.integers(0, 6), checkpoint=st.integers(0, 6), cut=st.integers(0, 60))
def test_a_resumed_log_is_that_of_a_training_without_a_kill(done: int, checkpoint: int, cut: int) -> None:
    """A process is killed after `done` steps while it writes the next line, and resumes from step `checkpoint`."""
    checkpoint = min(done, checkpoint)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "metrics.jsonl"
        with MetricsLog(path) as log:
            log.resume(0)
            for number in range(1, done + 1):
                log.add(step(number))
                log.add(evaluation(number))
        with path.open("a") as file:
            file.write(step(done + 1).model_dump_json()[:cut])
        with MetricsLog(path) as log:
            log.resume(checkpoint)
            for number in range(checkpoint + 1, 8):
                log.add(step(number))
                log.add(evaluation(number))
        lines = list(read_records(path, TrainingMetrics))
        assert lines == [line for number in range(1, 8) for line in (step(number), evaluation(number))]


def test_the_seconds_of_a_killed_process_count_and_the_pause_does_not(tmp_path: Path) -> None:
    clock = Clock()
    with MetricsLog(tmp_path / "metrics.jsonl", clock=clock) as log:
        log.resume(0)
        clock.now += 7
        log.add(step(1, log.seconds()))
        clock.now += 5
        log.add(step(2, log.seconds()))
    clock.now += 3600
    with MetricsLog(tmp_path / "metrics.jsonl", clock=clock) as log:
        log.resume(1)
        clock.now += 2
        assert log.seconds() == 9


def test_steps_whose_lines_were_removed_are_counted(tmp_path: Path) -> None:
    for done, missing in ((0, 0), (2, 0)):
        with MetricsLog(tmp_path / "metrics.jsonl") as log:
            assert log.resume(done) == missing
            log.add(step(done + 1))
            log.add(step(done + 2))
    (tmp_path / "metrics.jsonl").unlink()
    with MetricsLog(tmp_path / "metrics.jsonl") as log:
        assert log.resume(4) == 4


@pytest.mark.parametrize("text", ["mine\n", '{"step": 1}\n', '{"loss": 0.5, "run": "mine"}\n'])
def test_a_file_of_the_users_with_the_name_of_the_log_is_kept(text: str, tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text(text, encoding="utf-8")
    with (
        MetricsLog(path) as log,
        pytest.raises(UsageError, match=r"metrics\.jsonl: training writes a file of this name"),
    ):
        log.resume(0)
    assert path.read_text(encoding="utf-8") == text


def test_a_killed_training_logs_every_step_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """24 rows in batches of 8 are 3 steps an epoch; the process dies in step 6, after the checkpoint of step 4."""
    torch.set_num_threads(1)
    recipe = make_run(tmp_path, eval_steps=2)
    with killed_at_step(6):
        run(recipe, tmp_path, tmp_path / "train")
    first = capsys.readouterr().err.splitlines()[0]
    number = r"\d+(?:\.\d+)?(?:e-\d+)?"
    expected = (
        rf"train: fit: 1 of 6 steps \(17%\), epoch 1, loss {number}, learning rate {number}, [\d,]+ tokens/s"
    )
    assert re.fullmatch(expected, first)
    assert [line.step for line in read_records(tmp_path / "checkpoints/metrics.jsonl", TrainingMetrics)] == [
        *(1, 2, 2, 3, 4, 4),
        5,
    ]
    counts = run(recipe, tmp_path, tmp_path / "train")
    lines = list(read_records(tmp_path / "train/metrics.jsonl", TrainingMetrics))
    steps = [line for line in lines if line.loss is not None]
    assert [line.step for line in lines] == [1, 2, 2, 3, 4, 4, 5, 6, 6]
    assert [round(line.loss or 0, 6) for line in steps] == counts["losses"]
    assert [line.epoch for line in steps] == [0.3333, 0.6667, 1.0, 1.3333, 1.6667, 2.0]
    assert isinstance(recipe.train, CausalSettings)
    assert [line.learning_rate for line in steps] == [
        learning_rate_at(number, 6, recipe.train) for number in range(6)
    ]
    assert all((line.tokens_per_second or 0) > 0 and (line.grad_norm or 0) > 0 for line in steps)
    assert [(line.step, line.validation) for line in lines if line.validation] == [
        (evaluation["step"], evaluation["metrics"]) for evaluation in counts["evaluations"]
    ]
    seconds = [line.seconds for line in lines]
    assert seconds == sorted(seconds)
    assert not (tmp_path / "checkpoints").exists()
    # what depends on the clock is in this file alone, and enters no cache key
    files = spec_files(f"causal:{tmp_path / 'train'}", "model")
    assert "model/mentallama.json" in files
    assert "model/metrics.jsonl" not in files
    assert "metrics.jsonl" not in read_json(tmp_path / "train/hashes.json")


def test_event_files_show_every_step_once_after_a_kill(tmp_path: Path) -> None:
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    for resumed_from, until in ((0, 3), (1, 4)):
        with MetricsLog(tmp_path / "metrics.jsonl", tmp_path / "events") as log:
            log.resume(resumed_from)
            for number in range(resumed_from + 1, until + 1):
                log.add(step(number))
            log.add(evaluation(until))
            log.sync()
    events = accumulators.EventAccumulator(str(tmp_path / "events"))
    events.Reload()
    assert events.Tags()["scalars"] == ["train/epoch", "train/loss", "validation/loss"]
    assert [(event.step, event.value) for event in events.Scalars("train/loss")] == [
        (number, pytest.approx(1 / number)) for number in range(1, 5)
    ]
    assert [(event.step, event.value) for event in events.Scalars("validation/loss")] == [(4, 2.0)]
