"""Tables that were published with papers and simulators; the layouts are those of the named repositories."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hil.measuring.imports import lines
from hil.measuring.imports.formats import Options
from hil.measuring.imports.lines import Rows
from hil.measuring.imports.readings import ImportRefused, Readings, numbered

RRAM = {"origin": "akashlevy/RRAM-Relaxation-Master-Model", "licence": "MIT"}


def relaxation(paths: Sequence[Path], options: Options, rows: Rows) -> Readings:
    """RRAM relaxation after programming: address, time s, R ohm, G S, G at time 0, level, nominal time s."""
    labels, found = _rows(paths, (0, 1, 3, 5, 6), rows)
    _, time, conductance, level, nominal = found.T
    # a cell that was read twice about one nominal time counts once, with its first reading: what is wanted is its age
    cell, names = numbered(labels)
    _, first = np.unique(np.stack([cell, nominal.astype(np.float64)], axis=1), axis=0, return_index=True)
    keep = np.sort(first)
    columns = {"time": np.where(nominal == 0, 0.0, nominal), "conductance": conductance}
    columns = {name: values[keep] for name, values in columns.items()}
    del time, level
    return Readings("retention", cell[keep], columns, names, RRAM)


def bake(paths: Sequence[Path], options: Options, rows: Rows) -> Readings:
    """RRAM retention before and after a bake: address, time s, R ohm, G S, temperature C."""
    labels, found = _rows(paths, (0, 1, 3, 4), rows)
    address, time, conductance, celsius = found.T
    cell, names = numbered([f"{a} at {c:g} C" for a, c in zip(labels, celsius, strict=True)])
    began = np.full(len(names), np.inf)
    np.minimum.at(began, cell, time)
    del address
    columns = {"time": time - began[cell], "conductance": conductance, "temperature": celsius + 273.15}
    return Readings("retention", cell, columns, names, RRAM)


def series(paths: Sequence[Path], options: Options, rows: Rows) -> Readings:
    """RRAM read noise: a row a cell, its level, an unused number, then conductances in S at 400 Hz (or --interval)."""
    interval_s = options.interval_s or 1 / 400
    labels, values, times = [], [], []
    for path in paths:
        for line, parts in lines.fields(path):
            try:
                sampled = [lines.number(part) for part in parts[2:]]
                label = f"level {lines.number(parts[0]):g} (row {line})"
            except (ValueError, IndexError) as error:
                rows.refuse(path, line, str(error))
                continue
            labels += [label] * len(sampled)
            values += sampled
            times.append(np.arange(len(sampled)) * interval_s)
    rows.done()
    if not values:
        raise ImportRefused(f"{', '.join(map(str, paths))}: no reading in it")
    cell, names = numbered(labels)
    return Readings("reads", cell, {"time": np.concatenate(times), "conductance": np.array(values)}, names, RRAM)


def crosssim_ramps(paths: Sequence[Path], options: Options, rows: Rows) -> Readings:
    """CrossSim's example ramps: a heading, then a column a ramp and a row a pulse, siemens; empty fields end a ramp."""
    return _ramps(paths, rows, {"origin": "sandialabs/cross-sim, examples of its first commit", "licence": "BSD-3"})


def aihwkit_ramps(paths: Sequence[Path], options: Options, rows: Rows) -> Readings:
    """aihwkit's example ramps (examples/csv): one cell, a row a pulse, columns up and down, normalized (--range)."""
    found = _ramps(paths, rows, {"origin": "IBM/aihwkit, examples/csv", "licence": "MIT"})
    low_s, high_s = options.range_s or (math.nan, math.nan)
    if not 0 <= low_s < high_s:
        raise ImportRefused("the table is normalized: give --range LOW HIGH, the siemens its ends are to stand for")
    value = found.conductance_s
    ends = [
        np.median(value[(found.columns["polarity"] == p) & (np.abs(found.columns["pulse"] - at) <= 25)])
        for p in (-1, 1)
        for at in (found.columns["pulse"].min(), found.columns["pulse"].max())
    ]
    x = (value - min(ends)) / (max(ends) - min(ends))
    source = dict(found.source) | {"range": f"{min(ends):g} .. {max(ends):g} of the table is {low_s:g} .. {high_s:g} S"}
    columns = dict(found.columns) | {"conductance": low_s + x * (high_s - low_s)}
    return Readings("ramps", np.zeros_like(found.cell), columns, ("the cell",), source)


def pcm_reset(paths: Sequence[Path], options: Options, rows: Rows) -> Readings:
    """PCM partial reset: R ohm after a reset pulse, height of the pulse in V, with a heading."""
    values, volts = [], []
    for path in paths:
        for line, parts in lines.fields(path):
            try:
                ohm, height = lines.numbers(parts, (0, 1))
                siemens = lines.conductance(ohm)
            except ValueError as error:
                if line > 1:
                    rows.refuse(path, line, str(error))
                continue
            values.append(siemens)
            volts.append(height)
    rows.done()
    if not values:
        raise ImportRefused(f"{', '.join(map(str, paths))}: no reading in it")
    columns = {"conductance": np.array(values), "amplitude": np.array(volts)}
    # repeats of one device: the number of a repeat stands for the cell, since nothing else is independent
    seen: dict[float, int] = {}
    repeat = []
    for height in volts:
        seen[height] = seen.get(height, -1) + 1
        repeat.append(seen[height])
    return Readings(
        "resets", np.array(repeat, dtype=np.int64), columns, (), {"origin": "rzarcone/CAEs", "licence": "BSD-2"}
    )


def _rows(paths: Sequence[Path], columns: tuple[int, ...], rows: Rows) -> tuple[list[str], np.ndarray]:
    """Labels (the first column) and numbers of tables without a heading."""
    labels, found = [], []
    for path in paths:
        for line, parts in lines.fields(path):
            try:
                values = lines.numbers(parts, columns)
            except ValueError as error:
                rows.refuse(path, line, str(error))
                continue
            if values[columns.index(3)] < 0:
                rows.refuse(path, line, f"a conductance of 0 or more was expected, got {parts[3]} S")
                continue
            labels.append(parts[0])
            found.append(values)
    rows.done()
    if not found:
        raise ImportRefused(f"{', '.join(map(str, paths))}: no reading in it")
    return labels, np.array(found)


def _ramps(paths: Sequence[Path], rows: Rows, source: dict[str, str]) -> Readings:
    """Ramps in columns; each goes up or down as its ends say."""
    labels: list[str] = []
    pulse: list[float] = []
    value: list[float] = []
    polarity: list[float] = []
    for path in paths:
        ramps: dict[int, list[tuple[int, float]]] = {}
        numbered_row = 0
        for line, parts in lines.fields(path, ","):
            try:
                read = {c: lines.number(part) for c, part in enumerate(parts) if part}
            except ValueError as error:
                if line > 1:
                    rows.refuse(path, line, str(error))
                continue
            for column, one in read.items():
                ramps.setdefault(column, []).append((numbered_row, one))
            numbered_row += 1
        for column, ramp in ramps.items():
            tail = max(1, len(ramp) // 10)
            rises = np.median([v for _, v in ramp[-tail:]]) > np.median([v for _, v in ramp[:tail]])
            labels += [f"ramp {column + 1}"] * len(ramp)
            pulse += [float(n) for n, _ in ramp]
            value += [v for _, v in ramp]
            polarity += [1.0 if rises else -1.0] * len(ramp)
    rows.done()
    if not value:
        raise ImportRefused(f"{', '.join(map(str, paths))}: no ramp in it")
    cell, names = numbered(labels)
    columns = {"conductance": np.array(value), "pulse": np.array(pulse), "polarity": np.array(polarity)}
    return Readings("ramps", cell, columns, names, source)
