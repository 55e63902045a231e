"""Any table of text, read by a mapping."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from hil.measuring.imports import lines
from hil.measuring.imports.lines import Rows
from hil.measuring.imports.mapping import Mapping
from hil.measuring.imports.readings import ImportRefused, Readings, numbered
from hil.measuring.imports.units import converter

Row = dict[str, float]


def read(paths: Sequence[Path], mapping: Mapping, rows: Rows) -> Readings:
    """Readings of tables that a mapping describes.

    Args:
        paths: The tables, all alike; cells of different files are different cells unless a column names them.
        mapping: Which column is what.
        rows: Takes what is wrong.

    Raises:
        ImportRefused: no reading is left, or a heading is missing.
    """
    labels: list[str] = []
    found: list[Row] = []
    for path in paths:
        for line, parts, places in _data(path, mapping):
            try:
                row = _row(parts, places, mapping)
                labels.append(parts[places["cell"]] if "cell" in places else path.name)
            except (ValueError, IndexError) as error:
                rows.refuse(path, line, str(error))
                continue
            found.append(row)
    rows.done()
    if not found:
        raise ImportRefused(f"{', '.join(map(str, paths))}: no reading in it")
    cell, names = numbered(labels)
    columns = {name: np.array([row[name] for row in found]) for name in found[0]}
    for name, value in mapping.constants.items():
        columns[name] = np.full(len(found), value)
    columns = _completed(mapping.kind, cell, columns)
    return Readings(mapping.kind, cell, columns, names, mapping.source)


def _data(path: Path, mapping: Mapping):  # type: ignore[no-untyped-def]
    """Line number, fields and places of the columns of every data row."""
    rows = lines.fields(path, mapping.separator, mapping.skip_lines)
    if mapping.headings:
        line, heads = next(rows, (0, []))
        places = {}
        for name, column in mapping.columns.items():
            if column.name is not None and column.name not in heads:
                raise ImportRefused(
                    f"{path}:{line}: no column {column.name!r} (columns.{name}); there are {', '.join(heads)}"
                )
            places[name] = heads.index(column.name) if column.name is not None else (column.index or 1) - 1
    else:
        places = {name: (column.index or 1) - 1 for name, column in mapping.columns.items()}
    for line, parts in rows:
        yield line, parts, places


def _row(parts: list[str], places: dict[str, int], mapping: Mapping) -> Row:
    if max(places.values()) >= len(parts):
        raise ValueError(f"{max(places.values()) + 1} columns were expected, the row has {len(parts)}")
    row: Row = {}
    for name, place in places.items():
        if name == "cell":
            continue
        if name == "polarity":
            row[name] = _polarity(parts[place], mapping)
            continue
        quantity, convert = _converters(mapping, name)
        value = convert(lines.number(parts[place]) * mapping.columns[name].scale)
        if quantity == "resistance":
            value = lines.conductance(value)
        row["conductance" if name == "resistance" else name] = value
    if "current" in row:
        volts, amperes = row.pop("voltage"), row.pop("current")
        if volts == 0:
            raise ValueError("a read voltage of 0 V says no conductance")
        row["conductance"] = amperes / volts
    return row


def _converters(mapping: Mapping, name: str) -> tuple[str, Callable[[float], float]]:
    return converter(mapping.columns[name].unit)


def _polarity(text: str, mapping: Mapping) -> float:
    word = text.lower()
    if word in mapping.up:
        return 1.0
    if word in mapping.down:
        return -1.0
    raise ValueError(f"polarity {text!r} is neither of {', '.join(mapping.up)} nor of {', '.join(mapping.down)}")


def _completed(kind: str, cell: np.ndarray, columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Numbers of pulses and of cycles of ramps, counted from the order of a cell's rows, where the table has none.

    A ramp ends where the polarity turns or the pulses begin to count anew; a cycle begins with a ramp of a polarity
    that it has had.
    """
    if kind != "ramps" or "polarity" not in columns:
        return columns
    pulse, cycle = np.zeros(len(cell)), np.zeros(len(cell))
    order = np.argsort(cell, kind="stable")
    for mine in np.split(order, np.flatnonzero(np.diff(cell[order])) + 1):
        polarity = columns["polarity"][mine]
        turns = np.diff(polarity, prepend=polarity[:1]) != 0
        if "pulse" in columns:
            turns |= np.diff(columns["pulse"][mine], prepend=columns["pulse"][mine[:1]]) < 0
        starts = np.flatnonzero(turns | (np.arange(len(mine)) == 0))
        had: set[float] = set()
        number = 0
        for start, end in zip(starts, [*starts[1:], len(mine)], strict=True):
            if polarity[start] in had:
                number, had = number + 1, set()
            had.add(float(polarity[start]))
            pulse[mine[start:end]], cycle[mine[start:end]] = np.arange(end - start), number
    return {"pulse": pulse, "cycle": cycle} | columns
