"""Exports of ArC ONE and ArC TWO, as their open control programs write them (arc1_pyqt, arc2control)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from firmware_specs.extras import extra
from hil.measuring.imports import lines
from hil.measuring.imports.formats import Options
from hil.measuring.imports.lines import Rows
from hil.measuring.imports.readings import ImportRefused, Readings, numbered

HEADS = ["Wordline", "Bitline", "Resistance", "Amplitude (V)", "Pulse width (s)", "Tag", "ReadTag", "ReadVoltage"]
MOST_ROWS = 50_000_000
READ, PULSE, BOTH = 1, 2, 3


def arc_one(paths: Sequence[Path], options: Options, rows: Rows) -> Readings:
    """ArC ONE session (CSV, arc1_pyqt): a row an operation; readings after pulses are ramps, others repeated reads."""
    labels: list[str] = []
    table: list[tuple[float, float, float]] = []
    for path in paths:
        seen = False
        for line, parts in lines.fields(path, ","):
            if not seen:
                seen = parts[:5] == HEADS[:5]
                if line > 5 and not seen:
                    raise ImportRefused(f"{path}:{line}: the headings {', '.join(HEADS[:5])} were expected in line 3")
                continue
            try:
                ohm, amplitude_v, width_s = lines.numbers(parts, (2, 3, 4))
                table.append((lines.conductance(ohm), amplitude_v, width_s))
                labels.append(f"W{int(parts[0]):02d}B{int(parts[1]):02d}")
            except ValueError as error:
                rows.refuse(path, line, str(error))
    rows.done()
    return _operations(labels, np.array(table), "ArC ONE session", paths)


def arc_two(paths: Sequence[Path], options: Options, rows: Rows) -> Readings:
    """ArC TWO dataset (HDF5, arc2control): the time series of every crosspoint."""
    with extra("measure", "a dataset of arc2control"):
        import h5py

    labels: list[str] = []
    table: list[np.ndarray] = []
    for path in paths:
        try:
            with h5py.File(path, "r") as file:
                for name, point in file["crosspoints"].items():
                    series = point["timeseries"]
                    if series.external or series.is_virtual or series.file != file:
                        raise ImportRefused(f"{path}: {name} has its values in another file")
                    count = int(series.attrs["NROWS"])
                    if not 0 <= count <= min(len(series), MOST_ROWS):
                        raise ImportRefused(f"{path}: {name}: NROWS = {count}, the table has {len(series)} rows")
                    one = series[:count]
                    one = one[(one["op_type"].astype(int) & READ) > 0]
                    volts = one["read_voltage"].astype(float)
                    good = (volts != 0) & np.isfinite(one["current"]) & np.isfinite(volts)
                    for row in np.flatnonzero(~good):
                        rows.bad.append(f"{path}: {name} row {row}: no conductance (current or read voltage)")
                    pulsed = np.where(one["op_type"].astype(int) & PULSE, one["voltage"].astype(float), 0.0)
                    siemens = np.abs(one["current"].astype(float) / np.where(volts == 0, 1, volts))
                    table.append(np.stack([siemens, pulsed, one["pulse_width"].astype(float)], axis=1)[good])
                    labels += [name] * int(good.sum())
        except (OSError, KeyError, TypeError, ValueError) as error:
            if isinstance(error, ImportRefused):
                raise
            raise ImportRefused(f"{path}: not a dataset of arc2control: {error}") from error
    rows.done()
    return _operations(labels, np.concatenate(table) if table else np.empty((0, 3)), "ArC TWO dataset", paths)


def _operations(labels: list[str], table: np.ndarray, what: str, paths: Sequence[Path]) -> Readings:
    """A log of operations: pulses and readings where there are pulses, else readings in their order."""
    if not labels:
        raise ImportRefused(f"{', '.join(map(str, paths))}: no reading in it")
    cell, names = numbered(labels)
    siemens, amplitude_v, width_s = table.T
    source = {"origin": what}
    if not (np.abs(amplitude_v) > 0).any():
        time = np.zeros(len(cell))
        for one in np.unique(cell):
            mine = cell == one
            time[mine] = np.arange(mine.sum())
        return Readings("reads", cell, {"conductance": siemens, "time": time}, names, source)
    polarity, pulse, cycle = np.zeros(len(cell)), np.zeros(len(cell)), np.zeros(len(cell))
    for one in np.unique(cell):
        mine = np.flatnonzero(cell == one)
        sign, count, cycles = 0.0, 0, 0
        for i in mine:
            now = math.copysign(1.0, amplitude_v[i]) if amplitude_v[i] else sign
            if now != sign and sign:
                count, cycles = 0, cycles + (now > 0)
            sign, count = now, count + bool(amplitude_v[i])
            polarity[i], pulse[i], cycle[i] = sign or 1.0, count, cycles
    columns = {"conductance": siemens, "amplitude": np.abs(amplitude_v), "width": width_s, "polarity": polarity}
    return Readings("ramps", cell, columns | {"pulse": pulse, "cycle": cycle}, names, source)
