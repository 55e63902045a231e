"""Emulated cells in the place of measured ones: the same starts, pulses, waits and number of readings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from emulator.chip import Chip
from emulator.crossbar import EVERYWHERE
from firmware_specs.chains import dense_chain
from firmware_specs.datasheet import Datasheet
from hil.measuring.imports.readings import Readings
from hil.measuring.laws import samples
from hil.measuring.laws.samples import Ramps, Range

Array = NDArray[np.float64]
LASTS = 3.0
"""Memories of the noise that outlives a pulse after which it is as large as ever."""


def emulate(readings: Readings, sheet: Datasheet, within: Range, seed: int) -> Readings:
    """The same measurement on emulated cells: same starts, pulses, waits and number of readings."""
    plain = sheet.model_dump(exclude_unset=True)
    if readings.kind != "writes":
        plain.pop("programming", None)
        plain["cells"]["programming_noise"] = 0.0
    for section in {"ramps": ("drift", "faults"), "resets": ("drift", "faults"), "reads": ("faults",)}.get(
        readings.kind, ("faults",)
    ):
        plain.pop(section, None)
    return EMULATORS[readings.kind](readings, plain, within, seed)


def _chip(plain: dict[str, Any], cells: int, seed: int) -> tuple[Chip, int]:
    side = int(np.ceil(np.sqrt(max(cells, 2) / 2)))
    plain["fabric"] = plain["fabric"] | {
        "max_rows": max(side, 4096),
        "max_columns": max(side, 4096),
        "max_units": max(side, 4096),
    }
    chip = Chip(Datasheet.model_validate(plain), seed, dtype=torch.float64)
    chip.configure(0, dense_chain([side, side], bias=False))
    return chip, side


def _program(chip: Chip, side: int, siemens: Array) -> None:
    padded = np.resize(siemens, 2 * side * side)
    chip.program(0, [torch.from_numpy(padded).view(2, side, side)])


def _read(chip: Chip, cells: int) -> Array:
    return np.asarray(chip.read(0, 0).numpy()).ravel()[:cells]


def _ramps(readings: Readings, plain: dict[str, Any], within: Range, seed: int) -> Readings:
    parts: list[tuple[Array, Array, Array, float]] = []
    for ramps in samples.ramps_of(readings, within):
        x = _emulated_ramp(ramps, plain, within, seed)
        taken = np.cumsum(ramps.pulses, axis=1)
        rows, places = np.nonzero(np.isfinite(ramps.x))
        parts.append((rows.astype(np.float64), taken[rows, places], x[rows, places], 1.0 if ramps.up else -1.0))
    offset, cell, pulse, value, polarity = 0, [], [], [], []
    for numbers, pulses, x_part, sign in parts:
        cell.append(numbers.astype(np.int64) + offset)
        pulse.append(pulses)
        value.append(within.low_s + x_part * within.span_s)
        polarity.append(np.full(len(numbers), sign))
        offset += int(numbers.max()) + 1
    columns = {
        "conductance": np.concatenate(value),
        "pulse": np.concatenate(pulse),
        "polarity": np.concatenate(polarity),
    }
    return Readings("ramps", np.concatenate(cell), columns)


def _emulated_ramp(ramps: Ramps, plain: dict[str, Any], within: Range, seed: int) -> Array:
    count = len(ramps.x)
    chip, side = _chip(dict(plain), count, seed + ramps.up)
    # the first reading is the only word on the start; where ramps are noisy, the mean of the first few says it better
    start = np.nanmedian(ramps.x[:, : max(1, min(9, ramps.x.shape[1] // 20))], axis=1)
    _program(chip, side, within.low_s + np.clip(start, 0, 1) * within.span_s)

    def pulse(each: Array, up: bool) -> None:
        counts = np.zeros(2 * side * side, dtype=np.int32)
        counts[:count] = np.nan_to_num(each).astype(np.int32)
        if counts.any():
            chip.pulse(0, 0, EVERYWHERE, torch.from_numpy(counts).view(2, side, side), up)

    # noise that pulses leave behind is there from the first reading on: no ramp was a cell's first
    for n in range(2 * int(np.ceil(LASTS * chip.datasheet.pulses.write_noise_memory / 2))):
        pulse(np.ones(count), bool(n % 2))
    found = np.full(ramps.x.shape, np.nan)
    for n in range(ramps.x.shape[1]):
        pulse(ramps.pulses[:, n], ramps.up)
        found[:, n] = (_read(chip, count) - within.low_s) / within.span_s
    return np.where(np.isfinite(ramps.x), found, np.nan)


def _retention(readings: Readings, plain: dict[str, Any], within: Range, seed: int) -> Readings:
    data = samples.retention_of(readings)
    kelvin = np.nan_to_num(data.temperature_k)
    table: dict[str, list[Array]] = {"cell": [], "time": [], "conductance": [], "temperature": []}
    for hot in np.unique(kelvin):
        mine = np.flatnonzero(kelvin == hot)
        chip, side = _chip(dict(plain), len(mine), seed + int(hot))
        # written as near as the chip can: a wider range would be another chip, levels and noise are shares of it
        _program(chip, side, np.clip(data.siemens[mine, 0], chip.datasheet.cells.g_min_s, chip.datasheet.cells.g_max_s))
        ages = data.ages_s[mine]
        now = 0.0
        for k in range(ages.shape[1]):
            age = float(np.median(ages[:, k] - ages[:, 0]))
            if hot:
                chip.conditions.set_temperature(float(hot))
            chip.wait(max(age - now, 0.0))
            if hot:
                chip.conditions.set_temperature(chip.datasheet.cells.reference_k)
            now = max(age, now)
            seen = np.isfinite(data.siemens[mine, k])
            table["cell"].append(mine[seen] + 0.0)
            table["time"].append(ages[seen, k])
            table["conductance"].append(_read(chip, len(mine))[seen])
            table["temperature"].append(np.full(int(seen.sum()), hot or np.nan))
    joined = {name: np.concatenate(parts) for name, parts in table.items()}
    cell = joined.pop("cell").astype(np.int64)
    return Readings("retention", cell, joined)


def _reads(readings: Readings, plain: dict[str, Any], within: Range, seed: int) -> Readings:
    data = samples.series_of(readings)
    stretch = min(data.siemens.shape[1], 4000)
    chip, side = _chip(plain, len(data.siemens), seed)
    _program(chip, side, np.clip(data.siemens.mean(axis=1), within.low_s, within.high_s))
    found = []
    for _ in range(stretch):
        chip.wait(data.interval_s * data.siemens.shape[1] / stretch)
        found.append(_read(chip, len(data.siemens)))
    value = np.stack(found, axis=1)
    time = np.broadcast_to(np.arange(stretch) * data.interval_s, value.shape)
    cell = np.repeat(np.arange(len(value)), stretch)
    return Readings("reads", cell, {"time": time.ravel().copy(), "conductance": value.ravel()})


def _resets(readings: Readings, plain: dict[str, Any], within: Range, seed: int) -> Readings:
    data = samples.resets_of(readings)
    chip, _ = _chip(plain, len(data.siemens), seed)
    table: list[Array] = []
    for volts in data.volts:
        chip.pulse(0, 0, EVERYWHERE, 1, False, float(volts))
        table.append(_read(chip, len(data.siemens)))
    value = np.stack(table, axis=1)
    height = np.broadcast_to(data.volts, value.shape)
    cell = np.repeat(np.arange(len(value)), len(data.volts))
    return Readings("resets", cell, {"amplitude": height.ravel().copy(), "conductance": value.ravel()})


def _writes(readings: Readings, plain: dict[str, Any], within: Range, seed: int) -> Readings:
    target = readings.columns["target"]
    chip, side = _chip(plain, len(target), seed)
    _program(chip, side, target)
    return Readings("writes", readings.cell, {"target": target, "conductance": _read(chip, len(target))})


EMULATORS: Mapping[str, Callable[[Readings, dict[str, Any], Range, int], Readings]] = {
    "ramps": _ramps,
    "retention": _retention,
    "reads": _reads,
    "resets": _resets,
    "writes": _writes,
}
