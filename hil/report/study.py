"""The picture of a study: accuracy along its longest numeric axis, a panel for every value of its last one."""

from __future__ import annotations

import io
from collections.abc import Sequence
from math import nan
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hil.report.figures import COLOURS, lay_out, styled
from hil.training.run.atomic import write_bytes
from hil.training.study.grid import SEED, Axis, Row, Spread, Value, over_seeds


def write_picture(path: Path, title: str, axes: Sequence[Axis], rows: Sequence[Row]) -> None:
    """Draws `study.png`: numbers logarithmic where they span a hundredfold, names in their order."""
    if any(a.key == SEED for a in axes) and len(axes) > 1:
        _write_spread(path, title, [a for a in axes if a.key != SEED], over_seeds(rows))
        return
    along = max((a for a in axes if _numeric(a)), key=lambda a: len(a.values), default=axes[0])
    others = [a for a in axes if a is not along]
    panels = others.pop() if len(others) > 1 else None
    lines = [a.key for a in others]
    with styled():
        count = 1 if panels is None else len(panels.values)
        figure = Figure(figsize=(7.2 if count == 1 else 1.2 + 3.0 * count, 4.4), layout="constrained")
        figure.suptitle(title)
        plots = figure.subplots(1, count, sharey=True, squeeze=False)[0]
        for number, plot in enumerate(plots):
            shown = rows
            if panels is not None:
                value = panels.values[number]
                shown = [r for r in rows if r.values[panels.key] == value]
                plot.set_title(f"{panels.key} = {value}", fontsize=9)
            _draw(plot, along, lines, shown)
        plots[0].set_ylabel("test accuracy, %")
        if lines:
            plots[-1].legend(loc="best", title=", ".join(lines), fontsize=8)
        buffer = io.BytesIO()
        lay_out(figure)
        figure.savefig(buffer, format="png", dpi=150, metadata={"Software": None})
    write_bytes(path, buffer.getvalue())


def _draw(plot: Axes, along: Axis, others: Sequence[str], rows: Sequence[Row]) -> None:
    """One panel: a line for every combination of the other axes."""
    plot.set_xlabel(along.key)
    groups = list(dict.fromkeys(_label(row, others) for row in rows))
    for number, group in enumerate(groups):
        line = [r for r in rows if _label(r, others) == group and r.accuracy is not None]
        x = [_place(along, row.values[along.key]) for row in line]
        y = [100 * (row.accuracy or 0.0) for row in line]
        plot.plot(x, y, "o-", color=COLOURS[number % len(COLOURS)], label=group)
    if not _numeric(along):
        plot.set_xticks(range(len(along.values)), [str(v) for v in along.values])
    elif _wide(along):
        plot.set_xscale("symlog", linthresh=min(float(v) for v in along.values if float(v) > 0))


def _write_spread(path: Path, title: str, axes: Sequence[Axis], spreads: Sequence[Spread]) -> None:
    """Means over the seeds of accuracy and training time, with their standard deviations."""

    along, others = axes[0], [a.key for a in axes[1:]]
    with styled():
        figure = Figure(figsize=(10.4, 4.4), layout="constrained")
        accuracy, seconds = figure.subplots(1, 2)
        groups = list(dict.fromkeys(_of(s, others) for s in spreads))
        for number, group in enumerate(groups):
            line = [s for s in spreads if _of(s, others) == group]
            x = [_place(along, s.values[along.key]) for s in line]
            colour = COLOURS[number % len(COLOURS)]
            y, deviation = [100 * s.mean for s in line], [100 * s.deviation for s in line]
            accuracy.errorbar(x, y, deviation, fmt="o-", capsize=4, color=colour, label=group)
            took = [nan if s.mean_s is None else s.mean_s for s in line]
            seconds.errorbar(x, took, [s.deviation_s for s in line], fmt="o-", capsize=4, color=colour, label=group)
        for plot, label in ((accuracy, "test accuracy, %"), (seconds, "training, s")):
            plot.set(title=title if plot is accuracy else "", xlabel=along.key, ylabel=label)
            if not _numeric(along):
                plot.set_xticks(range(len(along.values)), [str(v) for v in along.values], rotation=12)
        if others:
            accuracy.legend(loc="best", title=", ".join(others), fontsize=8)
        buffer = io.BytesIO()
        lay_out(figure)
        figure.savefig(buffer, format="png", dpi=150, metadata={"Software": None})
    write_bytes(path, buffer.getvalue())


def _of(spread: Spread, keys: Sequence[str]) -> str:
    return ", ".join(str(spread.values[key]) for key in keys)


def _numeric(axis: Axis) -> bool:
    return all(isinstance(v, int | float) and not isinstance(v, bool) for v in axis.values)


def _wide(axis: Axis) -> bool:
    sizes = [float(v) for v in axis.values if float(v) > 0]
    return len(sizes) > 1 and max(sizes) / min(sizes) >= 100


def _place(axis: Axis, value: Value) -> float:
    return float(value) if _numeric(axis) else float(axis.values.index(value))


def _label(row: Row, keys: Sequence[str]) -> str:
    return ", ".join(str(row.values[key]) for key in keys)
