"""What a calibration file says of an array: figures with uncertainties, and corrections (TOML sections)."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from firmware_specs.datasheet.section import Section
from hil.measuring.calibrate.cells import ROUNDS, CellMap
from hil.measuring.calibrate.linearity import Curve, Linearity
from hil.measuring.calibrate.measure import ArrayFindings
from hil.measuring.calibrate.nodes import Sources
from hil.measuring.calibrate.transfer import Transfer
from hil.measuring.settle_time import Settling

Numbers = tuple[float, ...]
Places = tuple[tuple[int, ...], ...]
COLUMNS = (
    "gain", "gain_sigma", "offset", "offset_sigma", "read_gain", "read_gain_sigma", "read_offset", "read_offset_sigma",
)  # fmt: skip
LOOP = 0.5
"""Loop gain of the couplings that a calibrated wait allows for: the slowest mode then takes twice as long."""
FINEST = 2**-17
"""Share of the way that a settle through ideal converters may leave."""


class LinearityEntry(Section):
    """Nonlinearity of converters; see `hil.measuring.calibrate.linearity`. Model units.

    Attributes:
        significant: Is the curve beyond its uncertainty? Else it is not corrected.
        units: Channels whose own `inl` was measured; `dnl` is empty where the input was not known that well.
    """

    through: str
    significant: bool
    clamped: bool
    reach: float
    terms: Numbers
    curve_sigma: float
    units: tuple[int, ...]
    inl: Numbers
    inl_sigma: Numbers
    dnl: Numbers
    dnl_sigma: Numbers

    @classmethod
    def of(cls, found: Linearity) -> LinearityEntry:
        """From what was measured."""
        units = np.flatnonzero(np.isfinite(found.inl))
        even = units[np.isfinite(found.dnl[units])]
        return cls(
            through=found.through,
            significant=found.significant,
            clamped=found.curve.clamped,
            reach=found.curve.reach,
            terms=found.curve.terms,
            curve_sigma=found.curve_sigma,
            units=tuple(int(u) for u in units),
            inl=numbers(found.inl[units]),
            inl_sigma=numbers(found.inl_sigma[units]),
            dnl=numbers(found.dnl[even]),
            dnl_sigma=numbers(found.dnl_sigma[even]),
        )

    @property
    def curve(self) -> Curve:
        """The correction."""
        return Curve(self.clamped, self.reach, self.terms)


class LayerEntry(Section):
    """Corrections of one layer, unit by unit, model units; see `hil.measuring.calibrate.transfer.Transfer`."""

    layer: Annotated[int, Field(ge=0)]
    gain: Numbers
    gain_sigma: Numbers
    offset: Numbers
    offset_sigma: Numbers
    read_gain: Numbers
    read_gain_sigma: Numbers
    read_offset: Numbers
    read_offset_sigma: Numbers
    dead: tuple[int, ...]
    noise: float
    step: float
    adc: LinearityEntry | None = None
    dac: LinearityEntry | None = None

    @classmethod
    def of(cls, layer: int, found: Transfer, step: float) -> LayerEntry:
        """From what was measured; `step` is the ADC's."""
        return cls(
            layer=layer,
            dead=tuple(int(u) for u in np.flatnonzero(found.dead)),
            noise=found.noise,
            step=step,
            adc=None if found.adc is None else LinearityEntry.of(found.adc),
            dac=None if found.dac is None else LinearityEntry.of(found.dac),
            **{name: numbers(getattr(found, name)) for name in COLUMNS},
        )

    def array(self, name: str) -> NDArray[np.float64]:
        """One of the columns."""
        return np.asarray(getattr(self, name), dtype=np.float64)


class CouplingEntry(Section):
    """How the cells of one coupling are written; levels are shares of the conductance range.

    Attributes:
        once: Spread of achieved minus asked after one usual write.
        asked: Levels written with write-verify; error and spread of the achieved ones stand beside them.
        tolerance: What counted as a hit.
        rounds: Rewrites of a cell that missed, at most.
        missed: Cells that follow and were outside the tolerance at any level.
        worst: Largest error of a cell that follows.
        stuck: Plane, row and column of cells that do not follow what is written.
        dead_rows: Plane and row of lines none of whose cells follows.
        dead_columns: Plane and column of such lines.
    """

    coupling: Annotated[int, Field(ge=0)]
    once: float
    once_sigma: float
    asked: Numbers
    error: Numbers
    error_sigma: Numbers
    spread: Numbers
    spread_sigma: Numbers
    tolerance: float
    rounds: int
    missed: int
    worst: float
    stuck: Places
    dead_rows: Places
    dead_columns: Places

    @classmethod
    def of(cls, coupling: int, found: CellMap) -> CouplingEntry:
        """From what was measured."""
        errors, spreads = found.errors, found.spreads
        return cls(
            coupling=coupling,
            once=found.once.value,
            once_sigma=found.once.sigma,
            asked=found.asked,
            error=numbers(np.array([e.value for e in errors])),
            error_sigma=numbers(np.array([e.sigma for e in errors])),
            spread=numbers(np.array([s.value for s in spreads])),
            spread_sigma=numbers(np.array([s.sigma for s in spreads])),
            tolerance=found.tolerance,
            rounds=ROUNDS,
            missed=found.missed,
            worst=found.worst,
            stuck=_places(found.stuck),
            dead_rows=_places(found.dead_rows),
            dead_columns=_places(found.dead_columns),
        )


class SettlingEntry(Section):
    """Settle time; `wait_s` is the default wait that back-ends use, None: the device's own is kept."""

    tau_s: float
    tau_sigma_s: float
    unmoved_s: float
    wait_s: float | None = None

    @classmethod
    def of(cls, found: Settling, step: float) -> SettlingEntry:
        """From what was measured; a reading's `step` decides how long is long enough."""
        tau = found.tau_s
        wait_s = found.needed_s(max(step / 2, FINEST), LOOP).value if tau.value > 0 else None
        return cls(tau_s=tau.value, tau_sigma_s=tau.sigma, unmoved_s=found.unmoved_s, wait_s=wait_s)


class SourcesEntry(Section):
    """Gain of the source nodes of a resistive network, beside that of all together."""

    gain: Numbers
    gain_sigma: Numbers


class ArrayEntry(Section):
    """One array: the block it was calibrated with, its layers and couplings, what was skipped and why."""

    array: Annotated[int, Field(ge=0)]
    topology: str
    skipped: dict[str, str]
    settling: SettlingEntry | None = None
    sources: SourcesEntry | None = None
    layers: tuple[LayerEntry, ...]
    couplings: tuple[CouplingEntry, ...]

    @classmethod
    def of(cls, array: int, found: ArrayFindings) -> ArrayEntry:
        """From what was measured."""
        return cls(
            array=array,
            topology=found.topology.model_dump_json(),
            skipped=found.skipped,
            settling=None if found.settling is None else SettlingEntry.of(found.settling, found.steps[0]),
            sources=None if found.sources is None else _sources(found.sources),
            layers=tuple(
                LayerEntry.of(n, layer, found.steps[n]) for n, layer in enumerate(found.layers) if layer is not None
            ),
            couplings=tuple(CouplingEntry.of(n, cells) for n, cells in enumerate(found.cells) if cells is not None),
        )


def numbers(values: NDArray[np.float64]) -> Numbers:
    """For a file: nine digits are more than any figure has."""
    return tuple(float(f"{v:.9g}") for v in values)


def _sources(found: Sources) -> SourcesEntry:
    return SourcesEntry(gain=numbers(found.gain), gain_sigma=numbers(found.gain_sigma))


def _places(found: NDArray[np.int64]) -> Places:
    return tuple(tuple(int(v) for v in row) for row in found)
