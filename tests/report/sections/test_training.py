"""The page's section on training: curves in place of lists of numbers."""

from __future__ import annotations

from pathlib import Path

from mentallama.files.atomic import write_json
from mentallama.files.record_files import write_records
from mentallama.records import TrainingMetrics
from mentallama.report.page_model import FigureBlock
from mentallama.report.run_artifacts import RunArtifacts, read_run_artifacts
from mentallama.report.sections.training import thin_out, training_section
from tests.factories.report_run import write_report

METRICS = [
    TrainingMetrics(step=1, epoch=0.5, seconds=1, loss=4.0),
    TrainingMetrics(step=2, epoch=1, seconds=2, loss=3.0),
    TrainingMetrics(step=2, epoch=1, seconds=3, validation={"loss": 3.5, "weighted_f1": 0.25}),
    TrainingMetrics(step=3, epoch=1.5, seconds=4, loss=2.0),
]


def figures(metrics: list[TrainingMetrics]) -> list[FigureBlock]:
    section = training_section(RunArtifacts(train_summary={}, training_metrics=tuple(metrics)))
    return [block for block in section.blocks if isinstance(block, FigureBlock)]


def test_losses_and_each_validation_metric_are_curves_with_their_numbers() -> None:
    loss, f1 = figures(METRICS)
    assert loss.data is not None
    assert f1.data is not None
    assert loss.description == (
        "Loss: training from 4.000 at step 1 to 2.000 at step 3; validation from 3.500 at step 2 to 3.500 at step 2."
    )
    assert [[cell.content for cell in row.cells] for row in loss.data.rows] == [
        ["1", 4.0, None],
        ["2", 3.0, 3.5],
        ["3", 2.0, None],
    ]
    assert [[cell.content for cell in row.cells] for row in f1.data.rows] == [["2", 0.25]]


def test_long_trainings_are_thinned_out_without_losing_a_step() -> None:
    points = [(step, float(step)) for step in range(1, 1002)]
    thinned, per_point = thin_out(points, 200)
    assert per_point == 6
    assert len(thinned) == 167
    assert thinned[0] == (6, 3.5)
    assert thinned[-1] == (1001, 999.0)  # the mean of the last five, 997 to 1001
    assert thin_out(points[:200], 200) == (tuple((float(step), value) for step, value in points[:200]), 1)


def test_a_run_shows_no_list_of_losses(tmp_path: Path) -> None:
    write_json(tmp_path / "train/summary.json", {"rows": 12, "losses": [4.25, 3.125], "steps": 3})
    write_records(tmp_path / "train/metrics.jsonl", METRICS)
    assert read_run_artifacts(tmp_path).training_metrics == tuple(METRICS)
    text = write_report(tmp_path, "A run").read_text(encoding="utf-8")
    assert "4.25" not in text
    assert "Counts and settings of the training, 2" in text
    assert {path.name for path in (tmp_path / "report/files").glob("training-*.svg")} == {
        "training-loss.svg",
        "training-weighted_f1.svg",
    }
