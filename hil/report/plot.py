"""One drawing of a measurement: what is drawn, and the numbers that were, so that both can be published.

Error bars are one standard uncertainty (k = 1) everywhere; `BARS` says so once.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, ScalarFormatter
from numpy.typing import ArrayLike, NDArray

from hil.outputs import refuse_replacing, refuse_replacing_other
from hil.report import figures
from hil.report.figures import COLOURS, Panel
from hil.training.run.atomic import write_bytes

BARS = "Error bars are one standard uncertainty (k = 1)."
SHARE = 0.02
"""Least span of an axis or a colour scale as a share of its size: noise is not blown up to fill a drawing."""
FORMATS = ("svg", "png", "csv")
Lines = Sequence[tuple[str, ArrayLike, ArrayLike | None]]
"""Label, values and standard uncertainties of each curve of a drawing."""
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Plot:
    """A drawing and its table.

    Attributes:
        name: Of its files.
        title: Above it.
        draw: Draws it.
        table: What is drawn, one column a quantity, units in the names; all of one length.
    """

    name: str
    title: str
    draw: Callable[[Axes], None]
    table: Mapping[str, ArrayLike]

    @property
    def panel(self) -> Panel:
        """For a page."""
        return Panel(self.title, self.draw)

    def figure(self) -> Figure:
        """By itself, for a notebook or a paper."""
        return figures.drawing([self.panel], columns=1, height=3.2, width=9.0)

    def refuse_replacing(self, folder: Path) -> None:
        """Raises `NotReplaced` where `save` would replace what somebody wrote."""
        for path in self._paths(folder)[:2]:
            refuse_replacing(path, overwrite=False)
        refuse_replacing_other(self._paths(folder)[2], self.csv().encode(), overwrite=False)

    def save(self, folder: Path) -> list[Path]:
        """Writes `name.svg`, `name.png` and `name.csv` into a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        paths, figure = self._paths(folder), self.figure()
        for path in paths[:2]:
            figures.save(figure, path)
        write_bytes(paths[2], self.csv().encode())
        return paths

    def _paths(self, folder: Path) -> list[Path]:
        return [folder / f"{self.name}.{kind}" for kind in FORMATS]

    def csv(self) -> str:
        """The table as comma-separated values with a header."""
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        columns = [np.asarray(values).ravel() for values in self.table.values()]
        writer.writerow(self.table)
        writer.writerows(
            [f"{v:.9g}" if isinstance(v, float | np.floating) else v for v in row] for row in zip(*columns, strict=True)
        )
        return buffer.getvalue()


def x_axis(axes: Axes, quantity: str, unit: str = "", *, log: bool = False) -> None:
    """Names the horizontal axis; a unit gets its prefixes at the ticks."""
    axes.set_xlabel(_label(quantity, unit))
    if log:
        axes.set_xscale("log")
    axes.xaxis.set_major_formatter(_formatter(unit))


def y_axis(axes: Axes, quantity: str, unit: str = "", *, low: float | None = None, log: bool = False) -> None:
    """Names the vertical axis; it spans at least `SHARE` of its values."""
    axes.set_ylabel(_label(quantity, unit))
    axes.yaxis.set_major_formatter(_formatter(unit))
    if log:
        axes.set_yscale("log", nonpositive="mask")
        return
    if low is not None:
        axes.set_ylim(bottom=low, top=None if axes.get_ylim()[1] > low else low + 1)
        return
    axes.set_ylim(_widened(*axes.get_ylim()))


def _label(quantity: str, unit: str) -> str:
    return f"{quantity} ({unit})" if unit else quantity


def _formatter(unit: str) -> ScalarFormatter | EngFormatter:
    if unit:
        return EngFormatter(sep="")
    plain = ScalarFormatter(useOffset=False)
    plain.set_powerlimits((-6, 6))
    return plain


def points(
    axes: Axes, x: ArrayLike, y: ArrayLike, sigma: ArrayLike | None = None, label: str = "", number: int = 0
) -> None:
    """Joined points with error bars."""
    axes.errorbar(
        np.asarray(x), np.asarray(y), None if sigma is None else np.asarray(sigma), fmt="o-", markersize=3.5,
        linewidth=1.2, capsize=2.5, color=COLOURS[number % len(COLOURS)], label=label or None,
    )  # fmt: skip
    if label:
        axes.legend(loc="best")


def siemens_beside(axes: Axes, low_s: float, high_s: float) -> None:
    """A second horizontal axis on top: conductance beside level."""
    span = high_s - low_s

    def to_siemens(level: ArrayLike) -> ArrayLike:
        return low_s + np.asarray(level) * span

    def to_level(siemens: ArrayLike) -> ArrayLike:
        return np.asarray((np.asarray(siemens) - low_s) / span)

    top = axes.secondary_xaxis("top", functions=(to_siemens, to_level))
    top.xaxis.set_major_formatter(EngFormatter(sep=""))
    top.set_xlabel("conductance (S)")


def distribution(
    name: str, title: str, values: ArrayLike, quantity: str, unit: str = "", stated: float | None = None
) -> Plot:
    """Cumulative distribution of values of cells or units: every one of them is seen."""
    ordered = np.sort(np.asarray(values, np.float64).ravel())
    ordered = ordered[np.isfinite(ordered)]
    share = (np.arange(ordered.size) + 0.5) / max(ordered.size, 1)

    def draw(axes: Axes) -> None:
        axes.step(ordered, share, where="mid", color=COLOURS[0], linewidth=1.4)
        x_axis(axes, quantity, unit)
        _least_width(axes)
        axes.set_ylim(0, 1)
        axes.set_ylabel(f"cumulative share of {ordered.size}")

    return Plot(name, title, draw, {_label(quantity, unit): ordered, "cumulative share": share})


def _least_width(axes: Axes) -> None:
    axes.set_xlim(_widened(*axes.get_xlim()))


def _widened(low: float, high: float) -> tuple[float, float]:
    """Limits at least `SHARE` of their size apart, about the same middle; of zeros alone at least `SHARE`."""
    least = SHARE * (max(abs(low), abs(high)) or 1.0)
    if high - low >= least:
        return low, high
    return (low + high - least) / 2, (low + high + least) / 2


def maps(name: str, title: str, planes: Array, quantity: str, unit: str = "") -> list[Plot]:
    """Maps of cells, one a plane, cells square, rows downwards; one scale for both.

    Args:
        name: Of the files; the plane's number is added.
        title: Above; the plane's name is added.
        planes: (planes, rows, columns).
        quantity: At the scale.
        unit: Of it.
    """
    seen = planes[np.isfinite(planes)]
    low, high = _widened(float(seen.min()), float(seen.max())) if seen.size else (0.0, 1.0)
    names = ("G+", "G-") if len(planes) == 2 else tuple(f"plane {n}" for n in range(len(planes)))
    rows, columns = np.meshgrid(*(np.arange(n) for n in planes.shape[1:]), indexing="ij")

    def drawn(values: Array) -> Callable[[Axes], None]:
        def draw(axes: Axes) -> None:
            image = axes.imshow(values, cmap="viridis", aspect="equal", interpolation="nearest", vmin=low, vmax=high)
            axes.grid(visible=False)
            axes.set_xlabel("column")
            axes.set_ylabel("row")
            bar = axes.figure.colorbar(image, ax=axes, fraction=0.046, pad=0.04)
            bar.ax.yaxis.set_major_formatter(_formatter(unit))
            bar.set_label(_label(quantity, unit))

        return draw

    return [
        Plot(
            f"{name}_{n}", f"{title}, {names[n]}" if len(planes) > 1 else title, drawn(values),
            {"row": rows, "column": columns, _label(quantity, unit): values},
        )
        for n, values in enumerate(planes)
    ]  # fmt: skip


def curves(
    name: str, title: str, x: tuple[str, str, ArrayLike], y: tuple[str, str], lines: Lines,
    *, log_x: bool = False, log_y: bool = False, low: float | None = None, siemens: tuple[float, float] | None = None,
) -> Plot:  # fmt: skip
    """Curves with error bars in one drawing.

    Args:
        name: Of the files.
        title: Above.
        x: Quantity, unit and values of all curves.
        y: Quantity and unit.
        lines: Label, values and standard uncertainties of each.
        log_x: Logarithmic horizontal axis.
        log_y: Logarithmic vertical axis.
        low: Where the vertical axis starts.
        siemens: Smallest and largest conductance, where x is a level: a second axis shows siemens.
    """

    def draw(axes: Axes) -> None:
        for number, (label, values, sigma) in enumerate(lines):
            points(axes, x[2], values, sigma, label, number)
        x_axis(axes, x[0], x[1], log=log_x)
        y_axis(axes, *y, low=low, log=log_y)
        if siemens is not None:
            siemens_beside(axes, *siemens)

    table: dict[str, ArrayLike] = {_label(x[0], x[1]): x[2]}
    for label, values, sigma in lines:
        column = _label(" ".join(filter(None, (y[0], label))), y[1])
        table[column] = values
        if sigma is not None:
            table[f"standard uncertainty of {column}"] = sigma
    return Plot(name, title, draw, table)
