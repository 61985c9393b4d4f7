"""Plots as inline SVG: real text, the page's own colours, the same bytes each time."""

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

# matplotlib cannot draw in a page's variables, so it draws in colours that stand for them.
INK, MUTED, RULE, OURS, THEIRS = "#010101", "#020202", "#030303", "#040404", "#050505"
CSS_VARIABLES = {INK: "--ink", MUTED: "--soft", RULE: "--rule", OURS: "--ours", THEIRS: "--theirs"}

RC_PARAMS: dict[Any, Any] = {  # matplotlib types its keys as one long list of literals
    "svg.fonttype": "none",
    "font.family": "DejaVu Sans",  # comes with matplotlib, and is wide: the page's own needs less room
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
    """One line of a bar plot, in percent; `part` is that part of `value` which is drawn dark, `said` stands behind."""

    name: str
    value: float
    highlighted: float
    value_label: str


def forest_plot(rows: Sequence[ForestRow], published_label: str, description: str) -> str:
    """Weighted F1 of each set with its interval; the published value as a diamond beside it."""

    def draw(axes: Axes) -> None:
        for place, one in enumerate(reversed(rows)):
            _draw_forest_row(axes, place, one)
        axes.plot([], [], "o", color=OURS, markersize=6.5, label="this run, 95 % interval")
        axes.plot([], [], "D", color=THEIRS, markersize=5.5, markerfacecolor="none", label=published_label)
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=2, frameon=False, handletextpad=0.3)
        axes.set(xlim=(0, 100), ylim=(-0.6, len(rows) - 0.4), xlabel="weighted F1, percent")
        axes.set_yticks(range(len(rows)), [one.name for one in reversed(rows)])
        axes.grid(axis="x", color=RULE, linewidth=0.6)

    return _draw_svg("forest", description, (6.4, 0.55 + 0.34 * len(rows)), draw)


def _draw_forest_row(axes: Axes, place: int, one: ForestRow) -> None:
    ends = ""
    if one.interval is not None:
        axes.plot(one.interval, (place, place), color=OURS, linewidth=2.2, solid_capstyle="round")
        ends = "  ({:.1f}–{:.1f})".format(*one.interval)
    axes.plot(one.value, place, "o", color=OURS, markersize=6.5)
    if one.published is not None:
        axes.plot(one.published, place, "D", color=THEIRS, markersize=5.5, markerfacecolor="none")
    axes.text(103, place, f"{one.value:.1f}{ends}", va="center")


def bar_plot(lines: Sequence[BarRow], x_label: str, label: str) -> str:
    """Shares as lying bars."""
    places = range(len(lines) - 1, -1, -1)

    def draw(axes: Axes) -> None:
        axes.barh(places, [one.value for one in lines], height=0.62, color=OURS, alpha=0.35, linewidth=0)
        axes.barh(places, [one.highlighted for one in lines], height=0.62, color=OURS, linewidth=0)
        end = max([one.value for one in lines] + [1.0]) * 1.3
        for place, one in zip(places, lines, strict=True):
            axes.text(one.value + end / 80, place, one.value_label, va="center")
        axes.set(xlim=(0, end), ylim=(-0.6, len(lines) - 0.4), xlabel=x_label)
        axes.set_yticks(places, [one.name for one in lines])
        axes.grid(axis="x", color=RULE, linewidth=0.6)

    return _draw_svg("bars", label, (6.4, 0.55 + 0.26 * len(lines)), draw)


def reliability_plot(bins: Sequence[CalibrationBin], name: str, label: str) -> str:
    """Share right against probability; a dot's area grows with its bin's rows."""
    filled = [part for part in bins if part.n]
    total = sum(part.n for part in filled)
    sure = [part.mean_probability or 0.0 for part in filled]
    right = [part.accuracy or 0.0 for part in filled]

    def draw(axes: Axes) -> None:
        axes.plot((0, 1), (0, 1), color=MUTED, linewidth=0.8, linestyle=(0, (3, 3)))
        axes.plot(sure, right, color=OURS, linewidth=0.7)
        axes.scatter(sure, right, s=[10 + 110 * part.n / total for part in filled], color=OURS, linewidths=0)
        axes.set(xlim=(0, 1), ylim=(0, 1.03), xlabel="probability", ylabel="share right", title=name)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_ticks((0, 0.5, 1), ("0", "0.5", "1"))
        axes.grid(color=RULE, linewidth=0.6)

    return _draw_svg(f"reliability-{name}", label, (2.1, 2.2), draw)


def _draw_svg(name: str, label: str, inches: tuple[float, float], draw: Callable[[Axes], None]) -> str:
    """Draw on empty axes and return the SVG element, described by `label`."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    drawn = io.StringIO()
    # The salt makes the ids inside this SVG its own, and the same each time.
    with mpl.rc_context({**RC_PARAMS, "svg.hashsalt": name}):
        figure = Figure(figsize=inches)
        axes = figure.add_subplot()
        draw(axes)
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(
            drawn, format="svg", bbox_inches="tight", pad_inches=0.04, transparent=True, metadata=nothing
        )
    return _clean_svg(drawn.getvalue()).replace("<svg", f'<svg role="img" aria-label="{escape(label)}"', 1)


def _clean_svg(svg: str) -> str:
    """The svg element alone: no fixed size, no fonts or colours but the page's, no ids nobody refers to."""
    svg = svg[svg.index("<svg") :].replace("'DejaVu Sans'", "system-ui, sans-serif")
    svg = re.sub(r"<metadata>.*?</metadata>|<style .*?</style>|<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(?:width|height)="[\d.]+pt"', "", svg, count=2)
    # "figure_1" and its like stand in every plot, and an id must be the page's only one.
    svg = re.sub(r' id="([^"]+)"', lambda found: found[0] if f"#{found[1]}" in svg else "", svg)
    for colour, variable in CSS_VARIABLES.items():
        svg = svg.replace(colour, f"var({variable})")
    return svg
