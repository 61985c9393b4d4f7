"""Section on training: curves of loss and validation metrics, and the settings that validation chose."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import mean
from typing import Any

from mentallama.files.markdown import EMPTY_CELL
from mentallama.records import TrainingMetrics
from mentallama.report.page_model import (
    Block,
    BlockGroup,
    Cell,
    FigureBlock,
    Paragraph,
    Section,
    TableBlock,
    count_cell,
    key_value_table,
    named_row,
    number_cell,
)
from mentallama.report.plots import Curve, curve_plot
from mentallama.report.run_artifacts import RunArtifacts
from mentallama.report.sections.provenance import flatten_settings

MAX_POINTS = 200
"""Points of a curve; each is the mean of consecutive steps where there are more."""
CURVES = ("losses", "evaluations")
"""Lists of numbers in the summary, which the curves show."""


def training_section(artifacts: RunArtifacts) -> Section:
    """How the model was trained."""
    return Section("training", "Training", tuple(_blocks(artifacts)))


def _blocks(artifacts: RunArtifacts) -> Iterator[Block]:
    summary = artifacts.train_summary
    if summary is None:
        yield Paragraph("There is no train/summary.json in this run: no model was trained.", missing=True)
        return
    yield from _curve_figures(artifacts.training_metrics)
    if "sets" in summary:
        yield from _chosen_settings(artifacts, summary)
    else:
        values = {key: value for key, value in summary.items() if key not in CURVES}
        table = key_value_table(
            "Counts and settings of the training.", ("quantity", "value"), flatten_settings(values)
        )
        yield BlockGroup((table,), collapsed_title=f"Counts and settings of the training, {len(table.rows)}")


def _curve_figures(metrics: Sequence[TrainingMetrics]) -> Iterator[FigureBlock]:
    """Training and validation loss in one plot, and a plot for every other validation metric."""
    losses = [(line.step, line.loss) for line in metrics if line.loss is not None]
    evaluations = [line for line in metrics if line.validation]
    training, per_point = thin_out(losses, MAX_POINTS)
    validation = Curve("validation", _metric_points(evaluations, "loss"), has_markers=True)
    curves = [curve for curve in (Curve("training", training), validation) if curve.points]
    if curves:
        note = f" Each point of the training loss is the mean of {per_point} steps." if per_point > 1 else ""
        yield _curve_figure("loss", curves, f"Loss by optimiser step, in nats.{note}")
    for name in sorted({name for line in evaluations for name in line.validation} - {"loss"}):
        title = name.replace("_", " ")
        curve = Curve(title, _metric_points(evaluations, name), has_markers=True)
        yield _curve_figure(name, [curve], f"{title.capitalize()} on validation rows by optimiser step.")


def thin_out(points: Sequence[tuple[int, float]], limit: int) -> tuple[tuple[tuple[float, float], ...], int]:
    """At most `limit` points, each the mean of as many consecutive ones as the second value says.

    >>> thin_out([(1, 4.0), (2, 2.0), (3, 1.0)], 2)
    (((2, 3.0), (3, 1.0)), 2)
    """
    per_point = max(1, -(-len(points) // limit))
    parts = [points[start : start + per_point] for start in range(0, len(points), per_point)]
    return tuple((part[-1][0], mean(value for _, value in part)) for part in parts), per_point


def _metric_points(evaluations: Sequence[TrainingMetrics], name: str) -> tuple[tuple[float, float], ...]:
    return tuple((line.step, line.validation[name]) for line in evaluations if name in line.validation)


def _curve_figure(name: str, curves: Sequence[Curve], caption: str) -> FigureBlock:
    spans = "; ".join(
        f"{curve.name} from {curve.points[0][1]:.3f} at step {curve.points[0][0]:.0f} "
        f"to {curve.points[-1][1]:.3f} at step {curve.points[-1][0]:.0f}"
        for curve in curves
    )
    by_step: dict[float, dict[str, float]] = {}
    for curve in curves:
        for step, value in curve.points:
            by_step.setdefault(step, {})[curve.name] = value
    rows = tuple(
        named_row(f"{step:.0f}", [number_cell(values.get(curve.name), 4) for curve in curves])
        for step, values in sorted(by_step.items())
    )
    data = TableBlock("Numbers of this plot.", ("step", *(curve.name for curve in curves)), rows)
    title = name.replace("_", " ")
    plot = curve_plot(f"curve-{name}", curves, title, f"{title.capitalize()}: {spans}.")
    return FigureBlock(caption, plot, data, name=name)


def _chosen_settings(artifacts: RunArtifacts, summary: Mapping[str, Any]) -> Iterator[Block]:
    rows = [
        named_row(artifacts.set_name(name), [Cell(question), *_chosen_cells(part)])
        for name, set_summary in summary["sets"].items()
        for question, part in set_summary.get("questions", {}).items()
    ]
    header = ("set", "question", "train", "validation", "C", "class weight", "temperature", "validation F1")
    caption = "Posts by split, and settings chosen on validation posts; F1 is weighted, in percent."
    table = TableBlock(caption, header, tuple(rows))
    yield BlockGroup((table,), collapsed_title=f"Settings chosen by training, {len(rows)} models")
    skipped = "; ".join(f"{name}: {reason}" for name, reason in summary.get("skipped", {}).items())
    if skipped:
        yield Paragraph(f"Not trained: {skipped}.", missing=True)


def _chosen_cells(part: Mapping[str, Any]) -> list[Cell]:
    """Posts of one question and the settings chosen for it; F1 in the metadata is 0-1."""
    metadata = part.get("metadata", {})
    f1 = metadata.get("weighted_f1")
    return [
        count_cell(part.get("train")),
        count_cell(part.get("validation")),
        number_cell(metadata.get("C"), 1),
        Cell(str(metadata.get("class_weight", EMPTY_CELL))),
        number_cell(metadata.get("temperature")),
        number_cell(None if f1 is None else 100 * f1),
    ]
