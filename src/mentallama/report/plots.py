"""Plots as SVG with real text, on the page in its colours, and as files; the same input gives the same bytes."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from mentallama.metrics.calibration import CalibrationBin
from mentallama.metrics.selective_prediction import RiskCoverage
from mentallama.run_files import REPORT_FIGURE_FORMATS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Colours:
    """Colours of a plot. `series` tells several runs apart, together with the shape of their markers."""

    ink: str
    soft: str
    rule: str
    ours: str
    theirs: str
    third: str
    fourth: str

    @property
    def series(self) -> tuple[str, ...]:
        return (self.ours, self.theirs, self.third, self.fourth)


# matplotlib cannot use CSS variables, so plots for the page have placeholder colours that are replaced afterwards.
PLACEHOLDERS = Colours(*(f"#{number:02}{number:02}{number:02}" for number in range(1, 8)))
PRINT = Colours("#1e2328", "#59616a", "#dfdcd4", "#17657f", "#a8492c", "#5b4b9a", "#4d6b1f")
MARKERS = "osD^vP"
"""Shapes that tell several series apart without their colours."""
MAX_PANEL_LETTERS = 20
"""Longest name of a line in a panel, in letters."""

RC_PARAMS: dict[Any, Any] = {  # matplotlib types the keys as a long Literal
    "svg.fonttype": "none",
    "text.parse_math": False,  # a dollar sign in a name is no formula
    "font.family": "DejaVu Sans",  # ships with matplotlib and is wide: text in the page's own font fits
    "font.size": 9.0,
    "axes.titlesize": 10.0,
    "axes.axisbelow": True,
    **{f"axes.spines.{side}": False for side in ("top", "right", "bottom", "left")},
    "xtick.major.size": 0.0,
    "ytick.major.size": 0.0,
    "ytick.major.pad": 7.0,  # a marker at 0 does not touch the names
}
NO_METADATA = {  # dates and versions, which would differ between two runs
    "svg": dict.fromkeys(("Date", "Creator", "Format", "Type")),
    "pdf": dict.fromkeys(("CreationDate", "Creator", "Producer")),
    "png": {"Software": None},
}


@dataclass(frozen=True)
class Plot:
    """A drawing on one pair of axes, `inches` wide and high, and what it shows in words."""

    name: str
    description: str
    inches: tuple[float, float]
    draw: Callable[[Axes, Colours], None]

    def inline_svg(self) -> str:
        """The SVG element for a page, which takes the page's colours; the description is its label."""
        buffer = io.StringIO()
        with _style(PLACEHOLDERS, self.name):
            _save(self._figure(PLACEHOLDERS), buffer, "svg", transparent=True)
        label = escape(self.description)
        return _clean_svg(buffer.getvalue()).replace("<svg", f'<svg role="img" aria-label="{label}"', 1)

    def images(self) -> Iterator[tuple[str, bytes]]:
        """The plot as a file in each of `REPORT_FIGURE_FORMATS`, on white, with its format."""
        with _style(PRINT, self.name):
            figure = self._figure(PRINT)
            for file_format in REPORT_FIGURE_FORMATS.values():
                buffer = io.BytesIO()
                _save(figure, buffer, file_format, facecolor="white", dpi=200)
                yield file_format, buffer.getvalue()

    def _figure(self, colours: Colours) -> Figure:
        from matplotlib.figure import Figure

        figure = Figure(figsize=self.inches)
        self.draw(figure.add_subplot(), colours)
        return figure


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


@dataclass(frozen=True)
class PanelRow:
    """One line of a panel: a system, its value and interval."""

    name: str
    value: float
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class Curve:
    """Values of one quantity by another, such as a loss by optimiser step."""

    name: str
    points: tuple[tuple[float, float], ...]
    has_markers: bool = False


def forest_plot(rows: Sequence[ForestRow], published_label: str, description: str) -> Plot:
    """Weighted F1 of each set with its interval, and the published value, where there is one, as a diamond."""

    def draw(axes: Axes, colours: Colours) -> None:
        for y, row in enumerate(reversed(rows)):
            _draw_forest_row(axes, colours, y, row)
        axes.plot([], [], "o", color=colours.ours, markersize=6.5, label="this run, 95 % interval")
        if any(row.published is not None for row in rows):
            axes.plot([], [], "D", **_diamond(colours), label=published_label)
        _legend_above(axes)
        axes.set(xlim=(0, 100), ylim=(-0.6, len(rows) - 0.4), xlabel="weighted F1, percent")
        axes.set_yticks(range(len(rows)), [row.name for row in reversed(rows)])
        axes.grid(axis="x", color=colours.rule, linewidth=0.6)

    return Plot("forest", description, (6.4, 0.55 + 0.34 * len(rows)), draw)


def _draw_forest_row(axes: Axes, colours: Colours, y: int, row: ForestRow) -> None:
    interval = ""
    if row.interval is not None:
        _draw_interval(axes, row.interval, y, colours.ours)
        interval = "  ({:.1f}–{:.1f})".format(*row.interval)
    axes.plot(row.value, y, "o", color=colours.ours, markersize=6.5, clip_on=False)
    if row.published is not None:
        axes.plot(row.published, y, "D", **_diamond(colours))
    axes.text(103, y, f"{row.value:.1f}{interval}", va="center")


def _diamond(colours: Colours) -> dict[str, Any]:
    return {"color": colours.theirs, "markersize": 5.5, "markerfacecolor": "none"}


def _draw_interval(axes: Axes, ends: tuple[float, float], y: float, colour: str) -> None:
    axes.plot(ends, (y, y), color=colour, linewidth=2.2, solid_capstyle="round")


def _legend_above(axes: Axes) -> None:
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=2, frameon=False, handletextpad=0.3)


def panel_plot(  # noqa: PLR0913
    name: str,
    title: str,
    rows: Sequence[PanelRow],
    x_label: str,
    description: str,
    *,
    limits: tuple[float, float] = (0, 100),
    reference: float | None = None,
) -> Plot:
    """Values of several systems with their intervals, one of several panels with the same `limits`.

    A dotted line marks the `reference`, such as no difference. Long names are shortened in the middle.
    """

    def draw(axes: Axes, colours: Colours) -> None:
        if reference is not None:
            axes.axvline(reference, color=colours.soft, linewidth=0.9, linestyle=(0, (2, 2)))
        for y, row in enumerate(reversed(rows)):
            if row.interval is not None:
                _draw_interval(axes, row.interval, y, colours.ours)
            axes.plot(row.value, y, "o", color=colours.ours, markersize=5.5, clip_on=False)
        axes.set(xlim=limits, ylim=(-0.6, len(rows) - 0.4), xlabel=x_label)
        axes.set_title(title, loc="left")
        axes.set_yticks(range(len(rows)), [shorten(row.name) for row in reversed(rows)])
        axes.grid(axis="x", color=colours.rule, linewidth=0.6)

    return Plot(name, description, (2.6, 0.6 + 0.26 * len(rows)), draw)


def shorten(name: str, longest: int = MAX_PANEL_LETTERS) -> str:
    """A name without its middle if it is too long for a panel; its end often tells it from others.

    >>> shorten("imhi-zero-shot-of-a-large-model", 15)
    'imhi-ze…e-model'
    """
    if len(name) <= longest:
        return name
    return f"{name[: longest // 2]}…{name[len(name) - (longest - 1) // 2 :]}"


def _series_colour(colours: Colours, index: int) -> str:
    return colours.series[index % len(colours.series)]


def bar_plot(rows: Sequence[BarRow], x_label: str, description: str) -> Plot:
    """Shares as horizontal bars."""
    positions = range(len(rows) - 1, -1, -1)

    def draw(axes: Axes, colours: Colours) -> None:
        style: dict[str, Any] = {"height": 0.62, "color": colours.ours, "linewidth": 0}
        axes.barh(positions, [row.value for row in rows], alpha=0.35, **style)
        axes.barh(positions, [row.highlighted for row in rows], **style)
        end = max([row.value for row in rows] + [1.0]) * 1.3
        for y, row in zip(positions, rows, strict=True):
            axes.text(row.value + end / 80, y, row.value_label, va="center")
        axes.set(xlim=(0, end), ylim=(-0.6, len(rows) - 0.4), xlabel=x_label)
        axes.set_yticks(positions, [row.name for row in rows])
        axes.grid(axis="x", color=colours.rule, linewidth=0.6)

    return Plot("bars", description, (6.4, 0.55 + 0.26 * len(rows)), draw)


def histogram_plot(edges: Sequence[float], counts: Sequence[int], x_label: str, description: str) -> Plot:
    """Counts between consecutive `edges`, of which there is one more."""

    def draw(axes: Axes, colours: Colours) -> None:
        widths = [right - left for left, right in pairwise(edges)]
        axes.bar(edges[:-1], counts, width=widths, align="edge", color=colours.ours, alpha=0.8, linewidth=0)
        axes.set(xlim=(edges[0], edges[-1]), xlabel=x_label, ylabel="answers")
        axes.grid(axis="y", color=colours.rule, linewidth=0.6)

    return Plot("histogram", description, (6.4, 2.4), draw)


def curve_plot(name: str, curves: Sequence[Curve], y_label: str, description: str) -> Plot:
    """Quantities by optimiser step, such as losses."""

    def draw(axes: Axes, colours: Colours) -> None:
        for index, curve in enumerate(curves):
            steps, values = zip(*curve.points, strict=True)
            marker = MARKERS[index] if curve.has_markers else "none"
            colour = _series_colour(colours, index)
            axes.plot(
                steps, values, color=colour, linewidth=1.4, label=curve.name, marker=marker, markersize=4.5
            )
        if len(curves) > 1:
            _legend_above(axes)
        axes.set(xlabel="optimiser step", ylabel=y_label)
        axes.set_xlim(left=0)
        axes.grid(color=colours.rule, linewidth=0.6)

    return Plot(name, description, (6.4, 2.8), draw)


def reliability_plot(bins: Sequence[CalibrationBin], name: str, description: str) -> Plot:
    """Accuracy against probability; the area of a dot grows with the rows in its bin."""
    filled = [part for part in bins if part.n]
    total = sum(part.n for part in filled)
    probabilities = [part.mean_probability or 0.0 for part in filled]
    accuracies = [part.accuracy or 0.0 for part in filled]

    def draw(axes: Axes, colours: Colours) -> None:
        axes.plot((0, 1), (0, 1), color=colours.soft, linewidth=0.8, linestyle=(0, (3, 3)))
        axes.plot(probabilities, accuracies, color=colours.ours, linewidth=0.7)
        axes.scatter(
            probabilities,
            accuracies,
            s=[10 + 110 * part.n / total for part in filled],
            color=colours.ours,
            linewidths=0,
            clip_on=False,
        )
        axes.set(xlim=(0, 1), ylim=(0, 1.03), xlabel="probability", ylabel="accuracy", title=name)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_ticks((0, 0.5, 1), ("0", "0.5", "1"))
        axes.grid(color=colours.rule, linewidth=0.6)

    return Plot(f"reliability-{name}", description, (2.1, 2.2), draw)


def risk_coverage_plot(curve: RiskCoverage, name: str, description: str) -> Plot:
    """Share of wrong answers against the share of answers given."""
    coverages = [point.coverage for point in curve.points]
    risks = [point.risk for point in curve.points]
    top = max(0.1, *risks) * 1.05

    def draw(axes: Axes, colours: Colours) -> None:
        axes.plot(coverages, risks, color=colours.ours, linewidth=1.2, clip_on=False)
        axes.fill_between(coverages, risks, color=colours.ours, alpha=0.12, linewidth=0)
        axes.set(xlim=(0, 1), ylim=(0, top), xlabel="coverage", ylabel="risk", title=name)
        axes.xaxis.set_ticks((0, 0.5, 1), ("0", "0.5", "1"))
        axes.grid(color=colours.rule, linewidth=0.6)

    return Plot(f"risk-coverage-{name}", description, (2.1, 2.2), draw)


def deletion_plot(curves: Sequence[Curve], name: str, description: str) -> Plot:
    """Mean probability of a label against the share of words that are left out, in percent; a curve for each method."""

    def draw(axes: Axes, colours: Colours) -> None:
        for index, curve in enumerate(curves):
            shares, probabilities = zip(*curve.points, strict=True)
            axes.plot(
                shares,
                probabilities,
                color=_series_colour(colours, index),
                linewidth=1.2,
                marker=MARKERS[index % len(MARKERS)],
                markersize=3.5,
                label=curve.name,
                clip_on=False,
            )
        axes.set(ylim=(0, 1), xlabel="words left out, %", ylabel="probability", title=name)
        axes.set_xlim(left=0)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.22), frameon=False, handletextpad=0.3)
        axes.grid(color=colours.rule, linewidth=0.6)

    return Plot(f"deletion-{name}", description, (2.6, 2.2), draw)


def _style(colours: Colours, salt: str) -> Any:
    """The settings of a plot. The salt makes the ids in an SVG unique on the page and the same in every run."""
    import matplotlib as mpl

    inks = {"text.color": colours.ink, "ytick.color": colours.ink}
    softs = {"axes.labelcolor": colours.soft, "xtick.color": colours.soft}
    return mpl.rc_context(RC_PARAMS | inks | softs | {"svg.hashsalt": salt})


def _save(figure: Figure, buffer: io.StringIO | io.BytesIO, file_format: str, **options: Any) -> None:
    figure.savefig(
        buffer,
        format=file_format,
        bbox_inches="tight",
        pad_inches=0.04,
        metadata=NO_METADATA[file_format],
        **options,
    )


def _clean_svg(svg: str) -> str:
    """The svg element alone, without its fixed size, fonts, colours and unreferenced ids."""
    svg = svg[svg.index("<svg") :].replace("'DejaVu Sans'", "system-ui, sans-serif")
    svg = re.sub(r"<metadata>.*?</metadata>|<style .*?</style>|<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(?:width|height)="[\d.]+pt"', "", svg, count=2)
    # Ids such as "figure_1" are in every plot, and an id must be unique on the page.
    svg = re.sub(r' id="([^"]+)"', lambda match: match[0] if f"#{match[1]}" in svg else "", svg)
    for field in fields(Colours):
        svg = svg.replace(getattr(PLACEHOLDERS, field.name), f"var(--{field.name})")
    return svg
