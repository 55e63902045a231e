"""Report of a calibration: units and channels, curves of converters, the map of cells."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes

from hil.measuring.calibrate import file, summary
from hil.measuring.calibrate.entries import ArrayEntry, CouplingEntry, LayerEntry
from hil.measuring.calibrate.file import CalibrationFile
from hil.report import figures
from hil.report.figures import Curve, Panel
from hil.report.page import Badge, Facts, Figure, Page, Part, Section, Table, Text, write

if TYPE_CHECKING:
    import xarray as xr

GRID = np.linspace(0, 1, 101)
COLUMNS = ("gain", "offset", "read_gain", "read_offset")


def write_report(path: Path, out: Path) -> None:
    """Writes the report of a calibration file.

    Raises:
        CalibrationExpired: the file or the maps of cells beside it are not readable.
    """
    found = file.read(path)
    maps = None if found.cells_file is None else file.maps(path, found)
    sections = [Section("Summary", [Text(line) for line in summary.lines(found.arrays)])]
    for array in found.arrays:
        sections.append(Section(f"Array {array.array}: layers", _layers(array)))
        sections.append(Section(f"Array {array.array}: cells", _cells(array, maps)))
    sections.append(Section("Provenance", [Facts(_facts(found))]))
    header = found.calibration
    write(out, Page(f"Calibration {header.id}", f"{header.model}, serial {header.serial}", _badges(found), sections))


def _badges(found: CalibrationFile) -> list[Badge]:
    dead = sum(len(layer.dead) for array in found.arrays for layer in array.layers)
    cells = [coupling for array in found.arrays for coupling in array.couplings]
    stuck = sum(len(c.stuck) for c in cells)
    lines = sum(len(c.dead_rows) + len(c.dead_columns) for c in cells)
    missed = sum(c.missed for c in cells)
    counts = {"dead units": dead, "stuck cells": stuck, "dead lines": lines, "cells outside the tolerance": missed}
    return [Badge(name, str(count), "bad" if count else "good") for name, count in counts.items()]


def _facts(found: CalibrationFile) -> list[tuple[str, str]]:
    header = found.calibration
    kelvin = "not said" if header.temperature_k is None else f"{header.temperature_k:.2f} K"
    return [
        ("made", header.made.isoformat()), ("holds", f"{header.valid_days:g} days"),
        ("firmware", str(header.firmware)), ("temperature", kelvin), ("maps of cells", str(found.cells_file)),
    ]  # fmt: skip


def _layers(array: ArrayEntry) -> list[Part]:
    parts: list[Part] = []
    for layer in array.layers:
        panels = [Panel(f"Layer {layer.layer}: {name.replace('_', ' ')}", _by_unit(layer, name)) for name in COLUMNS]
        bent = {"ADC": layer.adc, "DAC": layer.dac}
        curves = [
            Curve(name, GRID * seen.reach, seen.curve(GRID * seen.reach))
            for name, seen in bent.items()
            if seen is not None
        ]
        if curves:
            panels.append(Panel(f"Layer {layer.layer}: nonlinearity", figures.lines(curves, "state", "too much")))
        parts.append(Figure(figures.row(panels, columns=3, height=2.0)))
    return parts


def _by_unit(layer: LayerEntry, name: str) -> Callable[[Axes], None]:
    values = layer.array(name)
    return figures.lines([Curve("", np.arange(len(values)), values, marker=True)], "unit", name.replace("_", " "))


def _cells(array: ArrayEntry, maps: xr.Dataset | None) -> list[Part]:
    parts: list[Part] = []
    for coupling in array.couplings:
        parts.append(_level_table(coupling))
        name = f"achieved_{array.array}_{coupling.coupling}"
        if maps is not None and name in maps:
            seen = maps[name].to_numpy()
            off = np.abs(seen - np.array(coupling.asked)[:, None, None, None]).max(axis=0)
            panels = [
                Panel(f"Largest error of each cell, plane {plane}", figures.heat(off[plane], "level"))
                for plane in range(len(off))
            ]
            parts.append(Figure(figures.row(panels)))
    return parts


def _level_table(coupling: CouplingEntry) -> Table:
    rows = [
        [f"{asked:g}", f"{error:+.5f} +- {error_sigma:.5f}", f"{spread:.5f} +- {spread_sigma:.5f}"]
        for asked, error, error_sigma, spread, spread_sigma in zip(
            coupling.asked, coupling.error, coupling.error_sigma, coupling.spread, coupling.spread_sigma, strict=True
        )
    ]
    caption = (
        f"Coupling {coupling.coupling}: verified to {coupling.tolerance:g} with at most {coupling.rounds} rewrites"
    )
    return Table(["asked level", "mean error", "spread"], rows, caption)
