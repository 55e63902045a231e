"""What a drawing shows, as numbers beside it: the page's script says them under the pointer."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray

MOST_POINTS, MOST_CELLS = 500, 4096
"""Of a curve and of a map, larger ones are drawn but not said."""
SCALES = ("linear", "log")
DIGITS = 6


def beside(figure: Figure) -> Markup:
    """Attribute of the drawing's element: a JSON list, one entry an axes with data. It has been drawn already.

    Places are in the drawing's own units, points from its upper left corner.
    """
    width, height = (float(v) * 72.0 for v in figure.get_size_inches())
    found = [said for axes in figure.axes if axes.axison and (said := _of(axes, width, height)) is not None]
    return Markup(' data-axes="{}"').format(escape(json.dumps(found, separators=(",", ":")))) if found else Markup("")


def _of(axes: Axes, width: float, height: float) -> dict[str, Any] | None:
    if axes.get_xscale() not in SCALES or axes.get_yscale() not in SCALES:
        return None
    curves = [*_lines(axes), *_dots(axes)]
    maps = [_numbers(image.get_array()) for image in axes.images[:1]]
    cells = next((m.tolist() for m in maps if m.ndim == 2 and m.size <= MOST_CELLS), None)
    if not curves and cells is None:
        return None
    at = axes.get_position()
    return {
        "box": [round(v, 2) for v in (at.x0 * width, (1 - at.y1) * height, at.x1 * width, (1 - at.y0) * height)],
        "x": [*_short(axes.get_xlim()), axes.get_xscale() == "log"],
        "y": [*_short(axes.get_ylim()), axes.get_yscale() == "log"],
        "names": [axes.get_xlabel(), axes.get_ylabel()],
        "curves": curves,
        "cells": _short(cells) if cells is not None else None,
    }


def _lines(axes: Axes) -> list[dict[str, Any]]:
    """Curves in the units of the axes; a mark across them is none."""
    found = []
    for line in axes.lines:
        if line.get_transform() != axes.transData:
            continue
        x, y = _numbers(line.get_xdata()), _numbers(line.get_ydata())
        if 0 < len(x) <= MOST_POINTS:
            found.append(_curve(str(line.get_label()), x, y))
    return found


def _dots(axes: Axes) -> list[dict[str, Any]]:
    found = []
    for dots in axes.collections:
        if isinstance(dots, PathCollection) and 0 < len(at := _numbers(dots.get_offsets())) <= MOST_POINTS:
            found.append(_curve(str(dots.get_label()), at[:, 0], at[:, 1]))
    return found


def _curve(label: str, x: NDArray[Any], y: NDArray[Any]) -> dict[str, Any]:
    name = "" if label.startswith("_") else label
    return {"name": name, "x": _short(x.tolist()), "y": _short(y.tolist())}


def _numbers(values: Any) -> NDArray[Any]:
    return np.ma.filled(np.ma.asarray(values).astype(float), np.nan)


def _short(values: Any) -> Any:
    """Numbers with a few digits; what is none becomes null."""
    if isinstance(values, list | tuple):
        return [_short(v) for v in values]
    return float(f"{values:.{DIGITS}g}") if math.isfinite(values) else None
