"""Current against voltage: conductance and its nonlinearity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from pydantic import Field

from firmware_specs.codes import Capability
from firmware_specs.datasheet import Datasheet
from hil.measuring import robust
from hil.measuring.characterize import health
from hil.measuring.characterize.figure import Figure
from hil.measuring.characterize.items.item import ARITHMETIC, CELLS, Array, Settings, ladder
from hil.measuring.characterize.probe import Probe
from hil.measuring.characterize.steps import Step, Write
from hil.measuring.estimate import Estimate

if TYPE_CHECKING:
    import xarray as xr


class CurrentVoltage(Settings):
    """Sweeps the read voltage over cells of all levels.

    Attributes:
        points: Voltages from minus to plus the largest that all limits allow.
        reads: Readings at each voltage.
    """

    NAME: ClassVar[str] = "iv"
    NEEDS: ClassVar[tuple[Capability, ...]] = (Capability.WRITE, Capability.MEASURE)
    DIMS: ClassVar[Mapping[str, tuple[str, ...]]] = {"current": ("point", "read", *CELLS), "voltage": ("point",)}
    UNITS: ClassVar[Mapping[str, str]] = {"current": "A", "voltage": "V"}

    points: Annotated[int, Field(ge=5)] = 9
    reads: Annotated[int, Field(ge=1)] = 4

    def steps(self, probe: Probe) -> Sequence[Step]:
        """One write, one sweep."""
        volts = np.linspace(-probe.read_v, probe.read_v, self.points)
        return [
            Step(lambda p: {"current": p.current(list(volts), self.reads), "voltage": volts}, (Write(ladder(probe)),))
        ]

    def conclude(self, data: xr.Dataset, sheet: Datasheet | None) -> list[Figure]:
        """Coefficients of `I = G (V + a V |V| + b V^3)`."""
        volts = data["voltage"].to_numpy()[0]
        current = data["current"].to_numpy()[0].mean(axis=1)
        a, b = nonlinearity(volts, current[:, health.good(data)])
        cells, out = None if sheet is None else sheet.cells, health.left_out(data)
        return [
            Figure(f"{self.NAME}.quadratic", a, None if cells is None else cells.quadratic_per_v, out),
            Figure(f"{self.NAME}.cubic", b, None if cells is None else cells.cubic_per_v2, out),
        ]


def nonlinearity(volts: Array, current: Array) -> tuple[Estimate, Estimate]:
    """`a` and `b` of `I = G (V + a V |V| + b V^3)` over cells, (points,) and (points, cells).

    All cells share them: they are ratios of sums over cells, which noise does not bias as it does a mean of ratios,
    and a cell that hardly conducts hardly counts. Drift while the voltage rises is odd where both terms of `I / V` are
    even; what the two halves of the sweep differ by says how large it is.
    """
    there = volts != 0
    v, ratio = volts[there], current[there] / volts[there][:, None]
    design = np.stack([np.ones_like(v), np.abs(v), v**2], axis=1)
    weight = np.abs(v)  # a reading's error in I / V falls with V where it is the meter's; noise of the cell is even
    solve = np.linalg.pinv(design * weight[:, None]) * weight
    coefficients = solve @ ratio
    usual = robust.typical(coefficients[0]) & (coefficients[0] > 0)
    linear, terms = coefficients[0][usual], coefficients[1:, usual]
    total = float(linear.sum())
    mean = terms.sum(axis=1) / total
    scatter = (terms - mean[:, None] * linear).std(axis=1, ddof=1) * np.sqrt(usual.sum()) / abs(total)
    arithmetic = ARITHMETIC * float(np.abs(solve[1:]).sum(axis=1).max())
    drift = _drifted(v, ratio[:, usual].sum(axis=1) / total, solve)
    found = [
        Estimate(float(value), float(sigma), unit, freedom=float(usual.sum() - 1)).widened(
            drift_during_the_sweep=part, arithmetic=arithmetic
        )
        for value, sigma, unit, part in zip(mean, scatter, ("1/V", "1/V^2"), drift, strict=True)
    ]  # fmt: skip
    return found[0], found[1]


def _drifted(volts: Array, ratio: Array, solve: Array) -> tuple[float, float]:
    """What drift adds to both coefficients: logarithmic drift of the size seen between the sweep's halves.

    A drift that is linear over the sweep is odd in the voltage and moves neither; of `ln t` a part is even.
    """
    order = np.arange(len(volts))
    odd = (ratio - ratio[::-1]) / 2
    centred = order - order.mean()
    slope = float(centred @ odd / (centred @ centred))
    scatter = odd - slope * centred
    error = float(np.sqrt(scatter @ scatter / max(len(order) - 1, 1) / (centred @ centred)))
    seen = np.sqrt(max(slope**2 - error**2, 0.0)) * len(order)  # of the conductance, over the sweep
    law = np.log(order + 1.0)
    shape = law / float(np.ptp(law))
    moved = solve[1:] @ (shape - shape.mean())
    return float(abs(moved[0]) * seen), float(abs(moved[1]) * seen)
