"""CSV exports of parameter analyzers: Keysight EasyEXPERT and Keithley 4200.

EasyEXPERT's layout (`DataName` row with the headings, `DataValue` rows) is that of its users' files; it was not checked
against an instrument here. A 4200's export is taken as headings and rows, `Time`, and columns of currents and voltages
by the names the user gave his terminals; its settings sheet is not read.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import numpy as np

from firmware_specs.refusals import close
from hil.measuring.imports import lines
from hil.measuring.imports.formats import Options
from hil.measuring.imports.lines import Rows
from hil.measuring.imports.readings import ImportRefused, Kind, Readings, numbered

TIMES = ("time", "timestamp", "timeoutput", "t")


def easyexpert(paths: Sequence[Path], options: Options, rows: Rows) -> Readings:
    """Keysight B1500/EasyEXPERT CSV: DataName and DataValue rows; each file, or each test in it, is a cell."""
    tests = []
    for path in paths:
        heads: list[str] = []
        data: list[tuple[int, list[str]]] = []
        count = 0
        for line, parts in lines.fields(path, ","):
            if parts[0] in ("SetupTitle", "PrimitiveTest") and data:
                tests.append((path, f"{path.name} test {count}", heads, data))
                count, heads, data = count + 1, [], []
            elif parts[0] == "DataName":
                heads = parts[1:]
            elif parts[0] == "DataValue":
                if not heads:
                    raise ImportRefused(f"{path}:{line}: DataValue before any DataName")
                data.append((line, parts[1:]))
        if data:
            tests.append((path, f"{path.name} test {count}" if count else path.name, heads, data))
        if not any(test[0] == path for test in tests):
            raise ImportRefused(f"{path}: no DataValue row: is it a CSV export of EasyEXPERT?")
    return _readings(tests, options, rows)


def keithley_4200(paths: Sequence[Path], options: Options, rows: Rows) -> Readings:
    """Keithley 4200 CSV export: one row of headings, then values; each file is a cell."""
    tests = []
    for path in paths:
        found = lines.fields(path)
        _, heads = next(found, (0, []))
        tests.append((path, path.name, heads, list(found)))
    return _readings(tests, options, rows)


Test = tuple[Path, str, list[str], list[tuple[int, list[str]]]]


def _readings(tests: Sequence[Test], options: Options, rows: Rows) -> Readings:
    """Conductances from currents and read voltages of tests, each of one cell."""
    kind = options.kind or "reads"
    if kind not in get_args(Kind):
        raise ImportRefused(f"--kind {kind}: there are {', '.join(get_args(Kind))}")
    labels: list[str] = []
    table: dict[str, list[float]] = {"conductance": [], "time": []}
    for path, label, heads, data in tests:
        current = _heading(path, heads, options.current, "I", "--current")
        voltage = None if options.read_v is not None else _heading(path, heads, options.voltage, "V", "--voltage")
        time = next((i for i, h in enumerate(heads) if h.lower() in TIMES), None)
        if time is None and options.interval_s is None:
            raise ImportRefused(f"{path}: no column of times in {', '.join(heads)}: give --interval, seconds")
        for number, (line, parts) in enumerate(data):
            try:
                volts = options.read_v if voltage is None else lines.numbers(parts, (voltage,))[0]
                amperes = lines.numbers(parts, (current,))[0]
                if not volts:
                    raise ValueError("a read voltage of 0 V says no conductance")
                at = number * (options.interval_s or 0.0) if time is None else lines.numbers(parts, (time,))[0]
            except ValueError as error:
                rows.refuse(path, line, str(error))
                continue
            labels.append(label)
            table["conductance"].append(amperes / volts)
            table["time"].append(at)
    rows.done()
    cell, names = numbered(labels)
    columns = {name: np.array(values) for name, values in table.items()}
    if kind == "ramps":
        columns |= _pulses(cell, columns["conductance"])
    return Readings(kind, cell, columns, names, {"origin": "exported by the laboratory"})  # type: ignore[arg-type]


def _heading(path: Path, heads: Sequence[str], wanted: str | None, initial: str, option: str) -> int:
    """Column of a heading: the one that was named, else the only one that looks like it."""
    if wanted is not None:
        if wanted not in heads:
            raise ImportRefused(f"{path}: no column {wanted!r}; {close(wanted, heads)}")
        return list(heads).index(wanted)
    alike = [
        i for i, h in enumerate(heads) if h.upper().rstrip("0123456789()").endswith(initial) and h.lower() not in TIMES
    ]
    if len(alike) != 1:
        raise ImportRefused(f"{path}: {len(alike)} columns may be it among {', '.join(heads)}: name one with {option}")
    return alike[0]


def _pulses(cell: np.ndarray, conductance: np.ndarray) -> dict[str, np.ndarray]:
    """A test is a ramp with a reading after each pulse, up or down as its ends say."""
    pulse, polarity = np.zeros(len(cell)), np.ones(len(cell))
    for one in np.unique(cell):
        mine = np.flatnonzero(cell == one)
        tail = max(1, len(mine) // 10)
        pulse[mine] = np.arange(len(mine))
        if np.median(conductance[mine[-tail:]]) < np.median(conductance[mine[:tail]]):
            polarity[mine] = -1
    return {"pulse": pulse, "polarity": polarity}
