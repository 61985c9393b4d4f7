"""Plots as inline SVG with real text and the page's colours; the same input gives the same bytes."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from mentallama.metrics.calibration import CalibrationBin

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# matplotlib cannot use CSS variables, so it draws in placeholder colours that are replaced afterwards.
INK, MUTED, RULE, OURS, THEIRS = "#010101", "#020202", "#030303", "#040404", "#050505"
CSS_VARIABLES = {INK: "--ink", MUTED: "--soft", RULE: "--rule", OURS: "--ours", THEIRS: "--theirs"}

RC_PARAMS: dict[Any, Any] = {  # matplotlib types the keys as a long Literal
    "svg.fonttype": "none",
    "text.parse_math": False,  # a dollar sign in a name is no formula
    "font.family": "DejaVu Sans",  # ships with matplotlib and is wide: text in the page's own font fits
    "font.size": 9.0,
    "text.color": INK,
    "axes.titlesize": 10.0,
    "axes.axisbelow": True,
    **{f"axes.spines.{side}": False for side in ("top", "right", "bottom", "left")},
    "xtick.major.size": 0.0,
    "ytick.major.size": 0.0,
    "axes.labelcolor": MUTED,
    "xtick.color": MUTED,
    "ytick.color": INK,
}


@dataclass(frozen=True)
class ForestRow:
    """One line of a forest plot, in percent."""

    name: str
    value: float
    interval: tuple[float, float] | None
    published: float | None


@dataclass(frozen=True)
class BarRow:
    """One line of a bar plot, in percent. `highlighted` is the part of `value` drawn dark; `value_label` follows the
    bar."""

    name: str
    value: float
    highlighted: float
    value_label: str


def forest_plot(rows: Sequence[ForestRow], published_label: str, description: str) -> str:
    """Weighted F1 of each set with its interval, and the published value as a diamond."""

    def draw(axes: Axes) -> None:
        for y, row in enumerate(reversed(rows)):
            _draw_forest_row(axes, y, row)
        axes.plot([], [], "o", color=OURS, markersize=6.5, label="this run, 95 % interval")
        axes.plot([], [], "D", color=THEIRS, markersize=5.5, markerfacecolor="none", label=published_label)
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=2, frameon=False, handletextpad=0.3)
        axes.set(xlim=(0, 100), ylim=(-0.6, len(rows) - 0.4), xlabel="weighted F1, percent")
        axes.set_yticks(range(len(rows)), [row.name for row in reversed(rows)])
        axes.grid(axis="x", color=RULE, linewidth=0.6)

    return _draw_svg("forest", description, (6.4, 0.55 + 0.34 * len(rows)), draw)


def _draw_forest_row(axes: Axes, y: int, row: ForestRow) -> None:
    interval = ""
    if row.interval is not None:
        axes.plot(row.interval, (y, y), color=OURS, linewidth=2.2, solid_capstyle="round")
        interval = "  ({:.1f}–{:.1f})".format(*row.interval)
    axes.plot(row.value, y, "o", color=OURS, markersize=6.5)
    if row.published is not None:
        axes.plot(row.published, y, "D", color=THEIRS, markersize=5.5, markerfacecolor="none")
    axes.text(103, y, f"{row.value:.1f}{interval}", va="center")


def bar_plot(rows: Sequence[BarRow], x_label: str, description: str) -> str:
    """Shares as horizontal bars."""
    positions = range(len(rows) - 1, -1, -1)

    def draw(axes: Axes) -> None:
        axes.barh(positions, [row.value for row in rows], height=0.62, color=OURS, alpha=0.35, linewidth=0)
        axes.barh(positions, [row.highlighted for row in rows], height=0.62, color=OURS, linewidth=0)
        end = max([row.value for row in rows] + [1.0]) * 1.3
        for y, row in zip(positions, rows, strict=True):
            axes.text(row.value + end / 80, y, row.value_label, va="center")
        axes.set(xlim=(0, end), ylim=(-0.6, len(rows) - 0.4), xlabel=x_label)
        axes.set_yticks(positions, [row.name for row in rows])
        axes.grid(axis="x", color=RULE, linewidth=0.6)

    return _draw_svg("bars", description, (6.4, 0.55 + 0.26 * len(rows)), draw)


def reliability_plot(bins: Sequence[CalibrationBin], name: str, description: str) -> str:
    """Accuracy against probability; the area of a dot grows with the rows in its bin."""
    filled = [part for part in bins if part.n]
    total = sum(part.n for part in filled)
    probabilities = [part.mean_probability or 0.0 for part in filled]
    accuracies = [part.accuracy or 0.0 for part in filled]

    def draw(axes: Axes) -> None:
        axes.plot((0, 1), (0, 1), color=MUTED, linewidth=0.8, linestyle=(0, (3, 3)))
        axes.plot(probabilities, accuracies, color=OURS, linewidth=0.7)
        axes.scatter(
            probabilities,
            accuracies,
            s=[10 + 110 * part.n / total for part in filled],
            color=OURS,
            linewidths=0,
        )
        axes.set(xlim=(0, 1), ylim=(0, 1.03), xlabel="probability", ylabel="accuracy", title=name)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_ticks((0, 0.5, 1), ("0", "0.5", "1"))
        axes.grid(color=RULE, linewidth=0.6)

    return _draw_svg(f"reliability-{name}", description, (2.1, 2.2), draw)


def _draw_svg(name: str, description: str, inches: tuple[float, float], draw: Callable[[Axes], None]) -> str:
    """Draw on empty axes and return the SVG element, with `description` as its label for screen readers."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    buffer = io.StringIO()
    # The salt makes the ids in this SVG unique on the page and the same in every run.
    with mpl.rc_context({**RC_PARAMS, "svg.hashsalt": name}):
        figure = Figure(figsize=inches)
        axes = figure.add_subplot()
        draw(axes)
        no_metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(
            buffer, format="svg", bbox_inches="tight", pad_inches=0.04, transparent=True, metadata=no_metadata
        )
    return _clean_svg(buffer.getvalue()).replace(
        "<svg", f'<svg role="img" aria-label="{escape(description)}"', 1
    )


def _clean_svg(svg: str) -> str:
    """The svg element alone, without its fixed size, fonts, colours and unreferenced ids."""
    svg = svg[svg.index("<svg") :].replace("'DejaVu Sans'", "system-ui, sans-serif")
    svg = re.sub(r"<metadata>.*?</metadata>|<style .*?</style>|<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(?:width|height)="[\d.]+pt"', "", svg, count=2)
    # Ids such as "figure_1" are in every plot, and an id must be unique on the page.
    svg = re.sub(r' id="([^"]+)"', lambda match: match[0] if f"#{match[1]}" in svg else "", svg)
    for colour, variable in CSS_VARIABLES.items():
        svg = svg.replace(colour, f"var({variable})")
    return svg
