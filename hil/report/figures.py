"""Drawing and embedding: matplotlib figures as inline SVG, and the few plots that reports share."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import matplotlib.style
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from hil.outputs import PICTURE_MARKS
from hil.report import readings

COLOURS = ("#2563eb", "#d97706", "#0f766e", "#be185d", "#6d28d9", "#4d7c0f", "#0e7490", "#9a3412")
POINTS = 400
"""Longer series are drawn as means over bins, with the range of each bin behind them."""

STYLE: dict[str, object] = {
    "font.family": "sans-serif",
    "font.size": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#8896a5",
    "axes.labelcolor": "#3e4c59",
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e9ee",
    "xtick.color": "#5f6c7b",
    "ytick.color": "#5f6c7b",
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "hil",
}


def styled() -> AbstractContextManager[None]:
    """Our look, on matplotlib's own defaults: what a person or a notebook has set changes no figure of a report."""
    return matplotlib.style.context(["default", STYLE])


@dataclass(frozen=True)
class Curve:
    """One line: label, x and y of equal length; NaN leaves a gap.

    Attributes:
        marker: Draw the points, too.
        joined: False draws the points alone.
    """

    label: str
    x: ArrayLike
    y: ArrayLike
    marker: bool = False
    joined: bool = True


@dataclass(frozen=True)
class Panel:
    """A plot in a row of plots: title and what draws it."""

    title: str
    draw: Callable[[Axes], None]


def row(panels: Sequence[Panel], *, columns: int = 2, height: float = 2.6, width: float = 10.4) -> Markup:
    """`drawing` as inline SVG."""
    return to_svg(drawing(panels, columns=columns, height=height, width=width))


def drawing(panels: Sequence[Panel], *, columns: int = 2, height: float = 2.6, width: float = 10.4) -> Figure:
    """Plots side by side, wrapped into rows.

    Args:
        panels: At least one.
        columns: Plots in a row.
        height: Of one plot, inches.
        width: Of the whole, inches.
    """
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    with styled():
        figure = Figure(figsize=(width * columns / max(columns, 2), height * rows), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False)
        for panel, at in zip(panels, axes.flat, strict=False):
            at.set_title(panel.title)
            panel.draw(at)
        for unused in list(axes.flat)[len(panels) :]:
            unused.set_axis_off()
        return figure


def save(figure: Figure, path: Path) -> None:
    """Writes a figure in the format of the file's suffix: png, svg or pdf, with our mark.

    Raises:
        ValueError: another suffix.
    """
    if (mark := PICTURE_MARKS.get(path.suffix.lower())) is None:
        raise ValueError(f"{path}: a picture is a .png, .svg or .pdf file")
    path.parent.mkdir(parents=True, exist_ok=True)
    with styled():
        lay_out(figure)
        figure.savefig(path, dpi=130, metadata=dict(mark))


def lay_out(figure: Figure) -> None:
    """Places what is in a figure for good: matplotlib would do it, and draw all of it, once more for every file."""
    if (layout := figure.get_layout_engine()) is not None:
        layout.execute(figure)
        figure.set_layout_engine(None)


def to_svg(figure: Figure) -> Markup:
    """A figure as an inline SVG element; the same bytes for the same drawing."""
    buffer = io.StringIO()
    with styled():
        lay_out(figure)
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
        text = buffer.getvalue()
        return Markup("<svg") + readings.beside(figure) + Markup(text[text.index("<svg") + 4 :])  # noqa: S704 - matplotlib escapes the texts it draws


def lines(
    curves: Sequence[Curve], x: str, y: str, *, log: bool = False, low: float | None = None
) -> Callable[[Axes], None]:
    """Curves in one plot, with a legend where there are several; `low` is where a linear axis starts."""

    def draw(axes: Axes) -> None:
        for curve, colour in zip(curves, _colours(), strict=False):
            _line(axes, curve, colour)
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        if log and any(np.nanmax(np.asarray(c.y, float), initial=0.0) > 0 for c in curves):
            axes.set_yscale("log", nonpositive="mask")
        elif low is not None:
            flat = all(np.nanmax(np.asarray(c.y, float), initial=low) <= low for c in curves)
            axes.set_ylim(low, low + 1 if flat else None)
        if len(curves) > 1:
            axes.legend(loc="best")

    return draw


def histogram(
    edges: ArrayLike, counts: ArrayLike, x: str, marks: Mapping[str, float] | None = None
) -> Callable[[Axes], None]:
    """A histogram from its edges and counts; `marks` are labelled vertical lines."""

    def draw(axes: Axes) -> None:
        held = np.asarray(counts, float)
        axes.stairs(
            held / max(float(held.sum()), 1.0), np.asarray(edges, float), fill=True, color=COLOURS[0], alpha=0.8
        )
        for label, at in (marks or {}).items():
            axes.axvline(at, color=COLOURS[1], linestyle="--", linewidth=1)
            axes.text(at, 0.98, f" {label}", transform=axes.get_xaxis_transform(), va="top", color=COLOURS[1])
        axes.set_xlabel(x)
        axes.set_ylabel("share")

    return draw


def dots(
    values: Mapping[str, float], x: str, *, log: bool = False, marks: Mapping[str, float] | None = None
) -> Callable[[Axes], None]:
    """One dot a name, names on the left, first on top; `marks` are labelled vertical lines."""

    def draw(axes: Axes) -> None:
        places = np.arange(len(values))
        axes.scatter(list(values.values()), places, color=COLOURS[0], s=26, zorder=3)
        axes.set_yticks(places, list(values))
        axes.invert_yaxis()
        axes.set_xlabel(x)
        if log:
            axes.set_xscale("log")
        for label, at in (marks or {}).items():
            axes.axvline(at, color=COLOURS[1], linestyle="--", linewidth=1, label=label)
        if marks:
            axes.legend(loc="best")

    return draw


def bars(values: Mapping[str, float], y: str, *, low: float = 0.0) -> Callable[[Axes], None]:
    """Named bars; `low` is where the axis starts, for values that crowd at the top."""

    def draw(axes: Axes) -> None:
        axes.bar(list(values), [v - low for v in values.values()], bottom=low, color=COLOURS[0], width=0.7)
        axes.grid(visible=False, axis="x")
        axes.set_ylabel(y)

    return draw


def matrix(values: ArrayLike, x: str, y: str, *, numbers: bool = True) -> Callable[[Axes], None]:
    """A matrix of counts as a heat map, shaded by its share of the row."""

    def draw(axes: Axes) -> None:
        counts = np.asarray(values, float)
        share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
        axes.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="equal")
        axes.grid(visible=False)
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        if len(counts) <= 20:
            axes.set_xticks(range(counts.shape[1]))
            axes.set_yticks(range(counts.shape[0]))
        if numbers and len(counts) <= 20:
            for (i, j), count in np.ndenumerate(counts):
                if count:
                    colour = "white" if share[i, j] > 0.5 else "#1f2933"
                    axes.text(j, i, f"{count:.0f}", ha="center", va="center", color=colour, fontsize=7.5)

    return draw


def _line(axes: Axes, curve: Curve, colour: str) -> None:
    x, y = np.asarray(curve.x, float), np.asarray(curve.y, float)
    if len(x) > POINTS:
        x, y, low, high = _binned(x, y)
        axes.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
    marker = "o" if curve.marker or not curve.joined or len(x) == 1 else None
    style = "-" if curve.joined else "none"
    axes.plot(x, y, color=colour, linewidth=1.4, linestyle=style, marker=marker, markersize=4, label=curve.label)


def _binned(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Means and ranges over bins of equal count; bins without any number are NaN."""
    bins = [b for b in np.array_split(np.arange(len(x)), POINTS) if len(b)]
    rows = []
    for b in bins:
        present = y[b][np.isfinite(y[b])]
        values = (present.mean(), present.min(), present.max()) if len(present) else (np.nan,) * 3
        rows.append((x[b].mean(), *values))
    centre, mean, low, high = np.array(rows).T
    return centre, mean, low, high


def _colours() -> list[str]:
    return list(COLOURS) * 8


def heat(values: ArrayLike, label: str) -> Callable[[Axes], None]:
    """A map of the array: one shade a cell, with its scale."""

    def draw(axes: Axes) -> None:
        image = axes.imshow(np.asarray(values, float), cmap="viridis", aspect="auto", interpolation="nearest")
        axes.grid(visible=False)
        axes.set_xlabel("column")
        axes.set_ylabel("row")
        bar = axes.figure.colorbar(image, ax=axes, fraction=0.046, pad=0.04)
        bar.set_label(label)

    return draw
