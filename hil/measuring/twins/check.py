"""How well a law holds: fitted to half of the cells, it is emulated as the other half was measured, and compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from firmware_specs.datasheet import Datasheet
from hil.measuring.imports.readings import Readings
from hil.measuring.laws import samples
from hil.measuring.laws.choice import halves
from hil.measuring.laws.ramp_pieces import FEW, alternate, pieces
from hil.measuring.laws.samples import Range
from hil.measuring.twins.emulated import emulate
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
    within, train, held, to_fit = range_of(readings), {}, {}, {}
    for kind, one in readings.items():
        train[kind], held[kind], to_fit[kind] = split(one, seed)
    fitted = twin(to_fit, like, {"vendor": "check", "model": "half"}, within, seed)
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


def split(readings: Readings, seed: int) -> tuple[Readings, Readings, Readings]:
    """Two halves of the cells, and the first one to be fitted to.

    Of ramps of very few cells they are alternate pieces, each a unit of its own; to be fitted to they are ramps with
    gaps, since a cell goes on where nobody looks.
    """
    if readings.kind == "ramps" and len(np.unique(readings.cell)) < FEW:
        cut, order = pieces(readings)
        mine = np.isin(cut.cell, alternate(int(cut.cell.max()) + 1)[0])
        return cut.where(mine), cut.where(~mine), readings.where(order[mine])
    cells = np.unique(readings.cell)
    mine = np.isin(readings.cell, cells[halves(len(cells), seed)[0]])
    return readings.where(mine), readings.where(~mine), readings.where(mine)


def _compare(name: str, seen: Array, emulated: Array, other: Array) -> Comparison:
    seen, emulated, other = (v[np.isfinite(v)] for v in (seen, emulated, other))
    if min(len(seen), len(emulated)) < 2:
        return Comparison(name, float("nan"), float("nan"), len(seen), float("nan"), float("nan"))
    result = stats.ks_2samp(seen, emulated)
    ours = float(stats.ks_2samp(seen, other).statistic) if len(other) > 1 else float("nan")
    ratio = float(emulated.std() / seen.std()) if seen.std() > 0 else float("nan")
    return Comparison(name, float(result.statistic), float(result.pvalue), len(seen), ratio, ours)


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
