"""How well a law holds: fitted to half of the cells, it is emulated as the other half was measured, and compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats

from emulator.chip import Chip
from emulator.crossbar import EVERYWHERE
from firmware_specs.datasheet import Datasheet
from firmware_specs.topology import dense_chain
from hil.measuring.imports.readings import Readings
from hil.measuring.laws import samples
from hil.measuring.laws.choice import halves
from hil.measuring.laws.ramps import FEW, pieces
from hil.measuring.laws.samples import Ramps, Range
from hil.measuring.twins.measured import range_of, twin

Array = NDArray[np.float64]
REJECTED = 0.01
MOST_CELLS = 40_000


@dataclass(frozen=True)
class Comparison:
    """A held-out half beside a twin of the other half, two-sample Kolmogorov-Smirnov.

    Attributes:
        name: What was compared.
        distance: Largest difference of the two cumulative distributions.
        p_value: Probability of at least this distance between two samples of one distribution.
        cells: Independent units on the measured side; readings of one cell are one unit.
        spread_ratio: Standard deviation of the twin over that of the measurement.
        ours: How far the two halves of the measurement itself are apart, the same distance.
    """

    name: str
    distance: float
    p_value: float
    cells: int
    spread_ratio: float
    ours: float

    @property
    def rejected(self) -> bool:
        """Is it unlikely (1 %) that both are of one distribution? What cannot be computed counts as rejected."""
        return not self.p_value >= REJECTED

    def __str__(self) -> str:
        verdict = "differs" if self.rejected else "no difference seen"
        return (
            f"{self.name:28} KS {self.distance:.4f}  p {self.p_value:.3f}  {self.cells:>6,} units  spread x "
            f"{self.spread_ratio:.3f}  halves among themselves {self.ours:.4f}  {verdict}"
        )


def by_halves(readings: Mapping[str, Readings], like: Datasheet, seed: int = 0) -> list[Comparison]:
    """Fits a twin to half of the cells of every kind, and compares it with the other half.

    Args:
        readings: By kind.
        like: Datasheet whose circuits are put about the cells.
        seed: Of the halves, and of the emulated specimen.
    """
    within, train, held = range_of(readings), {}, {}
    for kind, one in readings.items():
        train[kind], held[kind] = split(one, within, seed)
    fitted = twin(train, like, {"vendor": "check", "model": "half"}, within, seed)
    found: list[Comparison] = []
    for kind in readings:
        seen, other = STATISTICS[kind](held[kind], within), STATISTICS[kind](train[kind], within)
        emulated = STATISTICS[kind](emulate(held[kind], fitted.datasheet, within, seed + 1), within)
        found += [_compare(f"{kind} {name}", seen[name], emulated[name], other[name]) for name in seen]
    return found


def families(compared: Sequence[Comparison]) -> dict[str, float]:
    """Probability that nothing differs, of each kind of reading: its comparisons are many, so Holm's correction holds.

    What could not be computed makes it 0.
    """
    found: dict[str, list[float]] = {}
    for one in compared:
        found.setdefault(one.name.split()[0], []).append(one.p_value if np.isfinite(one.p_value) else 0.0)
    return {kind: min(1.0, len(p) * min(p)) for kind, p in found.items()}


def split(readings: Readings, within: Range, seed: int) -> tuple[Readings, Readings]:
    """Two halves of the cells; of ramps of very few cells, alternate pieces of the ramps."""
    cells = np.unique(readings.cell)
    if readings.kind == "ramps" and len(cells) < FEW:
        readings = pieces(readings)
        cells = np.unique(readings.cell)
        first = cells[::2]
    else:
        first = cells[halves(len(cells), seed)[0]]
    mine = np.isin(readings.cell, first)
    return readings.where(mine), readings.where(~mine)


def _compare(name: str, seen: Array, emulated: Array, other: Array) -> Comparison:
    seen, emulated, other = (v[np.isfinite(v)] for v in (seen, emulated, other))
    if min(len(seen), len(emulated)) < 2:
        return Comparison(name, float("nan"), float("nan"), len(seen), float("nan"), float("nan"))
    result = stats.ks_2samp(seen, emulated)
    ours = float(stats.ks_2samp(seen, other).statistic) if len(other) > 1 else float("nan")
    ratio = float(emulated.std() / seen.std()) if seen.std() > 0 else float("nan")
    return Comparison(name, float(result.statistic), float(result.pvalue), len(seen), ratio, ours)


# --- the emulator as the measured cells ------------------------------------------------------------------------------


def emulate(readings: Readings, sheet: Datasheet, within: Range, seed: int) -> Readings:
    """The same measurement on emulated cells: same starts, pulses, waits and number of readings."""
    plain = sheet.model_dump(exclude_unset=True)
    plain["cells"] = plain["cells"] | {"programming_noise": 0.0, "g_min_s": 0.0, "g_max_s": 2 * within.high_s} \
        if readings.kind == "retention" else plain["cells"]  # fmt: skip
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
    found = np.full(ramps.x.shape, np.nan)
    for n in range(ramps.x.shape[1]):
        counts = np.zeros(2 * side * side, dtype=np.int32)
        counts[:count] = np.nan_to_num(ramps.pulses[:, n]).astype(np.int32)
        if counts.any():
            chip.pulse(0, 0, EVERYWHERE, torch.from_numpy(counts).view(2, side, side), ramps.up)
        found[:, n] = (_read(chip, count) - within.low_s) / within.span_s
    return np.where(np.isfinite(ramps.x), found, np.nan)


def _retention(readings: Readings, plain: dict[str, Any], within: Range, seed: int) -> Readings:
    data = samples.retention_of(readings)
    kelvin = np.nan_to_num(data.temperature_k)
    table: dict[str, list[Array]] = {"cell": [], "time": [], "conductance": [], "temperature": []}
    for hot in np.unique(kelvin):
        mine = np.flatnonzero(kelvin == hot)
        chip, side = _chip(dict(plain), len(mine), seed + int(hot))
        _program(chip, side, data.siemens[mine, 0])
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


# --- one value a cell ------------------------------------------------------------------------------------------------


def _of_ramps(readings: Readings, within: Range) -> dict[str, Array]:
    """Mean step of a ramp over the middle of its range, and the spread of its changes about their own slow course."""
    found: dict[str, Array] = {}
    for ramps in samples.ramps_of(readings, within):
        way = "up" if ramps.up else "down"
        step, spread = [], []
        for row in ramps.steps:
            row = row[np.isfinite(row)]
            if len(row) < 3:
                continue
            step.append(row.mean())
            spread.append(np.sqrt(((row[1:] - row[:-1]) ** 2).mean() / 2))
        found |= {f"step {way}": np.array(step), f"spread {way}": np.array(spread)}
    return found


def _of_retention(readings: Readings, within: Range) -> dict[str, Array]:
    data = samples.retention_of(readings)
    kelvin = np.nan_to_num(data.temperature_k)
    found = {}
    for hot in np.unique(kelvin):
        rows = kelvin == hot
        for k in range(1, data.siemens.shape[1]):
            age = float(np.median(data.ages_s[rows, k] - data.ages_s[rows, 0]))
            name = f"change after {age:.3g} s" + (f" at {hot:.0f} K" if hot else "")
            found[name] = data.siemens[rows, k] - data.siemens[rows, 0]
    return found


def _of_reads(readings: Readings, within: Range) -> dict[str, Array]:
    data = samples.series_of(readings)
    return {"relative spread": data.siemens.std(axis=1) / data.siemens.mean(axis=1)}


def _of_resets(readings: Readings, within: Range) -> dict[str, Array]:
    data = samples.resets_of(readings)
    return {f"ln G at {v:.3g} V": np.log(np.maximum(data.siemens[:, k], 1e-12)) for k, v in enumerate(data.volts)}


def _of_writes(readings: Readings, within: Range) -> dict[str, Array]:
    error = (readings.conductance_s - readings.columns["target"]) / within.span_s
    cells, place = np.unique(readings.cell, return_inverse=True)
    count = np.bincount(place)
    mean = np.bincount(place, weights=error) / count
    return {"mean error": mean} if len(cells) > 1 else {"error": error}


STATISTICS: Mapping[str, Callable[[Readings, Range], dict[str, Array]]] = {
    "ramps": _of_ramps,
    "retention": _of_retention,
    "reads": _of_reads,
    "resets": _of_resets,
    "writes": _of_writes,
}
